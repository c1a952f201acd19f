"""What Chronos stores and shows: jobs, and one record for each run.

All types are frozen and time is in seconds since the epoch; `koinon.chronos.rendering` makes the API's JSON of them,
`koinon.chronos.reading` makes them of JSON. What a request may leave out has been filled in when a Job exists.
"""

from koinon.chronos.model import ids
from koinon.chronos.model.job import Container, Fetch, Job, Lapse, Successes, Volume, successes_of
from koinon.chronos.model.percentiles import Percentiles
from koinon.chronos.model.problems import Refused
from koinon.chronos.model.run import Run, RunState, Trigger
from koinon.chronos.model.settings import Defaults, Line

__all__ = [
    "Container",
    "Defaults",
    "Fetch",
    "Job",
    "Lapse",
    "Line",
    "Percentiles",
    "Refused",
    "Run",
    "RunState",
    "Successes",
    "Trigger",
    "Volume",
    "ids",
    "successes_of",
]
