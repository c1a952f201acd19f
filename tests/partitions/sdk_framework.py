"""A framework on Koinon's SDK, aware of partitions.

python -m tests.partitions.sdk_framework MASTER DIRECTORY
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from koinon.mesos import codec, v1
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import CallError, Scheduler, framework_info
from tests.partitions.workload import Message, Work

NAME = "sdk"


class Framework(Scheduler):
    """Hands what it hears to its Work, and back."""

    def __init__(self, master: str, directory: Path) -> None:
        super().__init__(master, framework_info(NAME, failover_timeout_s=3600.0, checkpoint=True))
        self.work = Work(
            NAME,
            directory,
            launch=self._launch,
            decline=lambda ids, refuse_s: self.decline(map(_offer, ids), refuse_s=refuse_s),
            kill=self.kill,
            reconcile=self.reconcile,
        )

    def _launch(self, offer: Message, tasks: list[Message], refuse_s: float) -> None:
        self.launch(
            _offer(offer["id"]), [msgspec.convert(task, v1.TaskInfo) for task in tasks], refuse_s=refuse_s
        )

    def subscribed(self, framework_id: str) -> None:
        assert self.master is not None
        self.work.subscribed(framework_id, self.master.id)

    def disconnected(self) -> None:
        self.work.disconnected()

    def offers(self, offers: list[v1.Offer]) -> None:
        self.work.offered([_plain(offer) for offer in offers])

    def rescinded(self, offer_id: v1.OfferID) -> None:
        self.work.rescinded(offer_id.value)

    def update(self, status: v1.TaskStatus) -> None:
        self.work.updated(_plain(status))

    def failure(
        self, agent_id: v1.AgentID | None, executor_id: v1.ExecutorID | None, status: int | None
    ) -> None:
        self.work.failed(agent_id.value if agent_id else None)

    def call_refused(self, call: Call, error: CallError) -> None:
        self.work.refused(call.type.name if call.type else "", str(error))

    async def work_on(self) -> None:
        """Until told to leave."""
        loop, orders = asyncio.get_running_loop(), asyncio.Queue[str]()
        loop.add_reader(sys.stdin, lambda: orders.put_nowait(sys.stdin.readline()))
        while True:
            if not orders.empty():
                order = orders.get_nowait().strip()
                if order in ("leave", ""):
                    loop.remove_reader(sys.stdin)
                    self.stop()
                    return
                self.work.order(order)
            self.work.tick()
            await asyncio.sleep(0.05)


def _plain(message: v1.Offer | v1.TaskStatus) -> Any:
    """As JSON has it."""
    return json.loads(codec.encode(message))


def _offer(offer_id: Message) -> v1.Offer:
    """As much of an offer as it takes to answer it."""
    return msgspec.convert(
        {"id": offer_id, "framework_id": {"value": ""}, "agent_id": {"value": ""}, "hostname": ""}, v1.Offer
    )


async def main() -> None:
    """Run until told to leave."""
    framework = Framework(sys.argv[1], Path(sys.argv[2]))
    await asyncio.gather(framework.run(), framework.work_on())


if __name__ == "__main__":
    asyncio.run(main())
