"""The fetcher: brings the files that a task's URIs name into its sandbox, before its program starts.

fetcher.py      the order of things for one container
downloads.py    HTTP
cache.py        what was downloaded before, or is being downloaded for somebody else
placing.py      the agent's end of the placer
placer/         a program of its own, with the rights of the task's user, that writes into the sandbox
"""

from koinon.agent.fetcher.cache import cache_name
from koinon.agent.fetcher.fetcher import Fetcher
from koinon.agent.fetcher.sentences import FetchError

__all__ = ["FetchError", "Fetcher", "cache_name"]
