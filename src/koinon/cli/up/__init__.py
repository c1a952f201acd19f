"""`koinon up`: a whole cluster on this machine, in the foreground.

Each role is a process of its own, as in a real cluster; `up` starts them, waits until they answer, starts again
what dies, and at the end stops them and the tasks. What they keep is below the work directory, so that the next `up`
goes on with the same cluster:

    up.json           the ports in use             up.lock      held while an `up` runs here; processes.lock by all of it
    master/  agent-1/ …  work directories          logs/        what the roles say
    zookeeper/        its data and settings        zk, zk-marathon   URLs for masters and Marathon, with passwords

`command` takes the options apart, `place` is the work directory and the ports, `process` one process, `zookeeper` that
one, `cluster` all of them together.
"""

from koinon.cli.up.command import up

__all__ = ["up"]
