"""Resources: text and messages in, arithmetic, parts, and out again."""

import copy
import pickle

import msgspec
import pytest

from koinon.mesos import v1
from koinon.mesos.resources import Reservation, ResourceError, Resources, parse_resources

AGENT = "cpus:4;mem:1024;disk:2000;ports:[31000-32000]"


def R(text):
    return Resources.parse(text)


def read(*objects):
    return Resources.from_v1([msgspec.convert(object, v1.Resource) for object in objects])


def scalar(name, value, **more):
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


STATIC = {"type": "STATIC", "role": "ads"}
DYNAMIC = {
    "type": "DYNAMIC",
    "role": "ads",
    "principal": "ops",
    "labels": {"labels": [{"key": "k", "value": "v"}]},
}
REFINED = {"type": "DYNAMIC", "role": "ads/web", "principal": "ops"}
PERSISTENT = {"persistence": {"id": "v1"}, "volume": {"mode": "RW", "container_path": "data"}}


def volume(value=64, **more):
    return scalar("disk", value, **{"reservations": [DYNAMIC], "disk": PERSISTENT, **more})


def mount(value=100, root="/mnt/a", **more):
    return scalar("disk", value, disk={"source": {"type": "MOUNT", "mount": {"root": root}}}, **more)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────
def test_text_knows_scalars_ranges_sets_and_static_reservations():
    resources = R(" cpus : 1.5 ; mem(ads):512; ports:[ 31000-31001 , 5-7 ];gadgets:{b, a}; ")
    assert resources.scalars == {"cpus": 1500, "mem": 512_000}
    assert resources.ports == [(5, 7), (31000, 31001)]
    assert resources.reserved("ads") == R("mem(ads):512")
    assert resources.format() == "cpus:1.5;mem(ads):512;ports:[5-7,31000-31001];gadgets:{a,b}"


@pytest.mark.parametrize("text", ["", " ", ";;", "cpus:0", "cpus:0.0004", "ports:[]", "gadgets:{}"])
def test_nothing_is_written_in_many_ways(text):
    assert R(text) == Resources()
    assert not R(text)
    assert len(R(text)) == 0


def test_the_default_role_gets_what_names_no_role():
    resources = Resources.parse("cpus:1;mem(web):2;disk(*):3", default_role="ads")
    assert resources == R("cpus(ads):1;mem(web):2;disk:3")
    json = '[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]'
    assert Resources.parse(json, default_role="ads") == R("cpus(ads):1")


def test_what_text_names_is_known_even_if_there_is_none_of_it():
    assert [resource.name for resource in parse_resources("gpus:0;ports:[]")] == ["gpus", "ports"]


def test_json_is_an_array_of_messages():
    json = '[{"name":"disk","type":"SCALAR","scalar":{"value":"5"},"disk":{"source":{"type":"PATH"}}}]'
    assert R(json).disk == 5.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cpus", "'cpus' is not of the form name:value"),
        (":4", "':4' is not of the form"),
        ("cpus(ads:4", "is not of the form"),
        ("cpus:", "'' of 'cpus' is neither a number"),
        ("cpus:four", "'four' of 'cpus' is neither a number"),
        ("cpus:nan", "'nan' of 'cpus' is neither a number"),
        ("cpus:-1", "resource 'cpus': a scalar must not be negative, as -1.0 is"),
        ("cpus:1e999", "resource 'cpus': a scalar must be finite"),
        ("ports:[5]", "'5' is not a range such as 31000-32000"),
        ("ports:[5-7", "neither a number"),
        ("ports:[7-5]", "range [7-5] begins after its end"),
        ("ports:[1-5,5-7]", "range [5-7] overlaps another"),
        ("ports:[1-9223372036854775808]", "ends beyond all bounds"),
        ("gadgets:{a,a}", "a set must not hold an item twice"),
        ("cpus(-ads):4", "role '-ads' must not have a part that starts with '-'"),
        ("cpus(/):4", "role '/' must not start or end with a slash"),
        ('[{"name":"cpus"}]', "not a JSON array of resources: Object missing required field `type`"),
        ("[", "not a JSON array of resources"),
    ],
)
def test_text_that_makes_no_sense_is_refused_with_a_sentence(text, complaint):
    with pytest.raises(ResourceError) as refusal:
        R(text)
    assert complaint in str(refusal.value)


