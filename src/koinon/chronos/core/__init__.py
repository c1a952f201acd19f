"""The core of Chronos: pure, synchronous, deterministic. `Chronos.handle(event, now, wall) -> effects`."""

from koinon.chronos.core.chronos import Chronos
from koinon.chronos.core.config import Config
from koinon.chronos.core.events import Refused
from koinon.chronos.core.state import Room, State

__all__ = ["Chronos", "Config", "Refused", "Room", "State"]
