"""JSON bodies → the types of `koinon.chronos.model`, with all problems at once; and changes of the whole set of jobs."""

from koinon.chronos.reading.jobs import Asked, arguments, body, job
from koinon.chronos.reading.sets import Deletion, children, cycle, deleted

__all__ = ["Asked", "Deletion", "arguments", "body", "children", "cycle", "deleted", "job"]
