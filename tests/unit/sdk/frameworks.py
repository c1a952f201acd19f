"""What the tests of schedulers share: events, and a framework that notes what it is told."""

import asyncio

from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Event
from koinon.sdk import Scheduler, framework_info

FRAMEWORK_ID = v1.FrameworkID("F-0000")
SUBSCRIBED = Event(
    type=Event.Type.SUBSCRIBED,
    subscribed=Event.Subscribed(framework_id=FRAMEWORK_ID, heartbeat_interval_seconds=15.0),
)
HEARTBEAT = Event(type=Event.Type.HEARTBEAT)


def offer(offer_id="O0"):
    return v1.Offer(
        id=v1.OfferID(offer_id), framework_id=FRAMEWORK_ID, agent_id=v1.AgentID("S0"), hostname="a"
    )


def offers(*offer_ids):
    return Event(type=Event.Type.OFFERS, offers=Event.Offers(offers=[offer(one) for one in offer_ids]))


def update(task_id="T0", uuid=b"0123456789abcdef", state=v1.TaskState.TASK_RUNNING):
    status = v1.TaskStatus(
        task_id=v1.TaskID(task_id), state=state, agent_id=v1.AgentID("S0"), uuid=uuid, timestamp=1.0
    )
    return Event(type=Event.Type.UPDATE, update=Event.Update(status))


def error(message):
    return Event(type=Event.Type.ERROR, error=Event.Error(message))


class Recorder(Scheduler):
    """Notes everything it is told."""

    def __init__(self, master, *, failover_timeout_s=0.0, **options):
        info = framework_info("recorder", failover_timeout_s=failover_timeout_s)
        super().__init__(master.address if hasattr(master, "address") else master, info, **options)
        self.told = asyncio.Queue()

    async def next(self):
        return await asyncio.wait_for(self.told.get(), 5)

    def subscribed(self, framework_id):
        self.told.put_nowait(("subscribed", framework_id))

    def disconnected(self):
        self.told.put_nowait(("disconnected",))

    def offers(self, offers):
        self.told.put_nowait(("offers", [one.id.value for one in offers]))

    def rescinded(self, offer_id):
        self.told.put_nowait(("rescinded", offer_id.value))

    def update(self, status):
        self.told.put_nowait(("update", status.task_id.value, status.state.name))

    def message(self, agent_id, executor_id, data):
        self.told.put_nowait(("message", agent_id.value, executor_id.value, data))

    def failure(self, agent_id, executor_id, status):
        self.told.put_nowait(("failure", agent_id.value, executor_id and executor_id.value, status))

    def call_refused(self, call, error):
        self.told.put_nowait(("refused", call.type.name, error))
