"""Fair shares on running clusters: what frameworks that want different things end up with."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

from tests.cluster.harness import Cluster, NewCluster
from tests.cluster.raw import Framework, amount, post, scalars, task

GB = 1024
FOREVER_S = 3600.0


class Demand(NamedTuple):
    """What one task of a framework takes."""

    cpus: float
    mem: float

    def fits(self, cpus: float, mem: float) -> bool:
        return self.cpus <= cpus + 1e-6 and self.mem <= mem + 1e-6


class Greedy:
    """A framework that wants as many tasks as it can get: one for each offer, and nothing too small."""

    def __init__(self, framework: Framework, role: str, demand: Demand) -> None:
        self.framework, self.role, self.demand = framework, role, demand
        self.count = 0

    def answer_offers(self) -> None:
        with self.framework.changed:
            offers = list(self.framework.offers.values())
            self.framework.offers.clear()
        for offer in offers:
            has = {name: amount(offer["resources"], name) for name in ("cpus", "mem")}
            if not self.demand.fits(**has):
                self.framework.decline(offer, FOREVER_S)
                continue
            self.count += 1
            one = task(f"{self.count}", "sleep 1000", resources=scalars(**self.demand._asdict()))
            self.framework.accept([offer], [one])


@contextmanager
def competitors(cluster: Cluster, demands: dict[str, Demand]) -> Iterator[list[Greedy]]:
    """A framework for each role. None has anything when the last comes: shares do not depend on who was first."""
    with ExitStack() as stack:
        found = []
        for role, demand in demands.items():
            framework = Framework(
                cluster.master_address,
                roles=[role],
                capabilities=[{"type": "MULTI_ROLE"}],
                failover_timeout=60,
            )
            framework.subscribe(suppressed_roles=[role])
            stack.callback(framework.disconnect)
            found.append(Greedy(framework, role, demand))
        for greedy in found:
            greedy.framework.do("REVIVE")
        yield found


def fill(cluster: Cluster, frameworks: list[Greedy], timeout_s: float = 30.0) -> None:
    """Let all answer their offers until nothing is left that any of them could use."""
    deadline_s = time.monotonic() + timeout_s
    while any(greedy.demand.fits(*free) for free in free_on_agents(cluster) for greedy in frameworks):
        assert time.monotonic() < deadline_s, [(greedy.role, greedy.count) for greedy in frameworks]
        for greedy in frameworks:
            greedy.answer_offers()
        time.sleep(0.01)
    for greedy in frameworks:
        for number in range(1, greedy.count + 1):
            greedy.framework.wait_state(str(number), "TASK_RUNNING")


def free_on_agents(cluster: Cluster) -> Iterable[tuple[float, float]]:
    for agent in cluster.master.get("/state")["slaves"]:
        total, used = agent["resources"], agent["used_resources"]
        yield total["cpus"] - used["cpus"], total["mem"] - used["mem"]


def shares(cluster: Cluster) -> dict[str, float]:
    """The dominant share of each role, from what the master tells everybody."""
    agents = cluster.master.get("/state")["slaves"]
    total = {name: sum(agent["resources"][name] for agent in agents) for name in ("cpus", "mem")}
    return {
        role["name"]: max(role["allocated"].get(name, 0) / total[name] for name in total)
        for role in cluster.master.get("/roles")["roles"]
    }


def counts(frameworks: list[Greedy]) -> dict[str, int]:
    return {greedy.role: greedy.count for greedy in frameworks}


def check_state(cluster: Cluster, frameworks: list[Greedy]) -> None:
    """`/state` says of each framework what it holds."""
    shown = {one["id"]: one for one in cluster.master.get("/state")["frameworks"]}
    for greedy in frameworks:
        one, demand = shown[greedy.framework.id], greedy.demand
        assert len(one["tasks"]) == greedy.count
        assert one["used_resources"]["cpus"] == pytest.approx(demand.cpus * greedy.count)
        assert one["used_resources"]["mem"] == pytest.approx(demand.mem * greedy.count)


def cluster_of(new_cluster: NewCluster, *agents: str, **flags: str) -> Cluster:
    cluster = new_cluster(agents=0, master_flags=flags)
    for resources in agents:
        cluster.add_agent(resources=f"{resources};disk:0;ports:[]").start()
    cluster.wait_ready()
    return cluster


def test_worked_example_of_the_paper(new_cluster: NewCluster) -> None:
    """9 CPUs and 18 GB; tasks of A take <1 CPU, 4 GB>, those of B <3 CPUs, 1 GB>: A gets 3 tasks and B 2."""
    cluster = cluster_of(new_cluster, "cpus:9;mem:18432")
    with competitors(cluster, {"a": Demand(1, 4 * GB), "b": Demand(3, 1 * GB)}) as frameworks:
        fill(cluster, frameworks)
        assert counts(frameworks) == {"a": 3, "b": 2}
        found = shares(cluster)
        assert (found["a"], found["b"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
        check_state(cluster, frameworks)


@pytest.mark.slow
def test_three_frameworks_reach_equal_dominant_shares_on_several_agents(new_cluster: NewCluster) -> None:
    """The two of the paper and one that wants both alike, on four machines of 9 CPUs and 18 GB."""
    cluster = cluster_of(new_cluster, *["cpus:9;mem:18432"] * 4)
    demands = {"a": Demand(1, 4 * GB), "b": Demand(3, 1 * GB), "c": Demand(0.5, 1 * GB)}
    with competitors(cluster, demands) as frameworks:
        fill(cluster, frameworks)
        # A task of A is 0.056 of the memory, one of B 0.083 of the CPUs: whole tasks come no closer.
        found = shares(cluster)
        fair = [found[role] for role in demands]
        assert max(fair) - min(fair) <= 4 / 72 + 3 / 36, found
        check_state(cluster, frameworks)


def test_a_role_of_twice_the_weight_gets_twice_as_much(new_cluster: NewCluster) -> None:
    cluster = cluster_of(new_cluster, "cpus:9;mem:9216", weights="heavy=2")
    demand = Demand(1, 1 * GB)
    with competitors(cluster, {"heavy": demand, "light": demand}) as frameworks:
        fill(cluster, frameworks)
        assert counts(frameworks) == {"heavy": 6, "light": 3}
        weights = {one["name"]: one["weight"] for one in cluster.master.get("/roles")["roles"]}
        assert (weights["heavy"], weights["light"]) == (2, 1)


def test_a_weight_set_by_an_operator_holds_and_is_remembered(new_cluster: NewCluster) -> None:
    cluster = cluster_of(new_cluster, "cpus:8;mem:8192")
    infos = [{"role": "heavy", "weight": 3.0}]
    call = {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": infos}}
    assert post(cluster.master_address, "/api/v1", call).status == 200
    cluster.master.kill()
    cluster.master.start()
    cluster.wait_ready()
    demand = Demand(1, 1 * GB)
    with competitors(cluster, {"heavy": demand, "light": demand}) as frameworks:
        fill(cluster, frameworks)
        assert counts(frameworks) == {"heavy": 6, "light": 2}


def test_siblings_share_what_their_parent_gets(new_cluster: NewCluster) -> None:
    cluster = cluster_of(new_cluster, "cpus:8;mem:8192")
    demand = Demand(1, 1 * GB)
    with competitors(cluster, {"eng/one": demand, "eng/two": demand, "ops": demand}) as frameworks:
        fill(cluster, frameworks)
        assert counts(frameworks) == {"eng/one": 2, "eng/two": 2, "ops": 4}


def test_who_comes_late_gets_what_is_freed(new_cluster: NewCluster) -> None:
    cluster = cluster_of(new_cluster, "cpus:8;mem:8192")
    demand = Demand(1, 1 * GB)
    with competitors(cluster, {"early": demand}) as (early,):
        fill(cluster, [early])
        assert early.count == 8
        with competitors(cluster, {"late": demand}) as (late,):
            for number in range(1, 5):
                early.framework.kill(str(number))
                early.framework.wait_end(str(number))  # by then it holds nothing any more
            fill(cluster, [early, late])
            assert (early.count, late.count) == (8, 4)
