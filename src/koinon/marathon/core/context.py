"""What the parts of the core share: the state, the time of this turn, and the ways out.

The parts are modules of functions that take a `Core` first. They write the state through the verbs here, which also
note what is to be stored. At the end of a turn all that was noted goes out as one `Store`, and every other effect of
the turn is held until that is durable; so nobody hears of anything that a new leader would not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from koinon.alarms import Alarms
from koinon.marathon.core import planner
from koinon.marathon.core.config import Config
from koinon.marathon.core.events import Effect, Publish, Store
from koinon.marathon.core.state import COMING, State
from koinon.marathon.model import Deployment, Instance, ids, versions
from koinon.marathon.model.records import Action
from koinon.marathon.model.root import RunSpec

#: 100 ns steps between 1582-10-15, where time-based UUIDs begin, and 1970.
_UUID_EPOCH = 0x01B21DD213814000

_encode = msgspec.json.encode


class Core:
    """State, clock, alarms and effects of one Marathon."""

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self.state = State()
        self.random = Random(seed)
        self.now = 0.0
        self.alarms = Alarms()
        self.effects: list[Effect] = []
        #: Specs of which something has changed that may let their deployment go on, or their number be wrong.
        self.touched: dict[str, None] = {}
        #: Specs of which the instances to be launched have become more or fewer.
        self.queued: dict[str, None] = {}
        self.pending: dict[str, set[str]] = {}  #: by deployment: what of its step has not reached its end
        self.courses: dict[
            str, dict[str, Action]
        ] = {}  #: by deployment: actions that have begun, the last of each spec
        self.looked_at: dict[str, float] = {}  #: when a spec that is being deployed was looked through last
        self.probes: dict[str, list[str]] = {}  #: keys of health checks that are being made, by instance
        self._later: list[Effect] = []
        self._changes: dict[str, Any] = {}
        self._tickets = 0
        self._held: dict[int, list[Effect]] = {}
        self._last_uuid = 0

    # ── a turn ────────────────────────────────────────────────────────────────────────────────────
    def begin(self, now: float) -> None:
        """A turn at `now`."""
        self.now = now
        self.effects, self._later = self._later, []

    def give_up(self) -> None:
        """The turn was a request that is refused: nothing has changed."""
        assert not self._changes, f"refused, and yet changed: {list(self._changes)}"
        self._later, self.effects = [*self.effects, *self._later], []

    def end(self) -> list[Effect]:
        """What is to be done now. The rest comes out when what it rests on has been stored."""
        effects, self.effects = self.effects, []
        if self._changes:
            changes = [(key, _stored(new)) for key, new in self._changes.items()]
            self._changes = {}
            self._tickets += 1
            self._held[self._tickets] = effects
            return [Store(self._tickets, changes)]
        if self._held and effects:
            self._held[self._tickets].extend(effects)
            return []
        return effects

    @property
    def is_late(self) -> bool:
        """There is something that should have gone out with a request that was refused."""
        return bool(self._later)

    def release(self, ticket: int) -> list[Effect]:
        """What waited for this ticket, or for an earlier one."""
        released: list[Effect] = []
        while self._held and (first := next(iter(self._held))) <= ticket:
            released += self._held.pop(first)
        return released

    # ── what is stored ────────────────────────────────────────────────────────────────────────────
    def store(self, key: str, value: object) -> None:
        """`value`, as JSON (bytes: as they are), is to be durable under `key`; None: nothing is."""
        self._changes[key] = value

    def put(self, instance: Instance) -> None:
        """The instance is so from now on."""
        state = self.state
        before = state.instances.get(instance.id)
        was_waiting = instance.id in state.scheduled.get(instance.run_spec, ())
        state.put(instance)
        if was_waiting != (instance.id in state.scheduled.get(instance.run_spec, ())):
            self.queued[instance.run_spec] = None
        self.store(f"instances/{instance.id}", instance)
        if before is None or before.condition != instance.condition:
            self.publish(
                "instance_changed_event",
                {
                    "instanceId": instance.id,
                    "condition": instance.condition,
                    "runSpecId": instance.run_spec,
                    "agentId": instance.agent.agent_id if instance.agent else None,
                    "host": instance.agent.hostname if instance.agent else None,
                    "runSpecVersion": instance.version,
                },
            )
        if before is None or _standing(before) != _standing(instance):
            self.touched[instance.run_spec] = None

    def drop(self, instance: Instance) -> None:
        """The instance is forgotten."""
        if instance.id in self.state.scheduled.get(instance.run_spec, ()):
            self.queued[instance.run_spec] = None
        self.state.remove(instance)
        self.store(f"instances/{instance.id}", None)
        self.touched[instance.run_spec] = None

    def put_deployment(self, deployment: Deployment) -> None:
        """The deployment is so from now on."""
        self.state.deployments[deployment.id] = deployment
        self.store(f"deployments/{deployment.id}", deployment)

    # ── ids and times ─────────────────────────────────────────────────────────────────────────────
    def stamp(self) -> str:
        """The timestamp of this turn."""
        return versions.stamp(self.now)

    def new_instance(self, spec: RunSpec) -> Instance:
        """One more of the spec, to be launched; not put yet."""
        return Instance(
            id=ids.instance_id(spec.id, str(self._uuid())),
            run_spec=spec.id,
            version=spec.version,
            config=planner.config_of(spec),
            role=spec.role,
            since=self.stamp(),
        )

    def _uuid(self) -> UUID:
        """A time-based one, greater than the last."""
        self._last_uuid = time = max(int(self.now * 10_000_000) + _UUID_EPOCH, self._last_uuid + 1)
        return UUID(
            fields=(
                time & 0xFFFFFFFF,
                time >> 32 & 0xFFFF,
                time >> 48 & 0x0FFF | 0x1000,
                self.random.getrandbits(6) | 0x80,
                self.random.getrandbits(8),
                self.random.getrandbits(48) | 1 << 40,  # a node that is no network card's
            )
        )

    # ── effects ───────────────────────────────────────────────────────────────────────────────────
    def publish(self, event_type: str, fields: Mapping[str, Any]) -> None:
        """Something for the event stream."""
        self.effects.append(Publish(event_type, fields))

    def publish_later(self, event_type: str, fields: Mapping[str, Any]) -> None:
        """As `publish`, though this turn is going to be refused: it goes out with the next."""
        self._later.append(Publish(event_type, fields))


def _standing(instance: Instance) -> tuple[object, ...]:
    """What makes a difference for a deployment. How far it is on its way up does not."""
    condition = "Coming" if instance.condition in COMING else instance.condition
    return condition, instance.goal, instance.kill_asked_at


def _stored(value: object) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else _encode(value)
