"""The agent's core: what to run, what to report, what to keep. Pure: `handle(event, now) -> effects`.

- `tables`: the state machines · `state`: the records · `events`: what goes in and comes out
- `agent`: the public verb, and the talk with the master
- `builtin`, `custom`: the kinds of executors · `life`: what they share · `launch`: what a program gets
- `checks`: looking at tasks · `volumes`, `uris`, `disk`: what sandboxes hold
- `nested`: containers that somebody asks for over the API · `gpus`: which devices are whose
- `streams`: status updates, at least once · `recovery`, `records`: over restarts
"""

from koinon.agent.core.agent import Agent
from koinon.agent.core.state import Config

__all__ = ["Agent", "Config"]
