"""Chronoses as processes on loopback, on a cluster of the harness.

def test_jobs_run(new_chronoses):
    chronoses = new_chronoses(count=1)
    chronoses.post({"name": "a", "command": "true", "schedule": "R1//P"})
    chronoses.wait_ended("a", "succeeded")
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from tests.cluster.harness import Cluster, eventually
from tests.cluster.marathons import Answer, Service

#: So short that a test can wait for them.
FLAGS = {"min_revive_offers_interval": "100", "decline_offer_duration": "500", "failure_retry": "500"}
V1 = "/v1/scheduler"
#: Tests may run where much else does, and a leader that ZooKeeper does not hear for so long ends.
SESSION_MS = 4000
#: Never by itself.
NEVER = "R0/2014-01-01T00:00:00Z/PT60M"


class Chronos(Service):
    """One process."""

    leader_path = "/leader"

    def __init__(self, name: str, directory: Path, flags: Mapping[str, str]) -> None:
        super().__init__("chronos", name, directory, flags)
        self.is_supervised = False

    def answers(self) -> bool:
        """As any service; one that is supervised and has ended by itself, as a deposed leader does, starts again."""
        if self.is_supervised and self.process is not None and self.process.poll() is not None:
            self.process = None
            self.start()
        return super().answers()


class Jobs(ABC):
    """What leads jobs, asked by whoever does not care which process answers."""

    @abstractmethod
    def answer(self, path: str, method: str = "GET", body: Any = None) -> Answer:
        """What is answered."""

    def ask(self, path: str, method: str = "GET", body: Any = None, status: int | None = None) -> Any:
        """The JSON that is answered; `status` must be so if given, else below 300."""
        answer = self.answer(path, method, body)
        assert answer.status == status if status else answer.status < 300, (answer.status, answer.body)
        return answer.json if answer.body else None

    def post(self, job: dict[str, Any]) -> None:
        """Create or replace it."""
        self.ask(f"{V1}/{'dependency' if job.get('parents') else 'iso8601'}", "POST", job)

    def job(self, name: str) -> dict[str, Any]:
        """As it is shown."""
        found: dict[str, Any] = self.ask(f"{V1}/job/{quote(name)}")
        return found

    def runs(self, job: str | None = None, **query: str | int) -> list[dict[str, Any]]:
        """Runs, newest first: the newest thousand."""
        asked = {"limit": 1000, **query, **({"job": job} if job is not None else {})}
        found: list[dict[str, Any]] = self.ask(f"/v1/history/runs?{urlencode(asked)}")["runs"]
        return found

    def output(self, task_id: str) -> str:
        """What it has written to stdout; nothing if that is not known."""
        answer = self.answer(f"/v1/history/runs/{task_id}/stdout")
        return answer.body.decode() if answer.status == 200 else ""

    def wait_ended(self, job: str, state: str, count: int = 1, timeout_s: float = 20) -> list[dict[str, Any]]:
        """Returns its runs that have ended so when there are so many, newest first."""
        return eventually(
            lambda: found if len(found := self.runs(job, state=state)) >= count else None,
            f"{count} runs of {job} have {state}",
            timeout_s,
        )


class Chronoses(Jobs):
    """A cluster with Chronoses, one of which leads."""

    def __init__(self, cluster: Cluster, *, count: int = 1, zk: str | None = None, **flags: str) -> None:
        self.cluster = cluster
        self.directory = cluster.directory
        where = (
            # One database of SQLite's serves several processes of one machine, as only the leader writes.
            {
                "zk_hosts": zk,
                "zk_path": urlsplit(zk).path,
                "zk_session_timeout": str(SESSION_MS),
                "history": f"{self.directory}/history.db",
            }
            if zk
            else {"work_dir": f"{self.directory}/chronos"}
        )
        own = {"master": cluster.master_address, **FLAGS, **where, **flags}
        self.roles = [Chronos(f"chronos-{n}", self.directory, own) for n in range(1, count + 1)]

    def start(self) -> None:
        """Start all that do not run; returns when each answers, for the leader or as the leader."""
        for role in self.roles:
            if role.process is None:
                role.start()
        for role in self.roles:
            eventually(role.answers, f"{role.name} answers", 20)

    def leader(self, *, but: Chronos | None = None) -> Chronos:
        """The one that leads, once one does; another one than `but`."""
        return eventually(
            lambda: next((role for role in self.roles if role is not but and role.leads()), None),
            "a Chronos leads",
            20,
        )

    def answer(self, path: str, method: str = "GET", body: Any = None) -> Answer:
        """What one that runs answers. Those that are supervised are asked until one does, for what may be said twice."""
        if self.roles[0].is_supervised:
            return eventually(lambda: self._ask_any(path, method, body), "a Chronos answers", 60)
        role = next(one for one in self.roles if one.process is not None)
        answer = role.ask(path, method, body)
        assert answer is not None, f"{role.name} does not answer"
        return answer

    def supervise(self) -> None:
        """From now on whoever ends by itself is started again."""
        for role in self.roles:
            role.is_supervised = True

    def _ask_any(self, path: str, method: str, body: Any) -> Answer | None:
        for role in self.roles:
            if role.answers() and (answer := role.ask(path, method, body)) and answer.status < 500:
                return answer
        return None

    def stop(self) -> None:
        """End them, without a word."""
        for role in self.roles:
            role.stop(signal.SIGKILL)

    def logs(self) -> str:
        """The end of every log."""
        own = "\n".join(f"── {role.name} ──\n{role.last_words()}" for role in self.roles)
        return f"{own}\n{self.cluster.logs()}"


@pytest.fixture
def new_chronoses(new_cluster: Callable[..., Cluster]) -> Iterator[Callable[..., Chronoses]]:
    """Makes started Chronoses on a started cluster of their own: `new_chronoses(count, agents=1, zk=…, **flags)`."""
    made: list[Chronoses] = []

    def make(
        count: int = 1,
        *,
        agents: int = 1,
        zk: str | None = None,
        master_flags: Mapping[str, str] | None = None,
        **flags: str,
    ) -> Chronoses:
        cluster = new_cluster(agents=agents, master_flags=master_flags)
        chronoses = Chronoses(cluster, count=count, zk=zk, **flags)
        made.append(chronoses)
        chronoses.start()
        return chronoses

    make.made = made  # type: ignore[attr-defined]
    yield make
    for one in made:
        one.stop()
