"""Status updates: at least once, in order, one in flight per task, whatever happens in between."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from koinon.agent.core import events as ev
from koinon.mesos import internal
from koinon.mesos.v1 import TaskState, TaskStatus
from tests.unit.agent.bench import Bench, events_in, executor, only, said, states_in, status, task, updates_in


def test_one_update_is_in_flight_and_the_next_follows_its_acknowledgement():
    bench = Bench()
    bench.running()
    (starting,) = updates_in(bench.effects)
    assert states_in(bench.acknowledge(starting)) == ["TASK_RUNNING"]


def test_an_update_says_how_far_the_task_is():
    bench = Bench()
    bench.running()
    (sent,) = [effect.message for effect in bench.effects if isinstance(effect, ev.SendToMaster)][1:]
    assert sent.status.state is TaskState.TASK_STARTING
    resent = [one.message for one in bench.pass_time(10.0)]
    assert [(one.status.state, one.latest_state) for one in resent] == [
        (TaskState.TASK_STARTING, TaskState.TASK_RUNNING)
    ]


def test_an_update_is_resent_after_10_s_and_twice_as_late_each_time_up_to_10_min():
    bench = Bench()
    bench.running()
    sent_s = []
    for _ in range(4000):
        if updates_in(bench.pass_time(1.0)):
            sent_s.append(bench.now - 1000.0)
    assert sent_s == [10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630]


def test_the_end_of_a_task_is_told_within_10_s_even_behind_an_update_that_nobody_acknowledges():
    bench = Bench()
    container_id = bench.running()
    for _ in range(1000):
        bench.pass_time(1.0)
    bench.tell(ev.ContainerExited(container_id, 0))
    resent = [one.message for _ in range(10) for one in bench.pass_time(1.0)]
    assert [(one.status.state, one.latest_state) for one in resent] == [
        (TaskState.TASK_STARTING, TaskState.TASK_FINISHED)
    ]


def test_without_a_master_nothing_is_sent_and_with_the_next_all_that_is_in_flight():
    bench = Bench()
    bench.disconnect()
    assert updates_in(bench.run()) == []
    (container_id,) = bench.agent.state.containers
    bench.started(container_id)
    assert updates_in(bench.effects) == []
    assert bench.pass_time(100.0) == []
    bench.connect()
    assert states_in(bench.effects) == ["TASK_STARTING"]


def test_what_is_still_to_be_said_of_a_task_that_was_not_taken_is_announced_at_every_registration():
    bench = Bench()
    bench.running()
    bench.run(task("refused", executor=executor()))
    bench.hear(internal.ShutdownExecutor(framework_id="F", executor_id="e"))
    (update,) = updates_in(bench.run(task("late", executor=executor())))
    assert update.task_id.value == "late"
    bench.start(connected=False)
    (register,) = said(bench.tell(ev.MasterConnected(7)))
    assert [one.status for one in register.refusals] == [update]
    assert "late" not in {one.info.task_id.value for one in register.tasks}
    bench.connect()
    bench.acknowledge(update)
    bench.disconnect()
    (register,) = said(bench.tell(ev.MasterConnected(9)))
    assert register.refusals == []


def test_a_framework_that_failed_over_gets_its_updates_at_once():
    bench = Bench()
    bench.running()
    info = bench.agent.state.frameworks["F"].info
    effects = bench.hear(internal.UpdateFramework(framework=info))
    assert states_in(effects) == ["TASK_STARTING"]
    assert states_in(bench.pass_time(10.0)) == ["TASK_STARTING"]


def test_a_wrong_acknowledgement_changes_nothing():
    bench = Bench()
    bench.running()
    assert bench.hear(internal.Acknowledge(framework_id="F", task_id="t", uuid=b"x" * 16)) == []
    assert bench.hear(internal.Acknowledge(framework_id="F", task_id="?", uuid=b"x" * 16)) == []


_STATES = {
    "STARTING": TaskState.TASK_STARTING,
    "RUNNING": TaskState.TASK_RUNNING,
    "FINISHED": TaskState.TASK_FINISHED,
}


class UpdateStreams(RuleBasedStateMachine):
    """A custom executor's updates against restarts, lost masters and a scheduler that answers when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.made: dict[str, list[bytes]] = {}  #: by the executor, in order
        self.heard: dict[str, list[bytes]] = {}  #: acknowledged by the scheduler, in order
        self.in_flight: dict[str, TaskStatus] = {}  #: seen by the master, not acknowledged
        self.ended: set[str] = set()
        self.count = 0
        self.connected = True
        container_id = only(self.bench.run(task("t0", executor=executor())), ev.LaunchContainer).container_id
        self.container_id = container_id
        self.bench.started(container_id)
        self.bench.subscribe()
        self.made["t0"], self.heard["t0"] = [], []
        self.look()

    def look(self) -> None:
        for update in updates_in(self.bench.effects):
            task_id, before = update.task_id.value, self.in_flight.get(update.task_id.value)
            assert before is None or before.uuid == update.uuid, "two updates of a task are in flight"
            self.in_flight[task_id] = update
        self.bench.effects.clear()

    @rule()
    def launch(self) -> None:
        self.count += 1
        task_id = f"t{self.count}"
        self.bench.run(task(task_id, executor=executor()))
        self.made[task_id], self.heard[task_id] = [], []
        self.look()

    @rule(data=st.data(), name=st.sampled_from(sorted(_STATES)))
    def report(self, data: st.DataObject, name: str) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.made)))
        if task_id in self.ended:
            return
        self.count += 1
        uuid = self.count.to_bytes(16, "big")
        effects = self.bench.say(status(task_id, _STATES[name], self.count))
        assert events_in(effects) == ["ACKNOWLEDGED"]
        self.made[task_id].append(uuid)
        if name == "FINISHED":
            self.ended.add(task_id)
        self.look()

    @precondition(lambda self: self.in_flight and self.connected)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.in_flight)))
        update = self.in_flight.pop(task_id)
        if update.uuid not in self.heard[task_id]:
            self.heard[task_id].append(update.uuid)
        self.bench.acknowledge(update)
        self.look()

    @precondition(lambda self: self.connected)
    @rule()
    def lose_master(self) -> None:
        self.bench.disconnect()
        self.connected = False
        self.in_flight.clear()

    @precondition(lambda self: not self.connected)
    @rule()
    def find_master(self) -> None:
        self.bench.connect()
        self.connected = True
        self.look()

    @rule()
    def restart(self) -> None:
        self.in_flight.clear()
        self.bench.start({self.container_id: ev.FoundContainer(42)}, connected=self.connected)
        known = [task(task_id, executor=executor()) for task_id in self.made]
        self.bench.subscribe("again", unacknowledged_tasks=known)
        self.look()

    @rule(seconds=st.sampled_from([1.0, 10.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.bench.pass_time(seconds)
        self.look()

    @invariant()
    def in_order(self) -> None:
        for task_id, heard in self.heard.items():
            assert heard == self.made[task_id][: len(heard)]

    def teardown(self) -> None:
        """In the end every update arrives."""
        if not self.connected:
            self.find_master()
        while self.in_flight:
            task_id, update = self.in_flight.popitem()
            if update.uuid not in self.heard[task_id]:
                self.heard[task_id].append(update.uuid)
            self.bench.acknowledge(update)
            self.look()
        assert self.heard == self.made
        left = {key.split("/")[2] for key in self.bench.disk if key.startswith(("updates/", "tasks/"))}
        assert left.isdisjoint(self.ended)


UpdateStreams.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestUpdateStreams = UpdateStreams.TestCase
