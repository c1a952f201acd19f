"""Plans: which steps lead from one root to another, and which versions things get on the way."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from koinon.marathon.core import planner
from koinon.marathon.core.changes import stamp
from koinon.marathon.model import App, Group, Pod, Root
from koinon.marathon.model.app import VersionInfo
from koinon.marathon.model.pod import PodContainer, Scaling
from koinon.marathon.model.root import RunSpec

V1, V2 = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"


def root(*specs: RunSpec, groups: dict[str, tuple[str, ...]] | None = None) -> Root:
    all_groups = {"/": Group("/")} | {
        path: Group(path, dependencies=dependencies) for path, dependencies in (groups or {}).items()
    }
    return Root(
        apps={one.id: one for one in specs if isinstance(one, App)},
        pods={one.id: one for one in specs if isinstance(one, Pod)},
        groups=all_groups,
        version=V1,
    )


def known(*specs: RunSpec, groups: dict[str, tuple[str, ...]] | None = None) -> Root:
    """As it is after it was deployed as V1."""
    stamped, _ = stamp(root(), root(*specs, groups=groups), V1, (), ())
    return stamped


def plan(before: Root, target: Root, restart: frozenset[str] = frozenset()) -> list[list[str]]:
    """The steps, in words."""
    stamped, changed = stamp(before, target, V2, restart, ())
    steps = planner.plan(before, stamped, changed)
    return [[f"{one.action} {one.run_spec}" for one in step.actions] for step in steps]


def changed(before: Root, *specs: RunSpec, remove: tuple[str, ...] = ()) -> Root:
    """With these as they are now; their versions are those of before."""
    apps, pods = dict(before.apps), dict(before.pods)
    for spec in specs:
        old = before.run_spec(spec.id)
        if old is not None:
            spec = replace(spec, version=old.version, version_info=old.version_info)
        (apps if isinstance(spec, App) else pods)[spec.id] = spec  # type: ignore[index]
    for path in remove:
        apps.pop(path, None)
        pods.pop(path, None)
    return replace(before, apps=apps, pods=pods)


POD = Pod("/p", containers=(PodContainer("c"),))


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────
def test_new_ones_are_started_then_scaled() -> None:
    assert plan(root(), root(App("/a"), POD)) == [
        ["StartApplication /a", "StartPod /p"],
        ["ScaleApplication /a", "ScalePod /p"],
    ]


def test_each_kind_of_change_has_its_action() -> None:
    before = known(App("/scaled"), App("/changed"), App("/suspended"), App("/kept"), App("/gone"), POD)
    target = changed(
        before,
        App("/scaled", instances=5),
        App("/changed", cmd="new"),
        App("/suspended", cmd="new", instances=0),
        replace(POD, scaling=Scaling(instances=3)),
        remove=("/gone",),
    )
    assert plan(before, target) == [
        ["StopApplication /gone"],
        [
            "RestartApplication /changed",
            "ScalePod /p",
            "ScaleApplication /scaled",
            "ScaleApplication /suspended",
        ],
    ]


def test_equal_definitions_make_no_plan() -> None:
    before = known(App("/a", cmd="x"), POD)
    assert plan(before, changed(before, App("/a", cmd="x"), POD)) == []


def test_restart_replaces_what_stays_as_it_is() -> None:
    before = known(App("/a"), POD)
    assert plan(before, before, frozenset({"/a", "/p"})) == [["RestartApplication /a", "RestartPod /p"]]


def test_dependencies_come_first_and_go_last() -> None:
    apps = (App("/db"), App("/app", dependencies=("/db",)), App("/web", dependencies=("/app", "/db")))
    assert plan(root(), root(*apps))[1:] == [
        ["ScaleApplication /db"],
        ["ScaleApplication /app"],
        ["ScaleApplication /web"],
    ]
    before = known(*apps)
    assert plan(before, changed(before, remove=("/db", "/app", "/web"))) == [
        ["StopApplication /web"],
        ["StopApplication /app"],
        ["StopApplication /db"],
    ]


def test_order_holds_across_what_does_not_change() -> None:
    apps = (App("/db"), App("/app", dependencies=("/db",)), App("/web", dependencies=("/app",)))
    before = known(*apps)
    target = changed(before, App("/db", cmd="x"), App("/web", cmd="x", dependencies=("/app",)))
    assert plan(before, target) == [["RestartApplication /db"], ["RestartApplication /web"]]


def test_groups_depend_and_are_depended_on_with_all_that_is_in_them() -> None:
    groups: dict[str, tuple[str, ...]] = {"/front": ("/back",), "/back": ()}
    specs = (App("/front/web"), replace(POD, id="/front/pod"), App("/back/a"), App("/back/b"))
    assert plan(root(), root(*specs, groups=groups))[1:] == [
        ["ScaleApplication /back/a", "ScaleApplication /back/b"],
        ["ScalePod /front/pod", "ScaleApplication /front/web"],
    ]


def test_long_chains() -> None:
    apps = [App("/a0"), *(App(f"/a{n}", dependencies=(f"/a{n - 1}",)) for n in range(1, 3000))]
    assert len(plan(root(), root(*apps))) == 3001


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sets(st.integers(0, 30), max_size=4), min_size=1, max_size=30))
def test_nothing_comes_before_what_it_depends_on(edges: list[set[int]]) -> None:
    apps = [
        App(f"/a{n}", dependencies=tuple(f"/a{m}" for m in sorted(below) if m < n))
        for n, below in enumerate(edges)
    ]
    layers = planner.layers(root(*apps), [one.id for one in apps])
    place = {path: number for number, layer in enumerate(layers) for path in layer}
    assert place.keys() == {one.id for one in apps}
    for app in apps:
        assert place[app.id] == max((place[one] + 1 for one in app.dependencies), default=0)


# ── versions ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (App("/a", instances=3), VersionInfo(V2, V1)),
        (App("/a", cmd="new"), VersionInfo(V2, V2)),
        (App("/a", cmd="new", instances=3), VersionInfo(V2, V2)),
        (App("/a", labels={"x": "y"}), VersionInfo(V2, V2)),
        (App("/b"), VersionInfo(V2, V2)),
    ],
)
def test_versions_of_what_has_changed(spec: App, expected: VersionInfo) -> None:
    before = known(App("/a"))
    stamped, ids = stamp(before, changed(before, spec), V2, (), ())
    assert stamped.apps[spec.id].version_info == expected
    assert stamped.apps[spec.id].version == V2
    assert ids == [spec.id]


def test_versions_of_a_restart() -> None:
    stamped, ids = stamp(known(App("/a")), known(App("/a")), V2, {"/a"}, ())
    assert stamped.apps["/a"].version_info == VersionInfo(V1, V2)
    assert ids == ["/a"]


def test_what_is_equal_stays_the_same_object() -> None:
    before = known(App("/a"), App("/b"))
    stamped, ids = stamp(before, changed(before, App("/a")), V2, (), ())
    assert stamped.apps["/a"] is before.apps["/a"]
    assert ids == []
