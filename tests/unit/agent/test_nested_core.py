"""Nested and standalone containers, as the agent's core decides about them."""

from __future__ import annotations

import msgspec
import pytest

from koinon.agent.core import events as ev
from koinon.agent.core.events import FoundContainer
from koinon.agent.core.state import NestedKind
from koinon.mesos import v1
from koinon.mesos.v1 import CommandInfo, ContainerID
from tests.unit.agent.bench import Bench, executor, framework, of_type, only, task

SESSION, NESTED, STANDALONE = NestedKind.SESSION, NestedKind.NESTED, NestedKind.STANDALONE


@pytest.fixture
def bench():
    return Bench()


def below(*values: str) -> ContainerID:
    """The id of the last, with the others around it."""
    found = None
    for value in values:
        found = ContainerID(value=value, parent=found)
    assert found is not None
    return found


def ask(bench: Bench, kind: NestedKind, *values: str, **more: object) -> list[ev.Effect]:
    command, container = more.pop("command", CommandInfo(value="true")), more.pop("container", None)
    return bench.tell(ev.ContainerRequested(kind, below(*values), command, container, **more))


FETCHING = CommandInfo(value="true", uris=[CommandInfo.URI(value="/tool")])


def cpus(count: float) -> v1.Resource:
    return v1.Resource(name="cpus", type=v1.Value.Type.SCALAR, scalar=v1.Value.Scalar(value=count))


def with_volume(kind: str, at: str = "data") -> v1.ContainerInfo:
    path = v1.Volume.Source.SandboxPath(type=v1.Volume.Source.SandboxPath.Type[kind], path="common")
    source = v1.Volume.Source(type=v1.Volume.Source.Type.SANDBOX_PATH, sandbox_path=path)
    volume = v1.Volume(mode=v1.Volume.Mode.RW, container_path=at, source=source)
    return v1.ContainerInfo(type=v1.ContainerInfo.Type.MESOS, volumes=[volume])


def launched(effects: list[ev.Effect]) -> ev.LaunchContainer:
    return only(effects, ev.LaunchContainer)


def test_a_session_has_all_of_its_task_and_what_it_brings_itself(bench):
    given = v1.Environment(variables=[v1.Environment.Variable(name="A", value="1")])
    outer = launched(bench.run(task(command=CommandInfo(value="x", user="ann", environment=given))))
    bench.started(outer.container_id)
    own = v1.Environment(variables=[v1.Environment.Variable(name="B", value="2")])
    inner = launched(
        ask(bench, SESSION, outer.container_id, "s", command=CommandInfo(value="y", environment=own))
    )
    assert inner.environment == {**outer.environment, "B": "2"}
    assert (inner.sandbox, inner.user, inner.session) == (outer.sandbox, "ann", True)
    assert inner.container_id == f"{outer.container_id}.s"


def test_only_what_goes_on_without_the_agent_is_checkpointed(bench):
    outer = bench.running()
    forgetful = bench.running(task("u"), framework("G", checkpoint=False))
    for durable, kind, ids in (
        (False, SESSION, (outer, "s")),
        (True, NESTED, (outer, "n")),
        (False, NESTED, (forgetful, "n")),
        (True, STANDALONE, ("alone",)),
    ):
        effects = ask(bench, kind, *ids)
        assert [type(effect) for effect in effects] == [ev.Checkpoint, ev.LaunchContainer][not durable :]
        assert launched(effects).tied is not durable


def test_nothing_is_launched_below_what_does_not_run(bench):
    outer = only(bench.run(), ev.LaunchContainer).container_id
    with pytest.raises(ev.Refused) as refused:
        ask(bench, SESSION, outer, "s")
    assert refused.value.status == 400
    bench.started(outer)
    ask(bench, SESSION, outer, "s")
    bench.exited(outer)
    with pytest.raises(ev.Refused) as refused:
        ask(bench, SESSION, outer, "t")
    assert refused.value.status == 404


def test_what_is_below_ends_with_what_it_is_below(bench):
    outer = bench.running()
    ask(bench, NESTED, outer, "a")
    bench.started(f"{outer}.a", 43)
    ask(bench, SESSION, outer, "a", "b")
    bench.started(f"{outer}.a.b", 44)
    ask(bench, SESSION, outer, "late")
    effects = bench.exited(outer)
    assert {one.container_id for one in of_type(effects, ev.DestroyContainer)} == {
        f"{outer}.a",
        f"{outer}.a.b",
    }
    assert of_type(bench.started(f"{outer}.late", 45), ev.DestroyContainer)
    for key in ("a", "a.b", "late"):
        assert of_type(bench.exited(f"{outer}.{key}", 9), ev.ContainerGone)
    assert bench.agent.state.nested == {}
    assert not any(key.startswith("nested/") for key in bench.disk)


