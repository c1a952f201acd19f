"""What the frameworks of the test do: launch tasks all the time, and write down all that they hear and do.

A *short* task naps, and ends well or, a *bad* one, with status 3. A *long* one runs until it is killed. Every task leaves
footprints in a file of its own: `start TIME`, and `end TIME` when it has come to its end by itself. It holds a port of its
agent by a lock on a file; if another one holds it already, the same resource was given out twice, and it writes `double`.

Modes, as lines on stdin: `work`, `rest` (launch nothing), `settle` (also have long tasks killed, and ask for the states
of all that have no end), `leave`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.partitions.journal import Journal, now_s

#: How often something may be launched, and how many tasks of a kind there may be at a time.
LAUNCH_EVERY_S = 0.2
SHORT_MAX = 12
LONG_MAX = 4
#: Offers that are not used are given back after this, and may come again after that.
HOLD_S = 0.3
REFUSE_S = 0.2
#: While some tasks have no end it is asked for their states so often.
ASK_EVERY_S = 1.0

#: The task is over, and nothing else will be heard of it.
ENDS = frozenset(
    f"TASK_{name}"
    for name in ("FINISHED", "FAILED", "KILLED", "ERROR", "DROPPED", "GONE", "GONE_BY_OPERATOR", "UNKNOWN")
)

_PROGRAM = """\
read now rest < /proc/uptime; echo "start $now" >> {steps}
exec 9>> {lock}; flock -n 9 || echo double >> {steps}
{body}
"""
_BODIES = {
    "short": 'sleep {nap}; read now rest < /proc/uptime; echo "end $now" >> {steps}',
    "bad": 'sleep {nap}; read now rest < /proc/uptime; echo "end $now" >> {steps}; exit 3',
    "long": "exec sleep 3600",
}

Message = dict[str, Any]


class Work:
    """One framework's part, without the library that speaks for it. The verbs that it needs are called from `tick`."""

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        launch: Callable[[Message, list[Message], float], None],
        decline: Callable[[list[Message], float], None],
        kill: Callable[[str, str], None],
        reconcile: Callable[[dict[str, str]], None],
    ) -> None:
        self.journal = Journal(directory / f"{name}.journal", name)
        self.mode = "work"
        self._connected = False
        self._settled = False
        self._name = name
        self._footprints, self._locks = directory / "footprints", directory / "locks"
        self._launch, self._decline, self._kill, self._reconcile = launch, decline, kill, reconcile
        self._random = random.Random()
        self._count = 0
        self._live: dict[str, tuple[str, str]] = {}  #: of tasks without an end: kind and agent
        self._offers: dict[str, tuple[float, Message]] = {}
        self._launched_s = self._asked_s = 0.0

    # ── what is heard ─────────────────────────────────────────────────────────────────────────────
    def subscribed(self, framework_id: str, master_id: str) -> None:
        """By a master; offers of before are void."""
        self._offers.clear()
        self._connected = True
        self.journal.write("subscribed", framework=framework_id, master=master_id)

    def disconnected(self) -> None:
        """There is no master now."""
        self._offers.clear()
        self._connected = False
        self.journal.write("disconnected")

    def offered(self, offers: list[Message]) -> None:
        """Resources may be used."""
        for offer in offers:
            ranges = [
                (one["begin"], one["end"])
                for resource in offer.get("resources", ())
                if resource["name"] == "ports"
                for one in resource["ranges"]["range"]
            ]
            agent, offer_id = offer["agent_id"]["value"], offer["id"]["value"]
            self._offers[offer_id] = (now_s(), offer)
            self.journal.write("offer", offer=offer_id, agent=agent, ports=ranges)

    def rescinded(self, offer_id: str) -> None:
        """They may not any more."""
        self._offers.pop(offer_id, None)
        self.journal.write("rescinded", offer=offer_id)

    def updated(self, status: Message) -> None:
        """A task has another state, or it is told again."""
        task_id, state = status["task_id"]["value"], status["state"]
        self.journal.write(
            "update",
            task=task_id,
            state=state,
            uuid=status.get("uuid"),
            agent=status.get("agent_id", {}).get("value"),
            **{name: status[name] for name in ("source", "reason", "message") if name in status},
        )
        if state in ENDS or (state == "TASK_LOST" and self.mode == "settle"):
            self._live.pop(task_id, None)

    def failed(self, agent_id: str | None) -> None:
        """An agent was given up, or an executor ended."""
        self.journal.write("failure", agent=agent_id)

    def refused(self, call: str, error: str) -> None:
        """A call did not arrive, or was not taken."""
        self.journal.write("refused", call=call, error=error)

    # ── what is done ──────────────────────────────────────────────────────────────────────────────
    def order(self, mode: str) -> None:
        """Change the mode."""
        self.mode = mode
        self._asked_s, self._settled = 0.0, False
        self.journal.write("mode", mode=mode)

    def tick(self) -> None:
        """To be called often."""
        now = now_s()
        if not self._connected:
            return
        if self.mode == "work" and now >= self._launched_s + LAUNCH_EVERY_S and (kind := self._wanted()):
            while self._offers:
                _, offer = self._offers.pop(self._random.choice(list(self._offers)))
                if self._launch_on(offer, kind):
                    self._launched_s = now
                    break
        old = [offer_id for offer_id, (since_s, _) in self._offers.items() if now >= since_s + HOLD_S]
        if old:
            for offer_id in old:
                self._offers.pop(offer_id)
                self.journal.write("declined", offer=offer_id)
            self._decline([{"value": offer_id} for offer_id in old], REFUSE_S)
        if self.mode == "settle" and now >= self._asked_s + ASK_EVERY_S:
            self._asked_s = now
            self._settle()

    def _wanted(self) -> str | None:
        kinds = [kind for kind, _ in self._live.values()]
        if kinds.count("long") < LONG_MAX:
            return "long"
        if len(kinds) < LONG_MAX + SHORT_MAX:
            return "bad" if self._random.random() < 0.1 else "short"
        return None

    def _launch_on(self, offer: Message, kind: str) -> bool:
        free = [
            one["begin"]
            for resource in offer.get("resources", ())
            if resource["name"] == "ports"
            for one in resource["ranges"]["range"]
        ]
        offer_id, agent = offer["id"]["value"], offer["agent_id"]["value"]
        if not free:
            self.journal.write("declined", offer=offer_id)
            self._decline([offer["id"]], REFUSE_S)
            return False
        self._count += 1
        task_id = f"{self._name}-{kind}-{self._count}"
        self._live[task_id] = (kind, agent)
        self.journal.write("accepted", offer=offer_id, task=task_id, kind=kind, agent=agent, port=free[0])
        self._launch(offer, [self._task(task_id, kind, agent, free[0])], REFUSE_S)
        return True

    def _task(self, task_id: str, kind: str, agent: str, port: int) -> Message:
        body = _PROGRAM.replace("{body}", _BODIES[kind]).format(
            steps=self._footprints / task_id,
            lock=self._locks / f"{agent}-{port}",
            nap=f"{self._random.uniform(0.3, 3.0):.2f}",
        )
        ports = {"range": [{"begin": port, "end": port}]}
        return {
            "task_id": {"value": task_id},
            "name": kind,
            "agent_id": {"value": agent},
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.05}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 16}},
                {"name": "ports", "type": "RANGES", "ranges": ports},
            ],
            "command": {"shell": True, "value": body},
        }

    def _settle(self) -> None:
        for task_id, (kind, agent) in self._live.items():
            if kind == "long":
                self.journal.write("killed", task=task_id)
                self._kill(task_id, agent)
        if self._live:
            self._reconcile({task_id: agent for task_id, (_, agent) in self._live.items()})
        elif not self._settled:
            self._settled = True
            self.journal.write("settled")
