"""Who is offered what, and when."""

from koinon.allocator import Allocation, Reason
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from tests.unit.allocator.situations import ALL, R, add_agents, decline, make, reasons, takers


def test_all_that_is_free_on_an_agent_goes_to_one_framework_with_its_role_on_it(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    assert allocator.allocate(0.0) == [Allocation("F", "*", "S", R(ALL).allocated("*"))]
    assert allocator.allocate(0.1) == []
    assert allocator.allocated == allocator.totals == {"cpus": 4000, "mem": 4096000}
    assert reasons(allocator, "F") == []


def test_agents_are_shared_out_evenly(allocator):
    for framework_id in "ABC":
        allocator.add_framework(framework_id, ["*"])
    add_agents(allocator, *(f"S{number}" for number in range(9)))
    got = list(takers(allocator.allocate(0.0)).values())
    assert sorted(got) == sorted("ABC" * 3)


def test_the_paper_s_example_with_whole_agents_offered():
    """9 CPUs and 18 GB on one agent; each framework takes one task of each offer and declines the rest."""
    allocator = make()
    demands = {"A": R("cpus:1;mem:4096"), "B": R("cpus:3;mem:1024")}
    tasks = dict.fromkeys(demands, 0)
    for framework_id in demands:
        allocator.add_framework(framework_id, ["*"])
    add_agents(allocator, "S", resources="cpus:9;mem:18432")
    now = 0.0
    while made := allocator.allocate(now):
        (offer,) = made
        demand = demands[offer.framework_id].allocated("*")
        if offer.resources.contains(demand):
            tasks[offer.framework_id] += 1
            rest, refuse_s = offer.resources - demand, None
        else:
            rest, refuse_s = offer.resources, 3600.0
        allocator.recover(offer.framework_id, "S", rest, refuse_s=refuse_s, now=now)
        now += 0.1
    assert tasks == {"A": 3, "B": 2}


def test_a_framework_with_several_roles_is_offered_one_agent_in_one_role_each(allocator):
    allocator.add_framework("F", ["a", "b"])
    add_agents(allocator, "S", resources="cpus:4;mem:4096;cpus(a):1;mem(a):512;cpus(b):2")
    made = {one.role: one.resources for one in allocator.allocate(0.0)}
    free = R("cpus:4;mem:4096")
    assert sum((one.unallocated() for one in made.values()), Resources()) == free + R(
        "cpus(a):1;mem(a):512;cpus(b):2"
    )
    first, last = made
    assert made[first].unallocated().contains(free)
    assert made[last].unallocated().reservations().keys() == {last}


def test_reservations_go_to_their_role_and_the_roles_below_it_only(allocator):
    allocator.add_framework("other", ["b"])
    add_agents(allocator, "S", resources="cpus(a):4;mem(a):512")
    assert allocator.allocate(0.0) == []
    assert reasons(allocator, "other") == [Reason.NOT_FOR_ROLE]
    allocator.add_framework("below", ["a/x"])
    assert takers(allocator.allocate(0.1)) == {"S": "below"}


def test_a_refined_reservation_needs_its_capability():
    for capabilities, got in (((), set()), (("RESERVATION_REFINEMENT",), {"F"})):
        allocator = make()
        allocator.add_framework("F", ["a/b"], capabilities=capabilities)
        kind = v1.Resource.ReservationInfo
        stack = [kind(type=kind.Type.STATIC, role="a"), kind(type=kind.Type.DYNAMIC, role="a/b")]
        cpus = v1.Resource(
            name="cpus", type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(4.0), reservations=stack
        )
        allocator.add_agent("S", hostname="S.host", total=Resources.from_v1([cpus]))
        assert {made.framework_id for made in allocator.allocate(0.0)} == got


def test_revocable_resources_are_left_out_for_those_who_do_not_ask_for_them():
    cpus = v1.Resource(
        name="cpus",
        type=v1.Value.Type.SCALAR,
        scalar=v1.Value.Scalar(2.0),
        revocable=v1.Resource.RevocableInfo(),
    )
    total = R("mem:64") + Resources.from_v1([cpus])
    allocator = make()
    allocator.add_framework("F", ["*"])
    allocator.add_agent("S", hostname="S.host", total=total)
    (made,) = allocator.allocate(0.0)
    assert made.resources == R("mem:64").allocated("*")
    allocator.add_framework("revocable", ["*"], capabilities=["REVOCABLE_RESOURCES"])
    (made,) = allocator.allocate(0.1)
    assert made.framework_id == "revocable"
    assert made.resources.revocable() == made.resources


def shared_volume() -> Resources:
    disk = v1.Resource.DiskInfo
    kind = v1.Resource.ReservationInfo
    return Resources.from_v1(
        [
            v1.Resource(
                name="disk",
                type=v1.Value.Type.SCALAR,
                scalar=v1.Value.Scalar(100.0),
                reservations=[kind(type=kind.Type.STATIC, role="a")],
                disk=disk(
                    persistence=disk.Persistence(id="v"),
                    volume=v1.Volume(container_path="v", mode=v1.Volume.Mode.RW),
                ),
                shared=v1.Resource.SharedInfo(),
            )
        ]
    )


def test_a_shared_volume_is_offered_while_it_is_used_but_once_in_a_run():
    allocator = make(minimum=())
    for framework_id in "AB":
        allocator.add_framework(framework_id, ["a"], capabilities=["SHARED_RESOURCES"])
    allocator.add_framework("unaware", ["a"])
    allocator.add_agent("S", hostname="S.host", total=R("cpus:2") + shared_volume())
    first = allocator.allocate(0.0)
    assert sum(bool(made.resources.shared()) for made in first) == 1
    second = [made for made in allocator.allocate(1.0) if made.resources.shared()]
    assert len(second) == 1
    for made in first + second:
        allocator.recover(made.framework_id, "S", made.resources, refuse_s=None, now=1.0)
    assert allocator.allocated == {}


# ── when ────────────────────────────────────────────────────────────────────────────────────────────


def test_changes_are_allocated_at_once_and_everything_each_interval(allocator):
    allocator.add_framework("F", ["*"])
    add_agents(allocator, "S")
    assert allocator.next_wakeup(0.0) == 0.0
    made = allocator.allocate(0.0)
    assert allocator.next_wakeup(0.0) == 1.0
    decline(allocator, made, now=0.2, refuse_s=None)
    assert allocator.next_wakeup(0.2) == 0.2
    assert len(allocator.allocate(0.2)) == 1


def test_only_what_changed_is_looked_at_between_batches(allocator):
    add_agents(allocator, "S1", "S2")
    allocator.add_framework("F", ["*"])
    allocator.add_framework("G", ["*"])
    made = allocator.allocate(0.0)
    by_agent = {one.agent_id: one for one in made}
    decline(allocator, [by_agent["S1"]], now=0.5, refuse_s=None)
    assert [one.agent_id for one in allocator.allocate(0.5)] == ["S1"]
    assert [decision.time_s for decision in allocator.why(by_agent["S2"].framework_id, 0.5)] in ([], [0.5])


def test_the_same_seed_gives_the_same_allocation():
    def run() -> list[Allocation]:
        allocator = make()
        for number in range(5):
            allocator.add_framework(f"F{number}", ["a", "b"][: 1 + number % 2])
        add_agents(allocator, *(f"S{number}" for number in range(50)), resources="cpus:4;mem:64;cpus(a):1")
        return allocator.allocate(0.0)

    assert run() == run()


def test_many_agents_are_given_away_over_several_runs(allocator):
    ids = [f"a{number}" for number in range(2500)]
    add_agents(allocator, *ids)
    for framework_id in ("f1", "f2"):
        allocator.add_framework(framework_id, ["*"])
    runs = []
    while allocator.next_wakeup(0.0) <= 0.0:
        runs.append(allocator.allocate(0.0))
    assert [len(made) for made in runs] == [1000, 1000, 500]
    given = takers([made for run in runs for made in run])
    assert sorted(given) == sorted(ids)
    assert list(given.values()).count("f1") == 1250


def test_agent_that_is_freed_while_many_wait_has_its_turn_after_them(allocator):
    add_agents(allocator, *(f"a{number}" for number in range(1500)))
    allocator.add_framework("f", ["*"])
    made, *_ = allocator.allocate(0.0)
    allocator.recover("f", made.agent_id, made.resources, refuse_s=None, now=0.0)
    rest = takers(allocator.allocate(0.0))
    assert len(rest) == 501
    assert made.agent_id in rest
    assert allocator.next_wakeup(0.0) > 0.0
