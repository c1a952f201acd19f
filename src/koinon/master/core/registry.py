"""What the registry holds, and how it is read and written.

agents/<id>      AgentEntry as JSON
cluster          what the cluster is called, for ever: the id of the first master that led it, as JSON
weights/<role>   a number as JSON
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from koinon.master.core.state import AgentEntry, Standing, State
from koinon.mesos import v1

AGENTS = "agents/"
CLUSTER = "cluster"
WEIGHTS = "weights/"

#: What is changed at once must fit into what ZooKeeper takes at once, which is less than 1 MiB, and its servers break the
#: connection of who sends more. Whoever asks for more is refused: a master that cannot write ends.
CHANGE_BYTES_MAX = 768 * 1024
#: What a change takes besides, in characters of which each may take three bytes.
_PATH_CHARACTERS = 150

_decode_entry = msgspec.json.Decoder(AgentEntry).decode
_encode = msgspec.json.Encoder().encode


def read(state: State, entries: Mapping[str, bytes]) -> None:
    """Fills the state with what the registry holds; keys of other parts are passed over."""
    tables = {
        Standing.ADMITTED: state.recovered_agents,
        Standing.UNREACHABLE: state.unreachable_agents,
        Standing.GONE: state.gone_agents,
    }
    for key, value in sorted(entries.items()):
        if key.startswith(AGENTS):
            entry = _decode_entry(value)
            tables[entry.standing][key.removeprefix(AGENTS)] = entry
        elif key == CLUSTER:
            state.cluster = msgspec.json.decode(value, type=str)
        elif key.startswith(WEIGHTS):
            state.weights[key.removeprefix(WEIGHTS)] = float(msgspec.json.decode(value))


def agent_change(
    agent_id: str, info: v1.AgentInfo, standing: Standing, since_s: float
) -> tuple[str, bytes | None]:
    """The change that makes an agent stand so."""
    return AGENTS + agent_id, _encode(AgentEntry(info=info, standing=standing, since_s=since_s))


def agent_removal(agent_id: str) -> tuple[str, bytes | None]:
    """The change that forgets an agent."""
    return AGENTS + agent_id, None


def cluster_change(name: str) -> tuple[str, bytes | None]:
    """The change that names the cluster."""
    return CLUSTER, _encode(name)


def weight_change(role: str, weight: float) -> tuple[str, bytes | None]:
    """The change that sets a role's weight; 1.0 is what every role has without one."""
    return WEIGHTS + role, None if weight == 1.0 else _encode(weight)


def fits(changes: Iterable[tuple[str, bytes | None]]) -> bool:
    """Whether they may be made at once."""
    taken = sum(3 * (len(key.encode()) + _PATH_CHARACTERS) + len(value or b"") for key, value in changes)
    return taken <= CHANGE_BYTES_MAX
