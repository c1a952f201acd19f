"""The pure core of the master: state machines of agents, frameworks, offers and tasks. No I/O, no clock."""

from koinon.master.core.config import Config
from koinon.master.core.events import Refused
from koinon.master.core.master import Master
from koinon.master.core.state import State

__all__ = ["Config", "Master", "Refused", "State"]
