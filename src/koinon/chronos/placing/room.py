"""What is left of the offers of one agent while runs are placed on it."""

from __future__ import annotations

from koinon.chronos.model import Job, Run
from koinon.chronos.placing.constraints import objection
from koinon.chronos.placing.tasks import task_of
from koinon.mesos import v1
from koinon.mesos.names import DEFAULT_ROLE
from koinon.offers import Amounts, Remaining, amounts, number_text

_UNITS = {"cpus": "cpus", "mem": "MB of memory", "disk": "MB of disk", "gpus": "gpus"}


class AgentRoom:
    """See `koinon.chronos.core.Room`. What is reserved for our role goes before what anybody may use."""

    def __init__(self, offer: v1.Offer) -> None:
        self.agent_id = offer.agent_id.value
        self.hostname = offer.hostname
        self._attributes = offer.attributes
        self._left = Remaining([offer])
        self._accepts = frozenset({DEFAULT_ROLE, self._left.role})

    def add(self, offer: v1.Offer) -> None:
        """One more offer, of the same agent."""
        self._left.add(offer)

    def place(self, job: Job, run: Run) -> v1.TaskInfo | str:
        """The run's task, whose resources are taken; or why it does not fit."""
        said = objection(job.constraints, self._attributes, self.hostname)
        if said is not None:
            return said
        wanted = amounts(cpus=job.cpus, mem=job.mem, disk=job.disk, gpus=job.gpus)
        if (said := self._shortage(wanted)) is not None:
            return said
        if self._left.gpus and not job.gpus:
            return "the agent has GPUs, which the job does not need; such agents are left to those who do"
        taken = self._left.take(wanted, self._accepts)
        return task_of(job, run, agent_id=self.agent_id, hostname=self.hostname, resources=taken)

    def _shortage(self, wanted: Amounts) -> str | None:
        there = self._left.totals(self._accepts)
        missing = [
            f"{number_text(amount / 1000)} {_UNITS[name]} needed, {number_text(there.get(name, 0) / 1000)} offered"
            for name, amount in wanted.items()
            if there.get(name, 0) < amount
        ]
        return "; ".join(missing) or None