# ── messages ──────────────────────────────────────────────────────────────────────────────────────
FORMS = {
    "unreserved": (
        scalar("cpus", 1.0),
        scalar("cpus", 1.0, role="*"),
        scalar("cpus", 1.0, role="*"),
    ),
    "static": (
        scalar("cpus", 1.0, reservations=[STATIC]),
        scalar("cpus", 1.0, role="ads"),
        scalar("cpus", 1.0, role="ads", reservations=[STATIC]),
    ),
    "dynamic": (
        scalar("cpus", 1.0, reservations=[DYNAMIC]),
        scalar("cpus", 1.0, role="ads", reservation={"principal": "ops", "labels": DYNAMIC["labels"]}),
        scalar(
            "cpus",
            1.0,
            role="ads",
            reservation={"principal": "ops", "labels": DYNAMIC["labels"]},
            reservations=[DYNAMIC],
        ),
    ),
}


@pytest.mark.parametrize("reservation", FORMS)
@pytest.mark.parametrize(("place", "form"), list(enumerate(("post", "pre", "endpoint"))))
def test_all_forms_are_read_and_written(reservation, place, form):
    resources = read(FORMS[reservation][0])
    assert read(FORMS[reservation][place]) == resources
    assert resources.to_v1(form) == [msgspec.convert(FORMS[reservation][place], v1.Resource)]


def test_a_refined_reservation_has_no_pre_form_and_shows_its_stack_only():
    told = scalar("cpus", 1.0, reservations=[STATIC, REFINED])
    refined = read(told)
    assert refined.to_v1("post") == refined.to_v1("endpoint") == [msgspec.convert(told, v1.Resource)]
    with pytest.raises(ResourceError, match="refined"):
        refined.to_v1("pre")
    assert refined.without_reservation_refinements() == Resources()
    assert refined.reserved("ads/web") is refined
    assert read(told | {"role": "ads/web"}) == refined


def test_equal_messages_give_the_same_object():
    assert R(AGENT) is R(AGENT)
    assert R(AGENT).to_v1() is R(AGENT).to_v1()


def test_labels_of_a_reservation_have_no_order():
    def labelled(*keys):
        labels = {"labels": [{"key": key} for key in keys]}
        return read(scalar("cpus", 1, reservations=[DYNAMIC | {"labels": labels}]))

    assert labelled("a", "b") == labelled("b", "a")


def test_reservations_that_differ_stay_apart():
    other = DYNAMIC | {"principal": "dev"}
    resources = read(scalar("cpus", 1, reservations=[DYNAMIC]), scalar("cpus", 2, reservations=[other]))
    assert len(resources) == 2
    assert resources.cpus == 3.0
    assert resources.reservations() == {"ads": resources}
    assert not resources.contains(read(scalar("cpus", 2, reservations=[DYNAMIC])))


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        (scalar("", 1), "the name must not be empty"),
        ({"name": "a", "type": "SCALAR"}, "of type SCALAR, so exactly that value must be set"),
        (scalar("a", 1, set={"item": ["x"]}), "of type SCALAR, so exactly that value"),
        (scalar("a", 1) | {"type": "RANGES"}, "of type RANGES, so exactly that value"),
        ({"name": "a", "type": "TEXT"}, "the type must be SCALAR, RANGES or SET, not TEXT"),
        (scalar("cpus", 1, disk=PERSISTENT), "only a scalar resource 'disk' may have DiskInfo"),
        (scalar("disk", 1, shared={}), "only persistent volumes can be shared"),
        (scalar("cpus", 1, reservation={}), "needs a role other than '*'"),
        (scalar("cpus", 1, role="ads", reservation={"type": "STATIC"}), "its type is not STATIC"),
        (scalar("cpus", 1, role="ads", reservation={"role": "web"}), "but 'reservation.role' is 'web'"),
        (scalar("cpus", 1, reservations=[{"role": "ads"}]), "must be STATIC or DYNAMIC"),
        (scalar("cpus", 1, reservations=[{"type": "UNKNOWN", "role": "ads"}]), "must be STATIC or DYNAMIC"),
        (scalar("cpus", 1, reservations=[{"type": "STATIC"}]), "must name its role"),
        (scalar("cpus", 1, reservations=[STATIC | {"role": "*"}]), "nothing can be reserved for '*'"),
        (scalar("cpus", 1, reservations=[STATIC | {"role": "a b"}]), "must not contain whitespace"),
        (scalar("cpus", 1, reservations=[STATIC | {"principal": "p"}]), "neither principal nor labels"),
        (scalar("cpus", 1, reservations=[STATIC, STATIC | {"role": "ads/web"}]), "must be DYNAMIC"),
        (scalar("cpus", 1, reservations=[STATIC, DYNAMIC]), "for a role below it only, not for 'ads'"),
        (scalar("cpus", 1, reservations=[STATIC, REFINED | {"role": "adsweb"}]), "not for 'adsweb'"),
        (
            scalar("cpus", 1, role="web", reservations=[STATIC]),
            "'role' is 'web', but it is reserved for 'ads'",
        ),
        (scalar("cpus", 1, reservation={}, reservations=[STATIC]), "contradict each other"),
        (
            scalar("cpus", 1, reservation={"principal": "dev"}, reservations=[DYNAMIC]),
            "contradict each other",
        ),
        (volume(reservations=[]), "a persistent volume must be reserved"),
        (volume(revocable={}), "a persistent volume cannot be revocable"),
        (volume(disk={"persistence": {"id": "a/b"}}), "persistence id: 'a/b' must not contain a slash"),
        (volume(disk={"persistence": {"id": "a"}}), "needs 'volume'"),
        (volume(disk={"volume": PERSISTENT["volume"]}), "a volume on it must be persistent"),
        (volume(disk=PERSISTENT | {"volume": {"mode": "RO", "container_path": "d"}}), "must have mode RW"),
        (
            volume(disk=PERSISTENT | {"volume": {"mode": "RW", "container_path": "d", "host_path": "/"}}),
            "must not have 'host_path'",
        ),
    ],
)
def test_messages_that_break_a_rule_are_refused_with_a_sentence(told, complaint):
    with pytest.raises(ResourceError) as refusal:
        read(told)
    assert str(refusal.value).startswith(f"resource '{told['name']}': ")
    assert complaint in str(refusal.value)


