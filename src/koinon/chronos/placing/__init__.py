"""Offers and jobs: where a run can start, or why it cannot; and the task that is launched there. Pure.

room.py         what is left of an agent's offers, and whether a run fits
constraints.py  EQUALS, LIKE, UNLIKE
tasks.py        a run as a task
containers.py   where its command runs, if not in a plain process
"""

from koinon.chronos.placing.room import AgentRoom
from koinon.chronos.placing.tasks import executor_id

__all__ = ["AgentRoom", "executor_id"]
