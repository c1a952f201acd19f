"""Whole clusters under one seed: what decides, and the shells around it, in a world that is made up.

    outcome = simulate(draw(seed))
    print("\\n".join(outcome.report()))

- **Plan** (`plan.py`): what a seed stands for: the cluster, its load, and its **faults** (`faults.py`).
- **World** (`world.py`): one clock, one heap of what happens next, one seed that all is drawn from.
- **Machines** and **processes** (`machines.py`): each process has an event loop (`loop.py`) that asyncio programs run on
  unchanged; clocks and random numbers are the world's (`surroundings.py`).
- **Network** (`network.py`), **disks** (`disk.py`), **launchers** and programs (`launcher.py`), **ZooKeeper**
  (`keepers/`): models of what the shells stand on.
- **Nodes** (`masters.py`, `agents.py`, `frameworks.py`, `executors.py`, `chronoses.py`): what is real, put together on a machine. A
  `cluster.py` has them all.
- **Laws** (`laws.py`) look on while anything may fail; then there is **peace** (`peace.py`), in which all must agree.
- **Chronoses** have **clients** (`clients.py`), laws (`windows.py`) and a second act (`promises.py`) of their own.
- **Story** (`story.py`): what happened, for the moment when a law is broken; `shrink.py` makes it short.
"""
