"""What is asked for becomes the next root: what it changes, what it leaves as it is, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from koinon.marathon.core import changes
from koinon.marathon.core.changes import assign
from koinon.marathon.model import App, Root
from koinon.marathon.model.app import VersionInfo
from koinon.marathon.model.problems import BadArgument, BadRequest, Conflict, Invalid, NotFound
from koinon.marathon.model.settings import Rules

RULES = Rules()
OF_MONDAY = "2026-01-05T00:00:00.000Z"
replace = msgspec.structs.replace


def app(path: str, **fields: Any) -> dict[str, Any]:
    return {"id": path, "cmd": "sleep 1000"} | fields


def deployed(before: Root, target: Root) -> Root:
    """As the core makes it of a target: with ports and versions."""
    target = assign(before, target, RULES)
    info = VersionInfo(OF_MONDAY, OF_MONDAY)
    apps = {
        path: one if before.apps.get(path) is one else replace(one, version=OF_MONDAY, version_info=info)
        for path, one in target.apps.items()
    }
    return replace(target, apps=apps)


def root_of(*bodies: dict[str, Any]) -> Root:
    """With these apps, deployed."""
    return deployed(Root(), changes.put_apps(Root(), list(bodies), RULES))


def the(root: Root, path: str = "/a") -> App:
    return root.apps[path]


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────
def test_a_relative_id_lies_in_the_root_and_groups_above_are_made() -> None:
    root = changes.create_app(Root(), app("team/db/main"), RULES)
    assert list(root.apps) == ["/team/db/main"]
    assert sorted(root.groups) == ["/", "/team", "/team/db"]


def test_what_is_there_cannot_be_created() -> None:
    with pytest.raises(Conflict, match="already exists"):
        changes.create_app(root_of(app("/a")), app("a"), RULES)


def test_a_partial_update_replaces_only_the_fields_that_it_has() -> None:
    root = root_of(app("/a", env={"A": "1", "B": "2"}, labels={"x": "y"}, cpus=2))
    changed = the(changes.put_app(root, "/a", {"env": {"C": "3"}}, RULES))
    assert changed == replace(the(root), env={"C": "3"})


def test_a_full_update_takes_defaults_for_what_is_missing() -> None:
    root = root_of(app("/a", env={"A": "1"}, cpus=2))
    changed = the(changes.put_app(root, "/a", app("/a"), RULES, partial=False))
    assert (changed.env, changed.cpus, changed.version) == ({}, 1.0, OF_MONDAY)


def test_null_unsets_a_field() -> None:
    root = root_of(app("/a", user="me", cpus=2, env={"A": "1"}, resourceLimits={"mem": "unlimited"}))
    changed = the(
        changes.put_app(root, "/a", dict.fromkeys(["user", "cpus", "env", "resourceLimits"]), RULES)
    )
    assert (changed.user, changed.cpus, changed.env, changed.resource_limits) == (None, 1.0, {}, None)


def test_a_partial_update_keeps_resources_of_the_executor_and_limits() -> None:
    root = root_of(app("/a", executorResources={"cpus": 0.5}, resourceLimits={"mem": 512}))
    changed = the(changes.put_app(root, "/a", {"cmd": "sleep 2"}, RULES))
    assert changed == replace(the(root), cmd="sleep 2")


def test_the_path_wins_over_the_id_in_the_body() -> None:
    root = changes.put_app(root_of(app("/a")), "/a", {"id": "/b", "instances": 3}, RULES)
    assert {path: one.instances for path, one in root.apps.items()} == {"/a": 3}


def test_an_unknown_app_is_created_by_put_but_not_by_patch() -> None:
    assert the(changes.put_app(Root(), "/a", {"cmd": "x"}, RULES)).cmd == "x"
    with pytest.raises(NotFound, match="App '/a' does not exist"):
        changes.patch_app(Root(), "/a", {"cmd": "x"}, RULES)


@pytest.mark.parametrize(
    "body", [{}, {"cmd": "sleep 1000"}, {"ports": [0]}, {"instances": 1, "tasksRunning": 1}]
)
def test_a_change_that_changes_nothing_leaves_all_as_it_is(body: dict[str, Any]) -> None:
    root = root_of(app("/a", ports=[0]), app("/b"))
    target = assign(root, changes.put_app(root, "/a", body, RULES), RULES)
    assert all(target.apps[path] is one for path, one in root.apps.items())


def test_a_definition_sent_again_in_full_changes_nothing() -> None:
    body = app(
        "/a",
        container={"docker": {"image": "x", "network": "BRIDGE", "portMappings": [{"containerPort": 80}]}},
    )
    root = root_of(body)
    target = assign(root, changes.put_app(root, "/a", body, RULES, partial=False), RULES)
    assert the(target) is the(root)


def test_several_apps_change_together_or_not_at_all() -> None:
    root = root_of(app("/a"), app("/b"))
    target = changes.put_apps(root, [{"id": "a", "instances": 2}, app("/c")], RULES)
    assert {path: one.instances for path, one in target.apps.items()} == {"/a": 2, "/b": 1, "/c": 1}
    assert the(target, "/b") is the(root, "/b")
    with pytest.raises(Invalid) as caught:
        changes.put_apps(root, [{"id": "a", "cpus": "x"}, app("b", instances=-1), app("c")], RULES)
    assert [one["path"] for one in caught.value.body["details"]] == ["(0)/cpus", "(1)/instances"]
    with pytest.raises(Invalid, match="there twice"):
        changes.put_apps(root, [app("a"), app("/a")], RULES)
    with pytest.raises(NotFound):
        changes.patch_apps(root, [{"id": "a", "instances": 2}, {"id": "/zz"}], RULES)


def test_other_networks_take_other_ports() -> None:
    root = root_of(app("/a", ports=[0, 0], requirePorts=True))
    bridged = changes.put_app(root, "/a", {"networks": [{"mode": "container/bridge"}]}, RULES)
    container = the(bridged).container
    assert container is not None
    assert container.type == "MESOS"
    assert [one.host_port for one in container.port_mappings or ()] == [0]
    assert (the(bridged).port_definitions, the(bridged).require_ports) == (None, False)
    back = the(changes.put_app(bridged, "/a", {"networks": [{"mode": "host"}]}, RULES))
    assert [one.name for one in back.port_definitions or ()] == ["default"]


def test_scaling_down_stops_at_none() -> None:
    root = changes.scale_down(root_of(app("/a", instances=3), app("/b")), {"/a": 2, "/b": 7})
    assert (the(root).instances, the(root, "/b").instances) == (1, 0)


def test_an_app_goes_back_to_what_it_was() -> None:
    first = root_of(app("/a"))
    second = deployed(first, changes.put_app(first, "/a", {"cmd": "sleep 2", "instances": 5}, RULES))
    back = changes.rollback_app(second, "/a", the(first), RULES)
    assert the(back) == the(first)


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"version": OF_MONDAY}, OF_MONDAY),
        ({"id": "/a", "version": OF_MONDAY}, OF_MONDAY),
        ({"cmd": "x"}, None),
    ],
)
def test_a_version_alone_asks_for_the_past(body: dict[str, Any], version: str | None) -> None:
    assert changes.version_asked(body) == version


def test_a_version_with_anything_else_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        changes.version_asked({"version": OF_MONDAY, "cmd": "x"})
    assert caught.value.body["details"] == [
        {"path": "/version", "errors": ["may only be combined with 'id', not with cmd"]}
    ]


def test_a_deleted_app_leaves_its_group() -> None:
    root = changes.delete_app(root_of(app("/team/a")), "/team/a")
    assert (list(root.apps), sorted(root.groups)) == ([], ["/", "/team"])
    with pytest.raises(NotFound):
        changes.delete_app(root, "/team/a")


# ── pods ──────────────────────────────────────────────────────────────────────────────────────────
def pod(path: str, **fields: Any) -> dict[str, Any]:
    return {"id": path, "containers": [{"name": "c", "resources": {"cpus": 0.1, "mem": 32}}]} | fields


def test_pods_are_created_replaced_and_deleted() -> None:
    root = changes.create_pod(Root(), pod("/team/p"), RULES)
    with pytest.raises(Conflict):
        changes.create_pod(root, pod("/team/p"), RULES)
    assert changes.put_pod(root, "/team/p", pod("/team/p"), RULES) is root
    scaled = changes.put_pod(
        root, "/team/p", pod("/team/p", scaling={"kind": "fixed", "instances": 4}), RULES
    )
    assert scaled.pods["/team/p"].instances == 4
    with pytest.raises(BadRequest):
        changes.put_pod(root, "/team/p", pod("/team/other"), RULES)
    assert changes.put_pod(root, "/team/q", pod("/team/q"), RULES).pods.keys() == {"/team/p", "/team/q"}
    assert not changes.delete_pod(root, "/team/p").pods


# ── groups ────────────────────────────────────────────────────────────────────────────────────────
TEAM = {
    "id": "/team",
    "apps": [{"id": "a", "cmd": "sleep 1", "dependencies": ["db/main"]}],
    "groups": [{"id": "db", "apps": [app("main"), app("replica", dependencies=["main"])]}],
}


@pytest.fixture
def team() -> Root:
    root = deployed(Root(), changes.create_group(Root(), "/", TEAM, RULES))
    return changes.create_pod(root, pod("/team/db/p"), RULES)


def test_a_group_is_created_with_all_in_it(team: Root) -> None:
    assert sorted(team.apps) == ["/team/a", "/team/db/main", "/team/db/replica"]
    assert sorted(team.groups) == ["/", "/team", "/team/db"]
    assert the(team, "/team/a").dependencies == ("/team/db/main",)
    assert the(team, "/team/db/replica").dependencies == ("/team/db/main",)


def test_a_group_is_not_created_over_another_thing(team: Root) -> None:
    for path in ("/team", "/team/a", "/team/db/p"):
        with pytest.raises(Conflict, match="already exists"):
            changes.create_group(team, "/", {"id": path}, RULES)


def test_an_id_in_the_body_is_relative_to_the_path(team: Root) -> None:
    assert changes.group_id("/team", {"id": "db"}) == "/team/db"
    assert "/team/new" in changes.create_group(team, "/team", {"id": "new"}, RULES).groups


def test_what_a_structure_does_not_mention_stays(team: Root) -> None:
    changed = changes.put_group(team, "/team", {"dependencies": ["/other"]}, RULES)
    assert changed.groups["/team"].dependencies == ("/other",)
    assert (changed.apps, changed.pods) == (team.apps, team.pods)
    assert assign(team, changes.put_group(team, "/team", TEAM, RULES), RULES).apps is team.apps


def test_what_a_structure_mentions_becomes_exactly_that(team: Root) -> None:
    body = {"apps": [app("b")], "groups": [{"id": "db", "apps": [app("main")]}, {"id": "web"}]}
    changed = assign(team, changes.put_group(team, "/team", body, RULES), RULES)
    assert sorted(changed.apps) == ["/team/b", "/team/db/main"]
    assert sorted(changed.groups) == ["/", "/team", "/team/db", "/team/web"]
    assert the(changed, "/team/db/main") is the(team, "/team/db/main")
    assert list(changed.pods) == [
        "/team/db/p"
    ]  # it cannot be said in a group, so it is not taken away either


def test_a_group_that_is_not_mentioned_goes_with_all_in_it(team: Root) -> None:
    changed = changes.put_group(team, "/team", {"groups": []}, RULES)
    assert (list(changed.apps), list(changed.pods), sorted(changed.groups)) == (
        ["/team/a"],
        [],
        ["/", "/team"],
    )


def test_a_group_is_scaled_rounding_up(team: Root) -> None:
    team = changes.put_apps(
        team, [{"id": "/team/a", "instances": 10}, {"id": "/team/db/main", "instances": 3}], RULES
    )
    scaled = changes.scale_group(team, "/team", 1.1, RULES)
    assert {path: one.instances for path, one in scaled.apps.items()} == {
        "/team/a": 11, "/team/db/main": 4, "/team/db/replica": 2
    }  # fmt: skip
    assert not any(one.instances for one in changes.scale_group(team, "/", 0, RULES).apps.values())
    with pytest.raises(NotFound):
        changes.scale_group(team, "/nobody", 2, RULES)


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ({"scaleBy": 2}, changes.ScaleBy(2.0)),
        ({"version": OF_MONDAY}, changes.ToVersion(OF_MONDAY)),
        ({"apps": []}, changes.Structure({"apps": []})),
    ],
)
def test_what_a_group_is_asked_to_be(body: dict[str, Any], request_: object) -> None:
    assert changes.group_request(body) == request_


def test_a_group_goes_back_and_the_rest_stays(team: Root) -> None:
    later = changes.put_group(team, "/team", {"apps": [app("new")], "groups": []}, RULES)
    later = changes.create_app(later, app("/elsewhere"), RULES)
    back = changes.rollback_group(later, "/team", team, RULES)
    assert sorted(back.apps) == ["/elsewhere", *sorted(team.apps)]
    assert back.apps["/team/a"] == replace(team.apps["/team/a"], version="", version_info=None)
    assert list(back.pods) == ["/team/db/p"]
    with pytest.raises(BadArgument):
        changes.rollback_group(later, "/team/unknown", team, RULES)


def test_going_back_to_what_is_changes_nothing(team: Root) -> None:
    assert changes.rollback_group(team, "/team", team, RULES) is team


def test_a_group_is_deleted_with_all_in_it(team: Root) -> None:
    assert sorted(changes.delete_group(team, "/team/db").apps) == ["/team/a"]
    assert changes.delete_group(team, "/") == Root()
    with pytest.raises(NotFound):
        changes.delete_group(team, "/nobody")


# ── roles ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_group_that_enforces_its_role_gives_it() -> None:
    root = changes.create_group(Root(), "/team", {"enforceRole": True}, RULES)
    root = changes.create_app(root, app("/team/sub/a"), RULES)
    assert the(root, "/team/sub/a").role == "team"
    assert the(changes.create_app(root, app("/a"), RULES)).role == "*"


def test_new_groups_enforce_their_role_if_that_is_set() -> None:
    root = changes.create_app(Root(), app("/team/sub/a"), Rules(role="dev", new_group_enforce_role=True))
    assert the(root, "/team/sub/a").role == "team"
    assert [path for path, group in root.groups.items() if group.enforce_role] == ["/team"]


def test_a_service_keeps_its_role_when_its_group_begins_to_enforce_one() -> None:
    root = root_of(app("/team/a"))
    root = changes.patch_group(root, "/team", {"enforceRole": True}, RULES)
    assert the(changes.put_app(root, "/team/a", {"instances": 2}, RULES), "/team/a").role == "*"
    assert the(changes.put_app(root, "/team/a", {"role": "team"}, RULES), "/team/a").role == "team"


def test_only_top_level_groups_are_patched() -> None:
    root = root_of(app("/team/sub/a"))
    with pytest.raises(Invalid):
        changes.patch_group(root, "/team/sub", {"enforceRole": True}, RULES)
    with pytest.raises(NotFound):
        changes.patch_group(root, "/nobody", {"enforceRole": True}, RULES)
    with pytest.raises(Invalid):
        changes.patch_group(root, "/team", {"enforceRole": 3}, RULES)


# ── service ports ─────────────────────────────────────────────────────────────────────────────────
def test_ports_are_free_ones_of_the_range() -> None:
    rules = Rules(local_port_min=10000, local_port_max=10004)
    target = changes.put_apps(Root(), [app("/a", ports=[0, 0]), app("/b", ports=[10001, 0])], rules)
    root = assign(Root(), target, rules)
    given = [port for one in root.apps.values() for port in one.service_ports]
    assert sorted(given) == [10000, 10001, 10002, 10003]
    with pytest.raises(Invalid, match="all 4 of them are taken"):
        assign(root, changes.create_app(root, app("/c"), rules), rules)


def test_an_app_keeps_its_ports_and_gets_them_again() -> None:
    root = root_of(app("/a", ports=[0, 0]))
    had = the(root).service_ports
    changed = assign(
        root, changes.put_app(root, "/a", {"cmd": "sleep 3", "ports": [0, 7, 0, 0]}, RULES), RULES
    )
    assert the(changed).service_ports[:3] == (had[0], 7, had[1])
    gone = changes.delete_app(root, "/a")
    again = assign(gone, changes.create_app(gone, app("/a", ports=[0, 0]), RULES), RULES)
    assert the(again).service_ports == had


def test_a_port_that_was_given_asks_for_no_host_port() -> None:
    root = root_of(app("/a", portDefinitions=[{"port": 0}, {"port": 8080}], requirePorts=True))
    assert [one.assigned for one in the(root).port_definitions or ()] == [True, False]
    changed = the(changes.put_app(root, "/a", {"cmd": "sleep 3"}, RULES))
    assert [one.assigned for one in changed.port_definitions or ()] == [True, False]


def test_how_often_ports_are_taken_can_be_told() -> None:
    root = root_of(app("/a"), app("/b"))
    taken = Counter(port for one in root.apps.values() for port in one.service_ports)
    before = taken.copy()
    target = changes.create_app(root, app("/c"), RULES)
    assert assign(root, target, RULES, taken) == assign(root, target, RULES)
    assert taken == before