# ── arithmetic ────────────────────────────────────────────────────────────────────────────────────
def test_scalars_are_exact_to_three_decimals():
    assert R("cpus:0.1") + R("cpus:0.2") == R("cpus:0.3")
    assert R("cpus:0.0005") == R("cpus:0.001")
    assert Resources.sum([R("cpus:0.001")] * 1000) == R("cpus:1")
    assert (R("cpus:0.1") + R("cpus:0.2")).to_v1()[0].scalar == v1.Value.Scalar(0.3)


def test_what_is_used_up_is_gone():
    rest = R(AGENT) - R("cpus:4;mem:1023.5;ports:[31000-31000,31500-31599,32000-32000]")
    assert rest == R("mem:0.5;disk:2000;ports:[31001-31499,31600-31999]")
    assert R(AGENT) - R(AGENT) == Resources()


def test_sets_are_taken_by_item():
    assert R("gadgets:{a,b,c}") - R("gadgets:{b}") == R("gadgets:{a,c}")
    assert R("gadgets:{a}") + R("gadgets:{b}") == R("gadgets:{a,b}")


@pytest.mark.parametrize(
    "other", ["cpus:4.001", "gpus:1", "ports:[1-1]", "ports:[31999-32001]", "cpus(ads):1", "gadgets:{d}"]
)
def test_what_is_not_there_cannot_be_taken(other):
    have = R(AGENT + ";gadgets:{a,b}")
    assert not have.contains(R(other))
    with pytest.raises(ResourceError, match="does not contain"):
        have - R(other)


def test_the_empty_changes_nothing():
    some = R(AGENT)
    assert some + Resources() is some
    assert Resources() + some is some
    assert some - Resources() is some


def test_a_volume_is_taken_whole_or_not_at_all():
    agent = read(scalar("disk", 1000), volume(64))
    assert agent.disk == 1064.0
    assert agent - read(volume(64)) == read(scalar("disk", 1000))
    assert not agent.contains(read(volume(63)))


def test_mounted_disks_of_different_places_stay_apart_and_whole():
    disks = read(mount(100, "/mnt/a"), mount(100, "/mnt/b"))
    assert len(disks) == 2
    assert disks.disk == 200.0
    assert disks - read(mount(100, "/mnt/a")) == read(mount(100, "/mnt/b"))
    assert not disks.contains(read(mount(50, "/mnt/a")))


def test_disk_on_a_path_and_raw_pools_are_divided_but_raw_disks_are_not():
    def source(value, **traits):
        return read(scalar("disk", value, disk={"source": traits}))

    assert source(100, type="PATH").contains(source(40, type="PATH"))
    assert source(100, type="RAW", profile="fast").contains(source(40, type="RAW", profile="fast"))
    assert not source(100, type="RAW", id="d1").contains(source(40, type="RAW", id="d1"))


def test_a_shared_volume_can_be_held_twice_but_counts_once():
    shared = read(volume(64, shared={}))
    twice = shared + shared
    assert twice.disk == 64.0
    assert twice.to_object()["disk"] == 64.0
    assert twice - shared == shared
    assert len(twice.to_v1()) == 2
    assert Resources.from_v1(twice.to_v1()) == twice
    assert not shared.contains(twice)
    assert twice.shared() is twice


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────
def test_revocable_resources_are_apart_from_others():
    resources = read(scalar("cpus", 1), scalar("cpus", 2, revocable={}))
    assert resources.revocable() == read(scalar("cpus", 2, revocable={}))
    assert resources.nonrevocable() == R("cpus:1")
    assert resources.to_object() == {"cpus": 1.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0, "cpus_revocable": 2.0}


