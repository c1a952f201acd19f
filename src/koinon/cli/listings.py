"""`koinon ps`, `tasks`, `frameworks`, `agents`, `roles`: what there is, as a table or as JSON."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from koinon.cli.client import Client, agent_address
from koinon.cli.options import json_option, master_option
from koinon.cli.output import Column, Cut, Record, age, number, share, short_duration, show, text
from koinon.cli.tasks import TERMINAL, agents_by_id, all_tasks, awaited, is_meant, statistics
from koinon.mesos.v1 import TaskState


@click.command()
@master_option
@json_option
def ps(master: Client, as_json: bool) -> None:
    """Running tasks and what they use."""
    show_running(master, as_json=as_json)


def show_running(master: Client, *, as_json: bool) -> None:
    """Print the listing of `koinon ps`."""
    _tell_who_is_awaited(master)
    agents = agents_by_id(master)
    running = [task for task in all_tasks(master, agents=agents) if task["state"] not in TERMINAL]
    used = statistics(
        [agents[agent_id] for agent_id in {task["agent_id"] for task in running} & agents.keys()]
    )
    names = {framework["id"]: framework["name"] for framework in frameworks_of(master, all_=False)}
    for task in running:
        one = used.get((task["framework_id"], task["executor_id"] or task["id"]), {})
        task["framework"] = names.get(task["framework_id"], task["framework_id"])
        task["cpus_used"] = _mean_cpus(one, task["started"])
        task["mem_used"] = round(one["mem_rss_bytes"] / 2**20, 1) if "mem_rss_bytes" in one else None
        task["processes"] = one.get("processes")
    columns = [
        text("TASK", "id", cut=Cut.BEGIN),
        text("FRAMEWORK", "framework", cut=Cut.END),
        text("STATE", "state"),
        text("HOST", "hostname", cut=Cut.END),
        share("CPUS", "cpus_used", "cpus"),
        share("MEM", "mem_used", "mem"),
        number("PROCS", "processes"),
        age("AGE", "started"),
    ]
    show(running, columns, as_json=as_json)


def _tell_who_is_awaited(master: Client) -> None:
    """A new master learns from the agents which tasks there are: say so while some are missing."""
    missing = len(awaited(master))
    if not missing:
        return
    elected_s = master.call({"type": "GET_MASTER"})["get_master"]["elected_time"]
    agents = "1 agent has" if missing == 1 else f"{missing} agents have"
    print(
        f"koinon: this master leads for {short_duration(max(0.0, time.time() - elected_s))};"
        f" {agents} not come back yet, and the tasks there are not listed",
        file=sys.stderr,
    )


def _mean_cpus(used: dict[str, Any], started: float | None) -> float | None:
    """CPUs used on average since the task started."""
    if "cpus_user_time_secs" not in used or not started:
        return None
    spent_s = float(used["cpus_user_time_secs"]) + float(used.get("cpus_system_time_secs", 0.0))
    lived_s = float(used.get("timestamp", time.time())) - started
    return round(spent_s / lived_s, 2) if lived_s > 0 else None


def _state(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    names = [state.name.removeprefix("TASK_") for state in TaskState]
    state = given.upper().removeprefix("TASK_")
    if state not in names:
        raise click.BadParameter(f"'{given}' is no state of a task: {', '.join(names)}")
    return state


@click.command()
@click.option("--all", "-a", "all_", is_flag=True, help="Also tasks that have ended.")
@click.option(
    "--framework", metavar="ID", help="Only those of this framework (the begin or end of its id will do)."
)
@click.option(
    "--state", metavar="STATE", callback=_state, help="Only those in this state, such as RUNNING or FAILED."
)
@master_option
@json_option
def tasks(master: Client, all_: bool, framework: str | None, state: str | None, as_json: bool) -> None:
    """Tasks of all frameworks, oldest first; those that have ended with --all or --state."""
    _tell_who_is_awaited(master)
    found = [
        task
        for task in all_tasks(master)
        if (state is None or task["state"] == state)
        and (all_ or state or task["state"] not in TERMINAL)
        and (framework is None or is_meant(task["framework_id"], framework))
    ]
    columns = [
        text("TASK", "id", cut=Cut.BEGIN),
        text("NAME", "name", cut=Cut.END),
        text("STATE", "state"),
        text("FRAMEWORK", "framework_id", cut=Cut.BEGIN),
        text("HOST", "hostname", cut=Cut.END),
        text("ROLE", "role"),
        number("CPUS", "cpus"),
        number("MEM", "mem"),
        age("CHANGED", "changed"),
    ]
    show(found, columns, as_json=as_json)


@click.command()
@click.option("--all", "-a", "all_", is_flag=True, help="Also frameworks that are completed.")
@master_option
@json_option
def frameworks(master: Client, all_: bool, as_json: bool) -> None:
    """Frameworks and what they hold."""
    columns = [
        text("FRAMEWORK", "id", cut=Cut.BEGIN),
        text("NAME", "name", cut=Cut.END),
        text("STATE", "state"),
        text("ROLES", "roles"),
        number("TASKS", "tasks"),
        number("CPUS", "cpus"),
        number("MEM", "mem"),
        number("GPUS", "gpus"),
        age("SINCE", "registered"),
    ]
    show(frameworks_of(master, all_=all_), columns, as_json=as_json)


def frameworks_of(master: Client, *, all_: bool) -> list[Record]:
    """Records of the frameworks; of those that are completed, too, with `all_`."""
    answer = master.get("/frameworks")
    found = [(framework, _standing(framework)) for framework in answer["frameworks"]]
    if all_:
        found += [(framework, "COMPLETED") for framework in answer["completed_frameworks"]]
    return [
        {
            "id": framework["id"],
            "name": framework["name"],
            "state": state,
            "user": framework["user"],
            "roles": ",".join(framework["roles"] if "roles" in framework else [framework.get("role", "*")]),
            "tasks": len(framework["tasks"]),
            "completed_tasks": len(framework["completed_tasks"]),
            **{name: framework["used_resources"].get(name, 0) for name in ("cpus", "mem", "disk", "gpus")},
            "registered": framework["registered_time"],
        }
        for framework, state in found
    ]


def _standing(framework: dict[str, Any]) -> str:
    if framework.get("recovered"):
        return "RECOVERED"
    if not framework["connected"]:
        return "DISCONNECTED"
    return "ACTIVE" if framework["active"] else "INACTIVE"


@click.command()
@master_option
@json_option
def agents(master: Client, as_json: bool) -> None:
    """Agents and what they have."""
    answer = master.get("/slaves")
    found: list[Record] = [
        {
            "id": agent["id"],
            "hostname": agent["hostname"],
            "address": agent_address(agent["pid"]),
            "state": "ACTIVE"
            if agent["active"]
            else "DEACTIVATED"
            if agent.get("deactivated")
            else "DISCONNECTED",
            "version": agent["version"],
            "attributes": agent["attributes"],
            **{name: agent["resources"].get(name, 0) for name in ("cpus", "mem", "disk", "gpus")},
            **{
                f"{name}_used": agent["used_resources"].get(name, 0)
                for name in ("cpus", "mem", "disk", "gpus")
            },
            "registered": agent["registered_time"],
        }
        for agent in answer["slaves"]
    ]
    nothing = dict.fromkeys(
        (f"{name}{end}" for name in ("cpus", "mem", "disk", "gpus") for end in ("", "_used")), 0
    )
    found += [
        {
            "id": agent["id"],
            "hostname": agent["hostname"],
            "address": f"{agent['hostname']}:{agent['port']}",
            "state": "AWAITED",  # known from before this master led; has not come back yet
            "version": "",
            "attributes": agent["attributes"],
            **nothing,
            "registered": None,
        }
        for agent in answer["recovered_slaves"]
    ]
    columns = [
        text("AGENT", "id", cut=Cut.BEGIN),
        Column("ADDRESS", _shown_address, cut=Cut.BEGIN),
        text("STATE", "state"),
        *(share(name.upper(), f"{name}_used", name) for name in ("cpus", "mem", "disk", "gpus")),
        Column("ATTRIBUTES", _attributes, cut=Cut.END),
        age("SINCE", "registered"),
    ]
    show(found, columns, as_json=as_json)


def _shown_address(agent: Record) -> str:
    """Host name and port: of agents on one machine the port tells which is which."""
    return f"{agent['hostname']}:{agent['address'].rpartition(':')[2]}"


def _attributes(agent: Record) -> str:
    return ";".join(f"{key}:{value}" for key, value in agent["attributes"].items()) or "-"


@click.command()
@master_option
@json_option
def roles(master: Client, as_json: bool) -> None:
    """Roles and their shares."""
    answer = master.get("/roles")["roles"]
    found = [
        {
            "name": role["name"],
            "weight": role["weight"],
            "frameworks": len(role["frameworks"]),
            **{name: role["allocated"].get(name, 0) for name in ("cpus", "mem", "disk", "gpus")},
            **{f"{name}_offered": role["offered"].get(name, 0) for name in ("cpus", "mem", "disk", "gpus")},
        }
        for role in answer
    ]
    columns = [
        text("ROLE", "name"),
        number("WEIGHT", "weight"),
        number("FRAMEWORKS", "frameworks"),
        number("CPUS", "cpus"),
        number("MEM", "mem"),
        number("DISK", "disk"),
        number("GPUS", "gpus"),
        number("CPUS OFFERED", "cpus_offered"),
        number("MEM OFFERED", "mem_offered"),
    ]
    show(found, columns, as_json=as_json)
