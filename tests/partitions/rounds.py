"""One round: a fault while both frameworks work, then peace, then all that must hold, and what it took."""

from __future__ import annotations

from typing import Any

from tests.partitions import laws
from tests.partitions.cluster import FRAMEWORKS, Cluster, eventually
from tests.partitions.faults import Fault
from tests.partitions.history import History
from tests.partitions.journal import now_s

#: So many tasks of each framework are started before something goes wrong, and again after it is mended.
_TASKS = 8
_RECOVERED_S = 60.0
_SETTLED_S = 40.0

#: Seconds for each framework and for the agents, as the documentation tells, and the number of tasks.
Measures = dict[str, float]


class Broken(AssertionError):
    """A law was broken."""


def play(cluster: Cluster, fault: Fault) -> Measures:
    """Raises Broken, or TimeOut when something does not come to be."""
    cluster.new_round()
    begun, failures = now_s(), cluster.tracebacks()
    for framework in cluster.frameworks:
        framework.order("work")
    eventually(
        lambda: all(len(_history(cluster, fault).starts(who)) >= _TASKS for who in FRAMEWORKS),
        "both frameworks work",
    )
    moments = fault.do(cluster)
    since = moments.mended if fault.from_mended else moments.since
    eventually(
        lambda: all(
            len(_history(cluster, fault).starts(who, moments.mended)) >= _TASKS for who in FRAMEWORKS
        ),
        "both frameworks work again",
        _RECOVERED_S,
    )
    ended = now_s()
    for framework in cluster.frameworks:
        framework.order("settle")
    for framework in cluster.frameworks:
        cluster.wait_entry(framework.name, "settled", ended, timeout_s=_SETTLED_S)
    eventually(lambda: _is_at_rest(cluster), "nothing is in use, and nothing runs")
    history = _history(cluster, fault)
    broken = laws.broken(history)
    broken += [f"a traceback in the log of {name}" for name in (cluster.tracebacks() - failures).elements()]
    if broken:
        raise Broken("\n".join([f"since {begun:.2f}, {fault.name} at {moments}:", *broken]))
    measures = {"tasks": float(len(history.tasks))}
    for who in FRAMEWORKS:
        first = history.starts(who, since)[0].started
        assert first is not None
        measures[who] = first - since if fault.from_mended else history.pause_s(who, since, ended)
    if fault.agents_return:
        measures |= _agents_back(history, moments.mended if fault.agents_cut else since)
    return measures


def _history(cluster: Cluster, fault: Fault) -> History:
    return History(
        cluster.heard(),
        cluster.directory / "footprints",
        ended=cluster.ended(),
        agents_cut=fault.agents_cut,
    )


def _agents_back(history: History, since: float) -> Measures:
    """How long it took until the last agent that had lost its master was with one again."""
    last = max((act.at for act in history.acts if act.what == "Registered" and act.at > since), default=None)
    return {} if last is None else {"agents": last - since}


def _is_at_rest(cluster: Cluster) -> bool:
    state = cluster.get("/state")
    frameworks: list[dict[str, Any]] = state["frameworks"]
    running = [task for one in frameworks for task in one["tasks"] if task["state"] == "TASK_RUNNING"]
    used = [agent["used_resources"]["cpus"] for agent in state["slaves"]]
    return not running and not any(used) and len(used) == len(cluster.agents)