def test_how_a_container_ended_is_remembered_until_it_is_removed(bench):
    outer = bench.running()
    ask(bench, NESTED, outer, "n")
    bench.started(f"{outer}.n")
    with pytest.raises(ev.Refused, match="not ended"):
        bench.tell(ev.RemovalRequested(below(outer, "n")))
    effects = bench.exited(f"{outer}.n", 3 << 8)
    kinds = [type(effect) for effect in effects]
    assert kinds == [ev.Checkpoint, ev.ForgetContainer, ev.ContainerGone]
    assert bench.agent.state.nested[f"{outer}.n"].status == 3 << 8
    sandbox = only(bench.tell(ev.RemovalRequested(below(outer, "n"))), ev.RemoveSandbox).path
    assert sandbox.endswith(f"/runs/{outer}/containers/n")
    assert bench.tell(ev.RemovalRequested(below(outer, "n"))) == []


def test_sessions_that_ended_are_not_remembered_without_end(bench):
    outer = bench.running()
    for number in range(300):
        ask(bench, SESSION, outer, f"s{number}")
        bench.started(f"{outer}.s{number}")
        bench.exited(f"{outer}.s{number}")
    assert len(bench.agent.state.nested) == 256


def test_a_restart_finds_them_running_ended_or_gone(bench):
    outer = bench.running()
    for name in ("runs", "ended", "gone"):
        ask(bench, NESTED, outer, name)
        bench.started(f"{outer}.{name}", 50)
    ask(bench, STANDALONE, "alone")
    bench.started("alone", 60)
    bench.start(
        {
            outer: FoundContainer(42),
            f"{outer}.runs": FoundContainer(50),
            f"{outer}.ended": FoundContainer(51, running=False, status=7 << 8),
            "alone": FoundContainer(60),
        }
    )
    nested = bench.agent.state.nested
    assert nested[f"{outer}.runs"].pid == 50
    assert (nested[f"{outer}.ended"].ended, nested[f"{outer}.ended"].status) == (True, 7 << 8)
    assert (nested[f"{outer}.gone"].ended, nested[f"{outer}.gone"].status) == (True, None)
    assert not of_type(bench.effects, ev.DestroyContainer)


def test_a_restart_without_the_task_ends_what_was_below_it(bench):
    outer = bench.running()
    ask(bench, NESTED, outer, "n")
    bench.started(f"{outer}.n", 50)
    ask(bench, STANDALONE, "alone")
    bench.started("alone", 60)
    bench.effects.clear()
    bench.start({f"{outer}.n": FoundContainer(50), "alone": FoundContainer(60)})
    assert [one.container_id for one in of_type(bench.effects, ev.DestroyContainer)] == [f"{outer}.n"]
    bench.exited(f"{outer}.n", 9)
    assert list(bench.agent.state.nested) == ["alone"]


def test_a_reboot_ends_all_of_them(bench):
    ask(bench, STANDALONE, "alone")
    bench.started("alone", 60)
    bench.start({"alone": FoundContainer(60)}, boot_id="another")
    assert bench.agent.state.nested["alone"].ended


def test_a_container_that_does_not_start_is_forgotten_and_who_waits_is_told(bench):
    outer = bench.running()
    ask(bench, NESTED, outer, "n")
    effects = bench.tell(ev.ContainerNotStarted(f"{outer}.n", "why"))
    assert ev.ContainerGone(f"{outer}.n", None, "why", launched=False) in effects
    assert bench.agent.state.nested == {}
    assert not any(key.startswith("nested/") for key in bench.disk)


@pytest.mark.parametrize(
    ("kind", "ids", "fields", "word"),
    [
        (NESTED, ("n",), {"limits": {"cpus": v1.Value.Scalar(value=1)}}, "limits"),
        (NESTED, ("n",), {"resources": [cpus(-1)]}, "resources"),
        (NESTED, ("a", "n"), {"resources": [cpus(1)]}, "first container"),
        (SESSION, ("s",), {"command": FETCHING}, "uris"),
        (SESSION, ("s",), {"container": with_volume("PARENT")}, "volumes"),
        (NESTED, ("n",), {"container": with_volume("PARENT", at="/mnt")}, "relative"),
    ],
)
def test_what_a_nested_container_cannot_have_is_refused(bench, kind, ids, fields, word):
    outer = bench.running()
    ask(bench, NESTED, outer, "a")
    bench.started(f"{outer}.a")
    with pytest.raises(ev.Refused, match=word) as refused:
        ask(bench, kind, outer, *ids, **fields)
    assert refused.value.status == 400


def test_a_standalone_container_has_no_parent_to_share_with(bench):
    with pytest.raises(ev.Refused, match="PARENT"):
        ask(bench, STANDALONE, "alone", container=with_volume("PARENT"))
    own = launched(ask(bench, STANDALONE, "alone", container=with_volume("SELF")))
    assert own.shared == (("/srv/agent/containers/alone/common", "/srv/agent/containers/alone/data"),)


