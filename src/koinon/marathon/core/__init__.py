"""The core of Marathon: pure, synchronous, deterministic. `Marathon.handle(event, now) -> effects`."""

from koinon.marathon.core.config import Config
from koinon.marathon.core.events import Refused
from koinon.marathon.core.marathon import Marathon
from koinon.marathon.core.state import State

__all__ = ["Config", "Marathon", "Refused", "State"]
