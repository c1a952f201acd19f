"""Tasks as the command line sees them: records from the master, found by id or name, and their sandboxes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from koinon.cli.client import Client, agent_address
from koinon.cli.errors import Failure
from koinon.cli.output import Record
from koinon.mesos import states

#: States in which a task will never run again; a completed framework counts likewise.
TERMINAL = frozenset(state.name.removeprefix("TASK_") for state in states.TERMINAL) | {"COMPLETED"}


def task_record(task: dict[str, Any], agents: dict[str, Record]) -> Record:
    """A task of `/tasks` as a flat record; `state` without its `TASK_`."""
    statuses = task["statuses"]
    times = [status["timestamp"] for status in statuses if "timestamp" in status]
    resources = task["resources"]
    state = task["state"].removeprefix("TASK_")
    return {
        "id": task["id"],
        "name": task["name"],
        "state": state,
        "framework_id": task["framework_id"],
        "executor_id": task["executor_id"],
        "agent_id": task["slave_id"],
        "hostname": agents.get(task["slave_id"], {}).get("hostname", ""),
        "role": task.get("role", "*"),
        "user": task.get("user", ""),
        "cpus": resources["cpus"],
        "mem": resources["mem"],
        "disk": resources["disk"],
        "gpus": resources["gpus"],
        "ports": resources.get("ports", ""),
        "started": times[0] if times else None,
        "changed": times[-1] if times else None,
    }


def agents_by_id(master: Client) -> dict[str, Record]:
    """The `/slaves` entries of registered agents."""
    return {agent["id"]: agent for agent in master.get("/slaves")["slaves"]}


def awaited(master: Client) -> list[Record]:
    """Agents that a new master knows and has not heard of yet; it learns from them which tasks there are."""
    found: list[Record] = master.get("/slaves")["recovered_slaves"]
    return found


def all_tasks(
    master: Client, *, framework_id: str | None = None, agents: dict[str, Record] | None = None
) -> list[Record]:
    """Records of every task the master remembers, oldest first; `agents` as of `agents_by_id`, if known."""
    query: dict[str, str | int] = {"limit": -1, "order": "asc"}
    if framework_id:
        query["framework_id"] = framework_id
    agents = agents_by_id(master) if agents is None else agents
    return [task_record(task, agents) for task in master.get("/tasks", **query)["tasks"]]


def find_task(master: Client, given: str, framework: str | None = None) -> Record:
    """The task whose id is `given`, else the one whose id begins or ends so, else the one of that name.

    Of several, those that still run come before those that ended. Raises Failure when none or more than one is left.
    """
    tasks = [
        task for task in all_tasks(master) if framework is None or is_meant(task["framework_id"], framework)
    ]
    try:
        return choose(tasks, given)
    except Failure as failure:
        if missing := len(awaited(master)):
            raise Failure(f"{failure}; {missing} agents have not come back to it yet: try again") from None
        raise


def is_meant(full_id: str, given: str) -> bool:
    """Whether `given` is the id, or its begin or end; ids of one master differ at their ends."""
    given = given.lstrip("…")
    return full_id.startswith(given) or full_id.endswith(given)


def choose(records: Sequence[Record], given: str, what: str = "task") -> Record:
    """The record that `given` means, as `find_task` says; of tasks or of frameworks."""
    ways: list[Callable[[Record], bool]] = [
        lambda record: record["id"] == given,
        lambda record: is_meant(record["id"], given),
        lambda record: record["name"] == given,
    ]
    for way in ways:
        found = [record for record in records if way(record)]
        found = [record for record in found if record["state"] not in TERMINAL] or found
        if len(found) == 1:
            return found[0]
        if found:
            same_id = len({record["id"] for record in found}) < len(found)  # in several frameworks
            some = ", ".join(_called(record) if same_id else record["id"] for record in found[:4])
            more = f" and {len(found) - 4} more" if len(found) > 4 else ""
            raise Failure(
                f"'{given}' may mean {some}{more}: {'give --framework' if same_id else 'write more of the id'}"
            )
    raise Failure(f"the master knows no {what} '{given}'; `koinon {what}s --all` lists those it remembers")


def _called(record: Record) -> str:
    return f"{record['id']} of framework {record['framework_id']}"


class Sandbox(NamedTuple):
    """Where a task's files are: on which agent, below which path of its `/files`."""

    agent: Client
    path: str

    def file(self, name: str) -> str:
        """Path of a file in the sandbox."""
        return f"{self.path}/{name.strip('/')}" if name.strip("/") else self.path


@contextmanager
def sandbox_of(master: Client, task: Record) -> Iterator[Sandbox]:
    """The sandbox of the task, to read from. Raises Failure when its agent or its files are not there (any more)."""
    agent = agents_by_id(master).get(task["agent_id"])
    if agent is None:
        raise Failure(
            f"the agent {task['agent_id']} of task {task['id']} is not registered now, so its files cannot be read"
        )
    with Client(agent_address(agent["pid"]), what="agent") as client:
        yield Sandbox(client, _sandbox_path(client, task))


def _sandbox_path(agent: Client, task: Record) -> str:
    # A command task is its own executor, of the same id.
    executor_id = task["executor_id"] or task["id"]
    path = f"/frameworks/{task['framework_id']}/executors/{executor_id}/runs/latest"
    own = f"{path}/tasks/{task['id']}"  # tasks of the default executor have a folder each
    if task["executor_id"] and agent.exists("/files/browse", path=own):
        path = own
    elif not agent.exists("/files/browse", path=path):
        raise Failure(f"the agent at {agent.address} has no sandbox of task {task['id']} (any more)")
    return path


def statistics(agents: Sequence[Record]) -> dict[tuple[str, str], dict[str, Any]]:
    """What containers use, by (framework id, executor id); asked of all agents at once.

    An agent that does not answer in 2 s is left out.
    """
    gathered: dict[tuple[str, str], dict[str, Any]] = {}

    def ask(address: str) -> None:
        try:
            with Client(address, what="agent", timeout_s=2.0) as agent:
                containers = agent.get("/monitor/statistics")
        except Failure:
            return
        for one in containers:
            gathered[one["framework_id"], one["executor_id"]] = one["statistics"]

    threads = [
        threading.Thread(target=ask, args=(agent_address(agent["pid"]),), daemon=True) for agent in agents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return gathered
