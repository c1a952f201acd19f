"""Whole clusters under one seed: the real cores and their real shells, in a world that is made up.

- **World** (`world.py`): one clock, one heap of what happens next, one seed that all is drawn from.
- **Machines** and **processes** (`machines.py`): each process has an event loop (`loop.py`) that asyncio programs run on
  unchanged; clocks and random numbers are the world's (`surroundings.py`).
- **Network** (`network.py`), **disks** (`disk.py`), **launchers** (`launcher.py`): models of what the shells stand on.
- **Nodes** (`masters.py`, `agents.py`, `frameworks.py`): what is real, put together on a machine.
- **Story** (`story.py`): what happened, for the moment when a law is broken.
"""
