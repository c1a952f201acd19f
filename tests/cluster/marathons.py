"""Marathons as processes on loopback, on a cluster of the harness.

def test_apps_survive(new_marathons):
    marathons = new_marathons(count=1)
    marathons.create({"id": "/web", "cmd": "sleep 1000", "instances": 2})
    marathons.wait_running("/web", 2)
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.cluster.harness import IP, Cluster, Role, eventually

#: So short that a test can wait for them.
FLAGS = {"min_revive_offers_interval": "100", "decline_offer_duration": "1000"}
SESSION_MS = 2000


class Answer:
    """What was answered, redirections not followed."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    host: str, port: int, path: str, method: str = "GET", body: Any = None, **headers: str
) -> Answer | None:
    """One request; None when nobody answers."""
    try:
        with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
            content = None if body is None else json.dumps(body)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, content, {"Content-Type": "application/json", **named})
            return Answer(connection.getresponse())
    except (OSError, http.client.HTTPException):
        return None


class Service(Role):
    """One process of a service that stands for election."""

    leader_path: ClassVar[str]  #: where it tells who leads

    def start(self) -> None:
        """Start it; returns at once."""
        own = {"http_address": IP, "hostname": IP, "http_port": str(self.port)}
        argv = [f"--{name}={value}" for name, value in {**own, **self.flags}.items()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "koinon", self.kind, *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer | None:
        """One request; None when nobody answers."""
        return ask(IP, self.port, path, method, body, **headers)

    def answers(self) -> bool:
        """Is there a leader, as far as this one knows? Fails the test if the process has ended."""
        if self.process is not None and (status := self.process.poll()) is not None:
            pytest.fail(f"{self.name} ended with status {status}:\n{self.last_words()}")
        answer = self.ask("/ping")
        return answer is not None and answer.status == 200

    def leads(self) -> bool:
        """Whether this one leads."""
        answer = self.ask(self.leader_path) if self.process is not None else None
        return answer is not None and answer.status == 200 and answer.json["leader"] == self.address


class Marathon(Service):
    """One Marathon."""

    leader_path = "/v2/info"

    def __init__(self, name: str, directory: Path, flags: Mapping[str, str]) -> None:
        super().__init__("marathon", name, directory, flags)


class Marathons:
    """A cluster with Marathons, one of which leads."""

    def __init__(self, cluster: Cluster, *, count: int = 1, zk: str | None = None, **flags: str) -> None:
        self.cluster = cluster
        self.directory = cluster.directory
        where = (
            {"zk": zk, "zk_session_timeout": str(SESSION_MS)}
            if zk
            else {"work_dir": f"{self.directory}/marathon"}
        )
        own = {"master": cluster.master_address, **FLAGS, **where, **flags}
        self.roles = [Marathon(f"marathon-{n}", self.directory, own) for n in range(1, count + 1)]

    def start(self) -> None:
        """Start all that do not run; returns when each answers, for the leader or as the leader."""
        for role in self.roles:
            if role.process is None:
                role.start()
        for role in self.roles:
            eventually(role.answers, f"{role.name} answers", 20)

    def leader(self, *, but: Marathon | None = None) -> Marathon:
        """The one that leads, once one does; another one than `but`."""
        return eventually(
            lambda: next((role for role in self.roles if role is not but and role.leads()), None),
            "a Marathon leads",
            20,
        )

    def ask(self, path: str, method: str = "GET", body: Any = None, status: int | None = None) -> Any:
        """What one that runs answers; `status` must be so if given, else below 300."""
        role = next(one for one in self.roles if one.process is not None)
        answer = role.ask(path, method, body)
        assert answer is not None, f"{role.name} does not answer"
        assert answer.status == status if status else answer.status < 300, (answer.status, answer.body)
        return answer.json if answer.body else None

    def create(self, app: dict[str, Any]) -> dict[str, Any]:
        """POST it."""
        created: dict[str, Any] = self.ask("/v2/apps", "POST", app)
        return created

    def tasks(self, app: str) -> dict[str, dict[str, Any]]:
        """Its tasks by id."""
        return {task["id"]: task for task in self.ask(f"/v2/apps{app}/tasks")["tasks"]}

    def running(self, app: str) -> set[str]:
        """Ids of its tasks that run."""
        return {id_ for id_, task in self.tasks(app).items() if task["state"] == "TASK_RUNNING"}

    def wait_running(self, app: str, count: int, timeout_s: float = 20) -> set[str]:
        """Returns the ids when so many run."""
        return eventually(
            lambda: found if len(found := self.running(app)) == count else None,
            f"{count} of {app} run",
            timeout_s,
        )

    def wait_deployed(self, timeout_s: float = 30) -> None:
        """Returns when no deployment runs."""
        eventually(lambda: self.ask("/v2/deployments") == [], "no deployment runs", timeout_s)

    def stop(self) -> None:
        """End them, without a word."""
        for role in self.roles:
            role.stop(signal.SIGKILL)

    def logs(self) -> str:
        """The end of every log."""
        own = "\n".join(f"── {role.name} ──\n{role.last_words()}" for role in self.roles)
        return f"{own}\n{self.cluster.logs()}"


@pytest.fixture
def new_marathons(new_cluster: Callable[..., Cluster]) -> Iterator[Callable[..., Marathons]]:
    """Makes started Marathons on a started cluster of their own: `new_marathons(count, agents=1, zk=…, **flags)`."""
    made: list[Marathons] = []

    def make(count: int = 1, *, agents: int = 1, zk: str | None = None, **flags: str) -> Marathons:
        marathons = Marathons(new_cluster(agents=agents), count=count, zk=zk, **flags)
        made.append(marathons)
        marathons.start()
        return marathons

    make.made = made  # type: ignore[attr-defined]
    yield make
    for one in made:
        one.stop()
