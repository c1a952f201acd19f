"""What an offer must hold."""

from __future__ import annotations

import pytest

from koinon.marathon.matching import Remaining, Settings
from koinon.marathon.model import App, Pod
from koinon.marathon.model.app import ExecutorResources, PortDefinition
from koinon.marathon.model.pod import Endpoint, Placement, PodContainer, Resources, Scheduling
from koinon.mesos import v1
from koinon.mesos.resources import Resources as Amounts

from .offers import attempt, matched, offer, refused

SMALL = App(id="/app", cpus=1, mem=128, port_definitions=())


def total(match: object) -> str:
    return Amounts.from_v1(match.resources).unallocated().format()  # type: ignore[attr-defined]


def test_an_app_takes_what_it_needs_and_leaves_the_rest() -> None:
    remaining = Remaining([offer("cpus:2;mem:1024")])
    assert total(matched(remaining, SMALL)) == "cpus:1;mem:128"
    assert remaining.totals(frozenset("*")) == {"cpus": 1000, "mem": 896_000}


def test_each_kind_that_is_missing_is_told_with_how_much() -> None:
    app = App(id="/app", cpus=2.5, mem=512, disk=10, gpus=1, port_definitions=(PortDefinition(),) * 3)
    reasons = refused(offer("cpus:1;mem:500;ports:[31000-31001]"), app)
    assert reasons == {
        "InsufficientCpus": "2.5 cpus needed, 1 offered: 1.5 missing",
        "InsufficientMemory": "512 MB of memory needed, 500 offered: 12 missing",
        "InsufficientDisk": "10 MB of disk needed, 0 offered: 10 missing",
        "InsufficientGpus": "1 gpus needed, 0 offered: 1 missing",
        "InsufficientPorts": "3 ports needed, 2 offered",
    }


def test_what_is_not_needed_need_not_be_there() -> None:
    assert total(matched(offer("cpus:1;mem:128"), SMALL)) == "cpus:1;mem:128"


def test_several_offers_of_one_agent_are_one() -> None:
    found = matched([offer("cpus:0.5;mem:64", id="O1"), offer("cpus:0.5;mem:64", id="O2")], SMALL)
    assert total(found) == "cpus:1;mem:128"
    assert found.offer_ids == ("O1", "O2")


def test_nothing_is_taken_when_something_is_missing() -> None:
    remaining = Remaining([offer("cpus:2;mem:64;ports:[31000-31009]")])
    attempt(remaining, App(id="/app", mem=128))
    assert remaining.totals(frozenset("*")) == {"cpus": 2000, "mem": 64_000}
    assert remaining.ports(frozenset("*")) == ((31000, 31009),)


class TestRoles:
    OWN = "cpus(web):1;mem(web):128;cpus:1;mem:128"

    def app(self, *roles: str, cpus: float = 1) -> App:
        return App(
            id="/app",
            role="web",
            cpus=cpus,
            mem=128,
            port_definitions=(),
            accepted_resource_roles=roles or None,
        )

    def test_another_role_is_offered_nothing(self) -> None:
        assert refused(offer(role="web"), SMALL) == {
            "UnfulfilledRole": "offered to role 'web', the app's is '*'"
        }

    def test_what_is_reserved_goes_first(self) -> None:
        assert total(matched(offer(self.OWN, role="web"), self.app())) == "cpus(web):1;mem(web):128"

    def test_one_task_may_have_both(self) -> None:
        found = matched(offer(self.OWN, role="web"), self.app(cpus=1.5))
        assert total(found) == "cpus:0.5;cpus(web):1;mem(web):128"

    def test_only_what_is_left_to_all(self) -> None:
        assert total(matched(offer(self.OWN, role="web"), self.app("*"))) == "cpus:1;mem:128"

    def test_only_what_is_reserved(self) -> None:
        assert refused(offer(self.OWN, role="web"), self.app("web", cpus=2)) == {
            "InsufficientCpus": "2 cpus needed, 1 offered: 1 missing"
        }

    def test_nothing_of_the_roles_wanted(self) -> None:
        reasons = refused(offer("cpus:4;mem:512", role="web"), self.app("web"))
        assert reasons == {
            "UnfulfilledRole": "nothing is offered that is reserved for (or left to) 'web'",
            "InsufficientCpus": "1 cpus needed, 0 offered: 1 missing",
            "InsufficientMemory": "128 MB of memory needed, 0 offered: 128 missing",
        }

    @pytest.mark.parametrize(
        ("behavior", "taken"),
        [
            ("any", "cpus(web):1;mem(web):128"),
            ("unreserved", "cpus:1;mem:128"),
            ("reserved", "cpus(web):1;mem(web):128"),
        ],
    )
    def test_the_operator_chooses_for_those_who_do_not(self, behavior: str, taken: str) -> None:
        settings = Settings(accepted_resource_roles_default_behavior=behavior)  # type: ignore[arg-type]
        assert total(matched(offer(self.OWN, role="web"), self.app(), settings=settings)) == taken

    def test_what_is_reserved_for_a_role_above_is_as_good(self) -> None:
        app = App(
            id="/app", role="a/b", cpus=1, mem=128, port_definitions=(), accepted_resource_roles=("a/b",)
        )
        assert total(matched(offer("cpus(a):1;mem(a):128", role="a/b"), app)) == "cpus(a):1;mem(a):128"


