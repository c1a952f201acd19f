"""Several masters that stand for election in one ZooKeeper, or on one work directory, as processes on loopback."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from tests.cluster.harness import IP, MASTER_FLAGS, Role, eventually

#: Short, so that tests can wait for its end; long enough for a machine that does other things, too.
SESSION_S = 2.0


class Answer:
    """What a master answers, redirections not followed."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.location = response.getheader("Location")
        self.text = response.read().decode()


def ask(master: Role, path: str, method: str = "GET", body: str | None = None) -> Answer | None:
    """One request; None when nobody answers."""
    try:
        with closing(http.client.HTTPConnection(IP, master.port, timeout=2)) as connection:
            connection.request(method, path, body)
            return Answer(connection.getresponse())
    except (OSError, http.client.HTTPException):
        return None


def leads(master: Role) -> bool:
    """Whether this one answers as the leader."""
    answer = None if master.process is None else ask(master, "/weights")
    return answer is not None and answer.status == 200


class Masters:
    """Masters of one cluster; one leads. Without `zk` they share a work directory."""

    def __init__(
        self, directory: Path, zk: str | None, count: int = 3, flags: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        place = {"work_dir": str(directory / "masters")}
        if zk is not None:
            place = {"zk": zk, "zk_session_timeout": f"{SESSION_S:g}secs"}
        own = {**MASTER_FLAGS, **place, **(flags or {})}
        self.roles = [Role("master", f"master-{n}", directory, own) for n in range(1, count + 1)]

    def start(self) -> None:
        """Start all that do not run; returns when one leads and the others know it."""
        for role in self.roles:
            if role.process is None:
                role.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Returns when one leads, and all others that run redirect to it."""
        leader = self.leader()
        for role in self.standbys(leader):
            eventually(lambda role=role: self._redirects(role, leader), f"{role.name} redirects", 15.0)

    def _redirects(self, role: Role, leader: Role) -> bool:
        answer = ask(role, "/redirect")
        return answer is not None and answer.location == f"//{leader.address}"

    def leader(self, *, but: Role | None = None) -> Role:
        """The one that leads, once one does; another one than `but`."""
        return eventually(
            lambda: next((role for role in self.roles if role is not but and leads(role)), None),
            "a master leads",
            15.0,
        )

    def standbys(self, leader: Role) -> list[Role]:
        """All others that run."""
        return [role for role in self.roles if role is not leader and role.process is not None]

    def stop(self) -> None:
        for role in self.roles:
            role.kill()

    def logs(self) -> str:
        return "\n".join(f"── {role.name} ──\n{role.last_words()}" for role in self.roles)


@contextmanager
def running_masters(directory: Path, zk: str, count: int = 3, **flags: str) -> Iterator[Masters]:
    """Masters, for as long as the context lasts; one leads when it begins."""
    masters = Masters(directory, zk, count, flags)
    try:
        masters.start()
        yield masters
    finally:
        masters.stop()