def test_a_role_may_have_what_is_reserved_for_it_and_for_roles_above():
    resources = R("cpus:1;mem(ads):2;disk(ads/web):3;gpus(adsx):4")
    assert resources.allocatable_to("ads") == R("cpus:1;mem(ads):2")
    assert resources.allocatable_to("ads/web") == R("cpus:1;mem(ads):2;disk(ads/web):3")
    assert resources.allocatable_to("ads/web/x") == R("cpus:1;mem(ads):2;disk(ads/web):3")
    assert resources.allocatable_to("*") == resources.unreserved() == R("cpus:1")
    assert resources.reservations() == {
        "ads": R("mem(ads):2"),
        "ads/web": R("disk(ads/web):3"),
        "adsx": R("gpus(adsx):4"),
    }
    assert resources.reserved("web") == Resources()


def test_a_part_that_is_everything_is_the_object_itself():
    some = R(AGENT)
    assert some.unreserved() is some
    assert some.nonrevocable() is some
    assert some.allocatable_to("ads") is some
    assert some.unallocated() is some
    assert some.allocated("ads").allocated("ads") is some.allocated("ads")


def test_parts_by_name():
    assert R(AGENT).named("ports") == R("ports:[31000-32000]")
    assert R(AGENT).ports == [(31000, 32000)]
    assert R("ports:[1-2];ports(ads):[3-4]").ports == [(1, 4)]
    assert R("ports:5").ports == []


# ── allocation ────────────────────────────────────────────────────────────────────────────────────
def test_allocation_tells_who_holds_it():
    held = R(AGENT).allocated("ads")
    assert held != R(AGENT)
    assert held.allocation_roles == {"ads"}
    assert held.unallocated() == R(AGENT)
    assert held.allocated("web").allocation_roles == {"web"}
    assert {resource.allocation_info.role for resource in held.to_v1()} == {"ads"}
    assert Resources.from_v1(held.to_v1()) == held
    assert R(AGENT).allocation_roles == frozenset()
    assert not R(AGENT).contains(held)


def test_what_different_roles_hold_adds_up_once_nobody_holds_it():
    both = R("cpus:1").allocated("ads") + R("cpus:2").allocated("web")
    assert both.allocation_roles == {"ads", "web"}
    assert both.cpus == 3.0
    assert both.unallocated() == R("cpus:3")
    assert both.allocated("ads").cpus == 3.0


# ── out again ─────────────────────────────────────────────────────────────────────────────────────
def test_the_compact_object_always_has_the_four_numbers():
    assert Resources().to_object() == {"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0}
    assert R(
        "cpus:1;cpus(ads):0.5;gadgets:{b,a};ports:[1-2,5-6];ports(ads):[3-3];bandwidth:7"
    ).to_object() == {
        "cpus": 1.5,
        "gpus": 0.0,
        "mem": 0.0,
        "disk": 0.0,
        "bandwidth": 7.0,
        "ports": "[1-3, 5-6]",
        "gadgets": "{a, b}",
    }


def test_text_for_people_shows_what_text_cannot_read():
    assert (
        read(scalar("cpus", 1, reservations=[STATIC, REFINED])).format()
        == "cpus(ads)(ads/web, dynamic, ops):1"
    )
    assert read(volume(64, shared={})).format() == "disk(ads, dynamic, ops)[v1, data]{shared}:64"
    assert read(mount(), mount()).format() == "disk[MOUNT, /mnt/a]:2x100"
    assert read(scalar("cpus", 0.25, revocable={})).format() == "cpus{revocable}:0.25"
    assert repr(R("cpus:1")) == "<Resources cpus:1>"


def test_what_is_written_does_not_depend_on_the_order_of_reading():
    one, other = R("mem:1;cpus:2;x:3;cpus(b):1;cpus(a):1"), R("cpus(a):1;x:3;cpus(b):1;cpus:2;mem:1")
    assert one == other
    assert hash(one) == hash(other)
    assert one.format() == other.format()
    assert one.to_v1() == other.to_v1()


def test_copies_are_equal():
    held = read(volume(64, shared={}), scalar("cpus", 1, reservations=[STATIC, REFINED])).allocated("ads")
    assert pickle.loads(pickle.dumps(held)) == held
    assert copy.deepcopy(held) == held
    assert held != "cpus:1"


def test_filter_sees_the_kinds():
    held = read(volume(64), scalar("cpus", 1))
    volumes = held.filter(lambda kind: kind.disk is not None)
    assert volumes == read(volume(64))
    mine = Reservation("ads", dynamic=True, principal="ops", labels=(("k", "v"),))
    assert held.filter(lambda kind: mine in kind.reservations) == volumes