def test_volumes_and_files_are_for_nested_containers_too(bench):
    outer = bench.running()
    asked = {"container": with_volume("PARENT"), "command": FETCHING}
    inner = launched(ask(bench, NESTED, outer, "n", **asked))
    run = bench.agent.state.frameworks["F"].executors["t"].directory
    assert inner.sandbox == f"{run}/containers/n"
    assert inner.shared == ((f"{run}/common", f"{run}/containers/n/data"),)
    assert [one.uri for one in inner.fetches] == ["/tool"]
    assert inner.root == run


def test_what_is_fetched_for_is_destroyed_with_what_it_is_below(bench):
    outer = bench.running()
    ask(bench, NESTED, outer, "n", command=FETCHING)
    assert ev.DestroyContainer(f"{outer}.n") in bench.exited(outer)


def test_a_task_found_again_is_known_though_its_files_could_not_be_fetched_now():
    bench = Bench(frameworks_home="/srv/home")
    uris = [CommandInfo.URI(value="relative")]
    outer = bench.running(task(command=CommandInfo(value="true", uris=uris)))
    bench.config = msgspec.structs.replace(bench.config, frameworks_home=None)
    bench.start({outer: FoundContainer(42)})
    assert launched(ask(bench, SESSION, outer, "s")).sandbox


def test_containers_of_a_default_executor_are_found_by_all_their_ids(bench):
    by = executor("e", type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    inner = only(bench.run_group(task("a"), by=by), ev.LaunchContainer)
    bench.started(inner.container_id)
    outer = bench.agent.state.frameworks["F"].executors["e"].container_id
    found = launched(ask(bench, SESSION, outer, inner.container_id, "s"))
    assert found.container_id == f"{inner.container_id}.s"
    assert found.sandbox == inner.sandbox
    assert launched(ask(bench, SESSION, outer, "s")).container_id == f"{outer}.s"
    with pytest.raises(ev.Refused):
        ask(bench, SESSION, inner.container_id, "s")
    effects = bench.tell(ev.SignalRequested(below(outer), 15))
    assert effects == [ev.SignalContainer(inner.container_id, 15)]


def collected(effects: list[ev.Effect]) -> list[tuple[str, bool]]:
    """The last parts of the sandboxes that may go now, and whether they ended before a restart."""
    found = [effect for effect in of_type(effects, ev.CollectSandbox) if effect.root is not None]
    return [(effect.directory.partition("/runs/")[2] or effect.directory, effect.before) for effect in found]


def test_a_sandbox_inside_of_another_is_collected_if_it_is_wanted():
    bench = Bench(collect_nested=True)
    outer = bench.running()
    for kind, ids in ((NESTED, (outer, "n")), (SESSION, (outer, "s")), (STANDALONE, ("alone",))):
        ask(bench, kind, *ids)
        bench.started(".".join(ids))
    ask(bench, NESTED, outer, "n", "m")
    bench.started(f"{outer}.n.m")
    assert collected(bench.exited(f"{outer}.n.m")) == [(f"{outer}/containers/n/containers/m", False)]
    assert collected(bench.exited(f"{outer}.n")) == [(f"{outer}/containers/n", False)]
    assert collected(bench.exited(f"{outer}.s")) == []
    assert collected(bench.exited("alone")) == [("/srv/agent/containers/alone", False)]
    bench.effects.clear()
    bench.start({outer: FoundContainer(42)})
    assert sorted(collected(bench.effects)) == [
        ("/srv/agent/containers/alone", True),
        (f"{outer}/containers/n", True),
    ]


def test_sandboxes_of_tasks_in_a_group_are_collected_one_by_one_if_it_is_wanted():
    bench = Bench(collect_nested=True)
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    first, second = of_type(bench.run_group(task("a"), task("b"), by=by), ev.LaunchContainer)
    for one in (first, second):
        bench.started(one.container_id)
    run = first.sandbox.split("/")[-3]
    ask(bench, NESTED, run, first.container_id, "n")
    bench.started(f"{run}.{first.container_id}.n")
    effects = bench.exited(first.container_id)
    assert [directory for directory, _ in collected(effects)] == [first.sandbox.partition("/runs/")[2]]
    assert collected(bench.exited(f"{run}.{first.container_id}.n")) == [], "it goes with that"


def test_sandboxes_inside_of_others_go_with_those_unless_said_otherwise(bench):
    by = executor(type=v1.ExecutorInfo.Type.DEFAULT, command=None)
    (one,) = of_type(bench.run_group(task("a"), by=by), ev.LaunchContainer)
    bench.started(one.container_id)
    ask(bench, STANDALONE, "alone")
    bench.started("alone")
    assert collected([*bench.exited("alone"), *bench.exited(one.container_id)]) == []
