"""A model of Apache ZooKeeper, and of kazoo's end of it.

- `tree.py`: znodes, and what transactions do to them.
- `ensemble.py`: several servers that agree: leader, quorum, commits, sessions.
- `server.py`: one server's process, and its clients' connections.
- `session.py`: stands in for `koinon.coordination.zookeeper.session.Session`, so that election, detector and store are the
  real ones.

What is told to be true of ZooKeeper is true of it, and no more: a write is done by a quorum or not at all, and whose
answer was lost may have been done; reads are answered by one server, which may be behind; a session lives until the
leading server has not heard of it for its timeout, and anew for that long after each election among the servers.
"""
