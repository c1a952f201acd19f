"""JSON bodies → the types of `koinon.marathon.model`, with all problems at once."""

from koinon.marathon.model.problems import Invalid, Problem
from koinon.marathon.reading.apps import app, updated

__all__ = ["Invalid", "Problem", "app", "updated"]
