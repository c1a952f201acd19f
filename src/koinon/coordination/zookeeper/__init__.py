"""Coordination through Apache ZooKeeper: election, detection and store of a cluster.

Everything lies under the path of one URL, `zk://user:password@host1:port1,host2:port2/path`:

    /path/json.info_0000000012     who stands for election, in its own words: ephemeral, one each; the lowest leads
    /path/log_replicas/registry    the store of the leader; its own layout: see `store`

Several clusters share an ensemble under different paths. With user and password all that we make may be read by
everybody and changed by us only.
"""

from koinon.coordination.zookeeper.url import Url, UrlError, parse_url

__all__ = ["SESSION_MAX_S", "Url", "UrlError", "parse_url"]

#: ZooKeeper counts a session's timeout in milliseconds, in 32 bits; servers grant much less.
SESSION_MAX_S = 3 * 7 * 86_400.0
