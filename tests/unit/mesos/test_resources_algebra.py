"""The laws of the arithmetic, for any resources."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.mesos import codec, v1
from koinon.mesos.resources import ResourceError, Resources

Type = v1.Value.Type
Info = v1.Resource.ReservationInfo

_ROLES = st.sampled_from(["ads", "ads/web", "ops"])
_STACKS = st.sampled_from(
    [
        [],
        [],
        [Info(type=Info.Type.STATIC, role="ads")],
        [Info(type=Info.Type.DYNAMIC, role="ads", principal="p")],
        [Info(type=Info.Type.STATIC, role="ads"), Info(type=Info.Type.DYNAMIC, role="ads/web")],
    ]
)
_THOUSANDTHS = st.integers(0, 5_000_000).map(lambda count: v1.Value.Scalar(count / 1000))


def _disks() -> st.SearchStrategy[v1.Resource]:
    source = v1.Resource.DiskInfo.Source
    infos = st.sampled_from(
        [
            v1.Resource.DiskInfo(source=source(type=source.Type.PATH, path=source.Path(root="/a"))),
            v1.Resource.DiskInfo(source=source(type=source.Type.MOUNT, mount=source.Mount(root="/b"))),
        ]
    )
    return st.builds(
        v1.Resource,
        name=st.just("disk"),
        type=st.just(Type.SCALAR),
        scalar=_THOUSANDTHS,
        reservations=_STACKS,
        disk=infos,
    )


@st.composite
def _volumes(draw: st.DrawFn) -> v1.Resource:
    return v1.Resource(
        name="disk",
        type=Type.SCALAR,
        scalar=v1.Value.Scalar(64.0),
        reservations=draw(_STACKS.filter(bool)),
        disk=v1.Resource.DiskInfo(
            persistence=v1.Resource.DiskInfo.Persistence(id=draw(st.sampled_from(["v1", "v2"]))),
            volume=v1.Volume(mode=v1.Volume.Mode.RW, container_path="data"),
        ),
        shared=draw(st.sampled_from([None, v1.Resource.SharedInfo()])),
    )


_SCALARS = st.builds(
    v1.Resource,
    name=st.sampled_from(["cpus", "mem", "gpus", "x"]),
    type=st.just(Type.SCALAR),
    scalar=_THOUSANDTHS,
    reservations=_STACKS,
    revocable=st.sampled_from([None, None, v1.Resource.RevocableInfo()]),
    allocation_info=st.none() | st.builds(v1.Resource.AllocationInfo, role=_ROLES),
)


@st.composite
def _ports(draw: st.DrawFn, within: st.SearchStrategy[int]) -> v1.Resource:
    ports = sorted(draw(st.sets(within, max_size=12)))
    ranges = [v1.Value.Range(begin=port, end=port) for port in ports]
    return v1.Resource(
        name="ports", type=Type.RANGES, ranges=v1.Value.Ranges(range=ranges), reservations=draw(_STACKS)
    )


@st.composite
def _gadgets(draw: st.DrawFn, within: st.SearchStrategy[str]) -> v1.Resource:
    items = sorted(draw(st.sets(within, max_size=3)))
    return v1.Resource(
        name="gadgets", type=Type.SET, set=v1.Value.Set(item=items), reservations=draw(_STACKS)
    )


def _some(ports: st.SearchStrategy[int], gadgets: st.SearchStrategy[str]) -> st.SearchStrategy[Resources]:
    one = _SCALARS | _disks() | _volumes() | _ports(ports) | _gadgets(gadgets)
    return st.lists(one, max_size=6).map(Resources.from_v1)


#: Any resources; and others that share neither ports nor items with `left`.
resources = _some(st.integers(0, 30), st.sampled_from("abcd"))
left = _some(st.integers(0, 30).map(lambda port: 2 * port), st.sampled_from("abcd"))
right = _some(st.integers(0, 30).map(lambda port: 2 * port + 1), st.sampled_from("efgh"))


@given(resources, resources)
def test_addition_commutes(a, b):
    assert a + b == b + a


@given(resources, resources, resources)
def test_addition_associates(a, b, c):
    assert (a + b) + c == a + (b + c) == Resources.sum([a, b, c])


@given(left, right)
def test_what_was_added_can_be_taken_away(a, b):
    assert a + b - b == a
    assert a + b - a == b


@given(resources, resources)
def test_what_is_left_and_what_was_taken_make_the_whole(a, b):
    whole = a + b
    assert whole.contains(a)
    assert (whole - a) + a == whole


@given(resources, resources)
def test_subtraction_is_possible_exactly_for_what_is_contained(a, b):
    if a.contains(b):
        assert (a - b) + b == a
    else:
        with pytest.raises(ResourceError):
            a - b


@given(resources, resources, resources)
def test_containment_is_a_partial_order(a, b, c):
    assert a.contains(a)
    if a.contains(b) and b.contains(a):
        assert a == b
    if a.contains(b) and b.contains(c):
        assert a.contains(c)
    assert (a + b + c).contains(a + b)
    assert a.contains(Resources())


@given(left, right, right)
def test_nothing_is_ever_negative_or_empty(a, b, c):
    for some in (a + b, a + b - b, a - a, a.unallocated(), Resources.sum([a, b, c])):
        assert all(amount > 0 for amount in some.scalars.values())
        for resource in some.to_v1():
            assert resource.scalar is None or resource.scalar.value > 0
            assert resource.ranges is None or resource.ranges.range
            assert resource.set is None or resource.set.item


@given(resources, resources)
def test_equality_and_hash_agree(a, b):
    assert (a == b) is (a.contains(b) and b.contains(a))
    if a == b:
        assert hash(a) == hash(b)
        assert a.format() == b.format()
        assert a.to_v1() == b.to_v1()
    assert hash(a + b) == hash(b + a)


@given(st.lists(st.integers(1, 10**9), max_size=20))
def test_sums_of_thousandths_are_exact(counts):
    total = Resources.sum(
        Resources.from_v1([v1.Resource(name="x", type=Type.SCALAR, scalar=v1.Value.Scalar(count / 1000))])
        for count in counts
    )
    assert total.scalars.get("x", 0) == sum(counts)


@given(resources)
def test_messages_round_trip_in_every_form_that_can_tell(a):
    plain = a.without_reservation_refinements()
    for some, form in ((a, "post"), (a, "endpoint"), (plain, "pre")):
        told = some.to_v1(form)
        assert Resources.from_v1(told) == some
        for content_type in (codec.JSON, codec.PROTOBUF):
            passed = [
                codec.decode(v1.Resource, codec.encode(one, content_type), content_type) for one in told
            ]
            assert Resources.from_v1(passed) == some


@given(resources)
def test_json_is_read_wherever_text_is(a):
    assert Resources.parse(msgspec.json.encode(a.to_v1()).decode()) == a


@given(resources)
def test_text_round_trips_for_what_text_can_tell(a):
    tellable = a.unallocated().filter(
        lambda kind: (
            not kind.revocable
            and kind.disk is None
            and kind.reservations in ((), (("ads", False, None, ()),))
        )
    )
    assert Resources.parse(tellable.format()) == tellable


@given(resources)
def test_parts_make_the_whole(a):
    assert a.unreserved() + Resources.sum(a.reservations().values()) == a
    assert a.revocable() + a.nonrevocable() == a
    for role, part in a.reservations().items():
        assert a.reserved(role) == part
    assert a.allocated("ops").unallocated() == a.unallocated()
    assert a.unallocated().scalars == a.scalars
