"""Host ports: fixed, any, none; and laws."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.marathon.matching import Match, Remaining, Settings, match
from koinon.marathon.matching.ports import assigned, choose, shortage
from koinon.marathon.matching.wanted import PortWish, wanted_of
from koinon.marathon.model import App
from koinon.marathon.model.app import Container, Network, PortDefinition, PortMapping
from koinon.mesos import v1
from koinon.mesos.resources import Resources
from koinon.mesos.resources.quantities import merge_ranges, thousandths

from .offers import matched, offer, refused


def on_host(*ports: int, require: bool = False) -> App:
    return App(
        id="/app",
        cpus=0.1,
        mem=1,
        port_definitions=tuple(PortDefinition(port) for port in ports),
        require_ports=require,
    )


def in_container(*mappings: PortMapping, mode: str = "container/bridge") -> App:
    return App(
        id="/app",
        cpus=0.1,
        mem=1,
        port_definitions=None,
        networks=(Network(mode, "net" if mode == "container" else None),),  # type: ignore[arg-type]
        container=Container("MESOS", port_mappings=mappings),
    )


def ports(resources: str) -> v1.Offer:
    return offer(f"cpus:1;mem:100;ports:{resources}")


def role_of(resource: v1.Resource) -> str:
    """That it is reserved for; empty if for nobody."""
    return next(iter(Resources.from_v1([resource]).reservations()), "")


def test_ports_are_any_unless_they_are_required() -> None:
    found = matched(ports("[31000-31001]"), on_host(8080, 8081))
    assert sorted(port or 0 for port in found.host_ports) == [31000, 31001]


def test_required_ports_must_be_offered() -> None:
    assert matched(ports("[8000-9000]"), on_host(8080, require=True)).host_ports == (8080,)
    assert refused(ports("[8000-8079,8081-9000]"), on_host(8080, require=True)) == {
        "InsufficientPorts": "port 8080 not offered"
    }
    assert refused(ports("[8000-8000]"), on_host(8080, 8000, 81, require=True)) == {
        "InsufficientPorts": "ports 81, 8080 not offered"
    }


def test_a_service_port_that_nobody_chose_is_no_host_port() -> None:
    app = App(
        id="/app",
        cpus=0.1,
        mem=1,
        port_definitions=(PortDefinition(10000, assigned=True), PortDefinition(31005)),
        require_ports=True,
    )
    first, second = matched(ports("[31000-31005]"), app).host_ports
    assert second == 31005
    assert first in range(31000, 31005)


def test_mappings_ask_for_what_they_say() -> None:
    app = in_container(PortMapping(80, 0), PortMapping(81, 31002), PortMapping(82))
    found = matched(ports("[31001-31002]"), app)
    assert found.host_ports == (31001, 31002, None)
    assert found.assigned == (31001, 31002, 82)


def test_two_protocols_may_share_a_port() -> None:
    app = in_container(PortMapping(53, 31053, protocol="tcp"), PortMapping(53, 31053, protocol="udp"))
    found = matched(ports("[31053-31053]"), app)
    assert found.host_ports == (31053, 31053)
    assert Resources.from_v1(found.resources).ports == [(31053, 31053)]


def test_a_port_that_only_the_container_sees_is_drawn() -> None:
    found = matched(offer("cpus:1;mem:9"), in_container(PortMapping(0), PortMapping(0), mode="container"))
    assert found.host_ports == (None, None)
    first, second = found.assigned
    assert 1025 <= first <= 65535
    assert first != second


def test_reserved_and_unreserved_ports_go_together() -> None:
    app = App(
        id="/app",
        role="web",
        cpus=0.1,
        mem=1,
        port_definitions=(PortDefinition(31000), PortDefinition(31001)),
        require_ports=True,
    )
    found = matched(offer("cpus:1;mem:100;ports(web):[31000-31000];ports:[31001-31001]", role="web"), app)
    assert sorted(
        (role_of(piece), piece.ranges.range[0].begin)
        for piece in found.port_resources
        if piece.ranges is not None
    ) == [("", 31001), ("web", 31000)]


NOTHING = wanted_of(on_host(), Settings())


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────
_FREE = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10)), max_size=5).map(
    lambda pairs: merge_ranges((begin, begin + more) for begin, more in pairs)
)
_WISHES = st.lists(
    st.one_of(st.just(0), st.integers(1, 70), st.none()).map(lambda port: PortWish(port, 0)), max_size=6
)


@given(_FREE, _WISHES, st.integers())
def test_ports_are_offered_and_distinct(
    free: tuple[tuple[int, int], ...], wishes: list[PortWish], seed: int
) -> None:
    there = {port for begin, end in free for port in range(begin, end + 1)}
    fixed = {wish.host for wish in wishes if wish.host}
    number_of_any = sum(wish.host == 0 for wish in wishes)
    wanted = msgspec.structs.replace(
        NOTHING, ports=tuple(wishes), fixed_ports=frozenset(fixed), any_ports=number_of_any
    )
    if shortage(wanted, free) is not None:
        assert not fixed <= there or len(there - fixed) < number_of_any
        return
    found = choose(wanted, free, Random(seed))
    drawn = [port for wish, port in zip(wishes, found, strict=True) if wish.host == 0]
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= there - fixed
    for wish, port in zip(wishes, found, strict=True):
        assert port == wish.host or wish.host == 0
    inside = assigned(wishes, found, Random(seed))
    assert all(inside)


@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 3), st.integers(1, 600), st.integers(0, 4), st.integers(0, 1), st.booleans()
        ),
        max_size=12,
    ),
    st.integers(),
)
def test_never_more_is_taken_than_offered(apps: list[tuple[float, int, int, int, bool]], seed: int) -> None:
    offers = [
        offer("cpus:2;cpus(web):1.5;mem:1000;ports:[31000-31004]", role="web", id="O1"),
        offer("cpus:1;mem(web):500;gpus:1;ports(web):[32000-32002]", role="web", id="O2"),
    ]
    whole = Resources.sum(Resources.from_v1(one.resources) for one in offers)
    remaining = Remaining(offers)
    taken: list[v1.Resource] = []
    host_ports: list[int] = []
    random = Random(seed)
    for cpus, mem, number, gpus, reserved in apps:
        app = App(
            id="/app",
            role="web",
            cpus=cpus,
            mem=mem,
            gpus=gpus,
            port_definitions=(PortDefinition(),) * number,
            accepted_resource_roles=("web",) if reserved else None,
            labels={"GPU_SCHEDULING_BEHAVIOR": "unrestricted"},
        )
        found = match(remaining, app, placed=[], settings=Settings(), random=random, now=0)
        if isinstance(found, Match):
            own = Resources.from_v1(found.resources)
            assert own.scalars["cpus"] == thousandths(cpus)
            assert len(found.host_ports) == number
            taken += found.resources
            host_ports += [port for port in found.host_ports if port is not None]
            assert not reserved or all(map(role_of, found.resources))
    assert whole.contains(Resources.from_v1(taken))
    assert len(set(host_ports)) == len(host_ports)


@pytest.mark.parametrize("seed", range(20))
def test_ports_that_may_be_any_follow_each_other(seed: int) -> None:
    found = choose(wanted_of(on_host(0, 0, 0), Settings()), ((31000, 31999),), Random(seed))
    first = found[0] or 0
    assert found == [31000 + (first - 31000 + step) % 1000 for step in range(3)]
