"""Reading the store: what the last leader has left.

    jobs/<name>  runs/<id>  framework

Entries under other names belong to others.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import json

from koinon.chronos.core.state import State
from koinon.chronos.model import Job, Run

_job = json.Decoder(Job).decode
_run = json.Decoder(Run).decode


def load(state: State, entries: Mapping[str, bytes]) -> None:
    """Fills an empty state with what is stored. Raises msgspec.ValidationError if it is not ours."""
    for key in sorted(entries):
        kind = key.partition("/")[0]
        if kind == "jobs":
            state.put_job(_job(entries[key]))
        elif kind == "runs":
            state.put_run(_run(entries[key]))
        elif key == "framework":
            state.framework_id = json.decode(entries[key], type=str)
    state.loaded = True