class TestGpus:
    WITH = "cpus:4;mem:512;gpus:2"

    def test_agents_with_gpus_are_left_to_those_who_need_them(self) -> None:
        assert list(refused(offer(self.WITH), SMALL)) == ["DeclinedScarceResources"]

    def test_those_who_need_them_get_them(self) -> None:
        app = App(id="/app", cpus=1, mem=128, gpus=1, port_definitions=())
        assert total(matched(offer(self.WITH), app)) == "cpus:1;gpus:1;mem:128"

    def test_unless_the_operator_says_otherwise(self) -> None:
        assert matched(offer(self.WITH), SMALL, settings=Settings(gpu_scheduling_behavior="unrestricted"))

    @pytest.mark.parametrize(("label", "fits"), [("unrestricted", True), ("restricted", False)])
    def test_or_the_app(self, label: str, fits: bool) -> None:
        app = App(id="/app", cpus=1, mem=128, port_definitions=(), labels={"GPU_SCHEDULING_BEHAVIOR": label})
        settings = Settings(gpu_scheduling_behavior="restricted" if fits else "unrestricted")
        if fits:
            assert matched(offer(self.WITH), app, settings=settings)
        else:
            assert list(refused(offer(self.WITH), app, settings=settings)) == ["DeclinedScarceResources"]


class TestMaintenance:
    def test_an_agent_under_maintenance_is_left_alone(self) -> None:
        reasons = refused(offer(maintenance=(100, 50)), SMALL, now=120)
        assert reasons == {"AgentMaintenance": "the machine is under maintenance"}

    @pytest.mark.parametrize("now", [99, 150])
    def test_not_before_and_not_after(self, now: float) -> None:
        assert matched(offer(maintenance=(100, 50)), SMALL, now=now)

    def test_without_a_duration_it_never_ends(self) -> None:
        assert refused(offer(maintenance=(100, None)), SMALL, now=1e9)

    def test_draining_begins_earlier(self) -> None:
        reasons = refused(offer(maintenance=(100, 50)), SMALL, now=70, settings=Settings(draining_seconds=60))
        assert reasons == {"AgentMaintenance": "the machine goes into maintenance in 30 s"}

    def test_the_operator_may_not_care(self) -> None:
        settings = Settings(maintenance_mode=False)
        assert matched(offer(maintenance=(100, 50)), SMALL, now=120, settings=settings)


def test_a_custom_executor_needs_its_own_resources() -> None:
    app = App(
        id="/app",
        cpus=1,
        mem=128,
        port_definitions=(),
        executor="/opt/run",
        executor_resources=ExecutorResources(),
    )
    found = matched(offer(), app)
    assert [Amounts.from_v1(part).unallocated().format() for part in found.parts] == [
        "cpus:1;mem:128",
        "cpus:0.1;mem:32;disk:10",
    ]


def test_a_pod_needs_all_its_containers_and_an_executor() -> None:
    pod = Pod(
        id="/pod",
        containers=(
            PodContainer(
                "web", resources=Resources(cpus=0.5, mem=64), endpoints=(Endpoint("http", host_port=0),)
            ),
            PodContainer("log", resources=Resources(cpus=0.1, mem=32)),
        ),
        scheduling=Scheduling(placement=Placement(accepted_resource_roles=("*",))),
    )
    assert refused(offer("cpus:0.6;mem:4096;disk:10;ports:[31000-31000]"), pod) == {
        "InsufficientCpus": "0.7 cpus needed, 0.6 offered: 0.1 missing"
    }
    found = matched(offer("cpus:0.7;mem:128;disk:10;ports:[31000-31000]"), pod)
    assert [Amounts.from_v1(part).unallocated().format() for part in found.parts] == [
        "cpus:0.1;mem:32;disk:10",
        "cpus:0.5;mem:64",
        "cpus:0.1;mem:32",
    ]
    assert found.host_ports == (31000,)


def test_revocable_resources_and_others_disks_are_not_used() -> None:
    one = offer("cpus:4;mem:512")
    one.resources[0].revocable = v1.Resource.RevocableInfo()
    assert refused(one, SMALL)["InsufficientCpus"] == "1 cpus needed, 0 offered: 1 missing"


class TestRegions:
    def test_only_the_own_region_is_used(self) -> None:
        far, settings = offer(region="r2", zone="z1"), Settings(region="r1")
        said = refused(far, SMALL, settings=settings)["UnfulfilledConstraint"]
        assert said == "the agent is in region r2; without a constraint on @region only r1 is used"
        assert matched(offer(region="r1"), SMALL, settings=settings)
        assert matched(offer(), SMALL, settings=settings)
        assert matched(far, SMALL)

    def test_unless_a_constraint_says_which(self) -> None:
        app = App(id="/app", cpus=1, mem=1, port_definitions=(), constraints=(("@region", "IS", "r2"),))
        assert matched(offer(region="r2"), app, settings=Settings(region="r1"))
        assert refused(offer(region="r1"), app, settings=Settings(region="r1"))
