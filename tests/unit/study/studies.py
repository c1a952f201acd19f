"""What the tests of studies share: studies in few words, and laws that every one of them obeys."""

from __future__ import annotations

from typing import Any

from koinon.master.core.tables import HOLDING
from koinon.simulator.study.cluster import Cluster
from koinon.simulator.study.description import (
    NAMES,
    Amounts,
    Arrivals,
    AtOnce,
    Constant,
    Duration,
    Framework,
    Group,
    Study,
    Workload,
)

#: A task that asks for one CPU and a little memory.
ONE = Amounts(1000, 100_000)


def amounts(cpus: float = 0, mem: float = 0, disk: float = 0, gpus: float = 0) -> Amounts:
    return Amounts(*(round(1000 * value) for value in (cpus, mem, disk, gpus)))


def group(name: str = "a", count: int = 1, *, cpus: float = 4, mem: float = 4000, **more: Any) -> Group:
    return Group(name, count, amounts(cpus, mem), **more)


def workload(
    arrivals: Arrivals | None = None,
    task: Amounts = ONE,
    duration: Duration | None = None,
    *,
    name: str = "w",
    **more: Any,
) -> Workload:
    return Workload(name, arrivals or AtOnce(1), duration or Constant(60.0), task, **more)


def framework(*workloads: Workload, name: str = "f", role: str = "r", **more: Any) -> Framework:
    return Framework(name, role, workloads or (workload(),), **more)


def study(
    *frameworks: Framework, groups: tuple[Group, ...] | None = None, length_s: float = 600.0, **more: Any
) -> Study:
    more.setdefault("sample_s", length_s / 10)
    return Study(
        groups=groups or (group(),), frameworks=frameworks or (framework(),), length_s=length_s, **more
    )


def simulated(given: Study, *, steps: int = 1) -> Cluster:
    """The cluster at the end; the laws held at each step."""
    cluster = Cluster(given)
    for step in range(1, steps + 1):
        cluster.run(given.length_s * step / steps)
        obey_laws(cluster)
    return cluster


def obey_laws(cluster: Cluster) -> None:
    """Every task is somewhere, and only there; nothing is promised twice; master and agents agree on what is used."""
    cluster.master.check()
    measures = cluster.measures
    for one in cluster.frameworks:
        tasks = [tasks for key, tasks in measures.tasks.items() if key[0] == one.name]
        arrived, finished = sum(t.arrived for t in tasks), sum(t.finished for t in tasks)
        assert arrived == finished + len(one.launched) + len(one.waiting)
        assert 0 <= measures.use[one.name].running <= len(one.launched)
        assert sum(t.started for t in tasks) <= arrived
        names = [work.name for work in (*one.waiting, *one.launched.values())]
        assert len(set(names)) == len(names)
    on_agents = [0] * len(NAMES)
    for agent in cluster.agents:
        assert all(
            0 <= use <= have for use, have in zip(agent.used, agent.common.group.resources, strict=True)
        )
        on_agents = [sum_ + amount for sum_, amount in zip(on_agents, agent.used, strict=True)]
    assert on_agents == measures.used.amounts
    assert on_agents == [sum(use.amounts[at] for use in measures.use.values()) for at in range(len(NAMES))]
    # The master may believe more to be in use than is: what messages are under way about, or a dead agent had.
    for record in cluster.master.state.agents.values():
        total = record.total.scalars
        held: dict[str, int] = {}
        for of_framework in record.tasks.values():
            for task in of_framework.values():
                if task.state in HOLDING:
                    for name, quantity in task.resources.scalars.items():
                        held[name] = held.get(name, 0) + quantity
        assert all(quantity <= total[name] for name, quantity in held.items())


def waited_s(cluster: Cluster, framework_name: str = "f", workload_name: str = "w") -> list[float]:
    """How long tasks waited, to the millisecond, in the order of their starts."""
    return [round(wait_s, 3) for wait_s in cluster.measures.tasks[framework_name, workload_name].waits_s]
