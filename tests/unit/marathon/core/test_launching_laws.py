"""Laws of launching, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from koinon.marathon.core import backoff, launching
from koinon.marathon.core.config import Config
from koinon.marathon.core.events import Accept, Decline, Effect, Revive, Suppress
from koinon.marathon.core.instances import ending
from koinon.mesos.resources import Resources

from ..matching.offers import offer
from .launching_bench import SMALL, Bench, launched

TOKENS = 6
SPECS = (
    replace(SMALL, id="/plain"),
    replace(SMALL, id="/unique", constraints=(("hostname", "UNIQUE"),)),
    replace(SMALL, id="/group", constraints=(("rack", "GROUP_BY"),)),
    replace(SMALL, id="/large", cpus=3),
    replace(SMALL, id="/never", cpus=99),
)


class Launching(RuleBasedStateMachine):
    """One master, six agents, five apps."""

    def __init__(self) -> None:
        super().__init__()
        self.slice = launching._SLICE
        launching._SLICE = 45  # so that rounds go on for several turns
        self.bench = Bench(*SPECS, config=Config(launch_tokens=TOKENS, max_instances_per_offer=3))
        self.offers: dict[str, Any] = {}  # those that the core has
        self.made = 0
        self.launches: set[str] = set()
        self.suppressed = False

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Accept | Decline):
                used = [
                    self.offers.pop(one.value) for one in effect.offer_ids
                ]  # each once, and only while it is there
                if isinstance(effect, Accept):
                    assert len({one.agent_id.value for one in used}) == 1
                    self.check_resources(effect, used)
            elif isinstance(effect, Suppress):
                self.suppressed = True
            elif isinstance(effect, Revive):
                self.suppressed = False
        for task in launched(effects):
            assert task not in self.launches
            self.launches.add(task)

    def check_resources(self, effect: Accept, used: list[Any]) -> None:
        tasks = [task for one in effect.operations if one.launch for task in one.launch.task_infos]
        assert 0 < len(tasks) <= 3
        there = Resources.sum(Resources.from_v1(one.resources) for one in used)
        assert there.contains(Resources.sum(Resources.from_v1(task.resources) for task in tasks))

    # ── what happens ──────────────────────────────────────────────────────────────────────────────
    @initialize(numbers=st.tuples(*[st.integers(2, 8)] * len(SPECS)))
    def begin(self, numbers: tuple[int, ...]) -> None:
        for spec, number in zip(SPECS, numbers, strict=True):
            self.take(self.bench.want(spec.id, number))

    @rule(spec=st.sampled_from(SPECS), number=st.integers(1, 5))
    def want(self, spec: Any, number: int) -> None:
        self.take(self.bench.want(spec.id, number))

    @rule(seconds=st.sampled_from([0.001, 0.002, 0.5]), times=st.integers(1, 5))
    def go_on(self, seconds: float, times: int) -> None:
        self.pass_time(seconds, times)

    @rule(turns=st.sampled_from([0, 1, 10]))
    def offer_all(self, turns: int) -> None:
        self.make_offers(range(6), 5)
        self.pass_time(0.002, turns)

    @rule(
        agents=st.lists(st.integers(0, 5), min_size=1, max_size=6),
        cpus=st.integers(1, 6),
        after=st.floats(0, 2),
    )
    def offer_some(self, agents: list[int], cpus: int, after: float) -> None:
        self.make_offers(agents, cpus, after)

    def make_offers(self, agents: Iterable[int], cpus: int, after: float = 0.0) -> None:
        made = []
        for agent in agents:
            self.made += 1
            free, rack = f"cpus:{cpus};mem:1000", f"rack:{agent % 2}"
            one = offer(free, agent=f"S{agent}", id=f"O{self.made}", attributes=rack)
            made.append(one)
            self.offers[one.id.value] = one
        self.take(self.bench.offer(*made, after=after))

    def pass_time(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.take(self.bench.turn(after=seconds))

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def rescind(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(sorted(self.offers)))
        del self.offers[gone]
        self.take(self.bench.turn(launching.rescinded, gone))

    @rule(condition=st.sampled_from(["Running", "Failed", "Killed", "Unreachable"]), data=st.data())
    def become(self, condition: str, data: st.DataObject) -> None:
        there = [one.id for one in self.bench.instances if one.condition in ("Provisioned", "Running")]
        if there:
            chosen = data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=3, unique=True))
            self.take(self.bench.become(condition, *chosen))

    @precondition(lambda self: self.bench.instances)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.bench.instances))
        self.take(self.bench.turn(ending.forget, one))

    @rule(spec=st.sampled_from(SPECS))
    def reset(self, spec: Any) -> None:
        self.take(self.bench.turn(backoff.reset, spec.id))

    @rule(seconds=st.sampled_from([0.001, 0.3, 1.1, 6.0, 31.0]))
    def wait(self, seconds: float) -> None:
        self.take(self.bench.turn(after=seconds))

    @rule()
    def reconnect(self) -> None:
        self.offers.clear()
        self.take(self.bench.turn(launching.disconnected))
        self.take(self.bench.turn(launching.subscribed))

    # ── what always holds ─────────────────────────────────────────────────────────────────────────
    @invariant()
    def the_queue_is_what_waits(self) -> None:
        state = self.bench.core.state
        waiting = {one.spec.id: {*one.instances, *one.placed} for one in state.launches.waiting()}
        assert waiting == {spec: set(ids) for spec, ids in state.scheduled.items()}
        for one in state.launches.waiting():
            assert not set(one.instances) & one.placed
            assert one.demands == bool(one.instances and one.delayed_until is None)

    @invariant()
    def what_is_held_is_held(self) -> None:
        launches = self.bench.core.state.launches
        assert set(launches.offers) | set(launches.incoming) == set(self.offers)
        assert all(launches.order[held.number - launches.first] is held for held in launches.held.values())

    @invariant()
    def unique_is_unique(self) -> None:
        placed = [
            one.agent.hostname
            for one in self.bench.core.state.instances_of("/unique")
            if one.agent and one.condition in ("Provisioned", "Running")
        ]
        assert len(set(placed)) == len(placed)

    @invariant()
    def wishes_count_those_who_want_offers(self) -> None:
        launches = self.bench.core.state.launches
        assert sum(wish.demands for wish in launches.wishes.values()) == sum(
            one.demands for one in launches.waiting()
        )
        assert launches.tokens <= TOKENS + sum(len(one.placed) for one in launches.waiting())

    def teardown(self) -> None:
        """In the end everybody who can be placed is, and no offer is kept."""
        for _ in range(60):
            self.take(self.bench.turn(after=5))
            waiting = [one for one in self.bench.instances if one.condition == "Provisioned"]
            self.take(self.bench.become("Running", *[one.id for one in waiting]))
            self.make_offers(range(6), 6)
            self.pass_time(0.002, 10)
        state = self.bench.core.state
        assert not state.scheduled.keys() & {"/plain", "/large", "/group"}
        self.pass_time(1.1, 6)
        assert not self.offers
        launching._SLICE = self.slice


TestLaunching = Launching.TestCase
TestLaunching.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
