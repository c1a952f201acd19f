"""Writes the reference pages that are taken from the code: commands, flags, metrics.

    python docs/make_reference.py

`pages()` returns what is written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from koinon import flags
from koinon.agent import flags as agent_flags
from koinon.agent import metrics as agent_metrics
from koinon.agent.collector import Collector
from koinon.agent.core.state import State as AgentState
from koinon.agent.fetcher import Fetcher
from koinon.chronos import flags as chronos_flags
from koinon.chronos.server import ChronosProcess
from koinon.cli import COMMANDS, ROLES, execute, mesos_tools
from koinon.cli.group import koinon
from koinon.edge import Metrics, Server, serve_common
from koinon.marathon import flags as marathon_flags
from koinon.marathon.server import MarathonProcess
from koinon.master import flags as master_flags
from koinon.master import metrics as master_metrics
from koinon.master.core import Config, Master, events
from koinon.master.registry import MemoryStore
from koinon.master.runtime import Runtime
from koinon.mesos import v1
from koinon.mesos.v1.scheduler import Call

REFERENCE = Path(__file__).parent / "reference"
_WIDTH = 100
_WRITTEN = "Written by `docs/make_reference.py`. Do not edit: change the code, then `make docs`."


def pages() -> dict[Path, str]:
    """The generated pages, by their paths."""
    return {
        REFERENCE / "cli.md": cli(),
        REFERENCE / "flags.md": all_flags(),
        REFERENCE / "metrics.md": metrics(),
    }


_TASK = "id name state framework_id executor_id agent_id hostname role user cpus mem disk gpus ports started changed"
#: Fields of the records that listings give with --json.
_JSON = {
    "tasks": _TASK,
    "ps": f"{_TASK} framework cpus_used mem_used processes",
    "frameworks": "id name state user roles tasks completed_tasks cpus mem disk gpus registered",
    "agents": "id hostname address state version attributes cpus mem disk gpus cpus_used mem_used disk_used gpus_used"
    " registered",
    "app list": "id status instances running staged healthy unhealthy cpus mem version command",
    "roles": "name weight frameworks cpus mem disk gpus cpus_offered mem_offered disk_offered gpus_offered",
}


# ── the command line ──────────────────────────────────────────────────────────────────────────────
def cli() -> str:
    """What every command's --help says."""
    parts = [
        "# Command line\n",
        f"{_WRITTEN} It is what `--help` prints.\n",
        "Every command that talks to a cluster takes the master from `--master`, from `KOINON_MASTER` or"
        " `MESOS_MASTER` in the\nenvironment, else `127.0.0.1:5050`. A command that fails says why in one sentence"
        " and exits with 1, one that is\nmisused with 2. `koinon master`, `koinon agent`,"
        " `koinon marathon` and `koinon chronos` have [flags](flags.md) of Mesos's\nkind.\n",
        "Commands about services (`app`, `plan`, `deploy`, and `why` of what begins with a slash) take Marathon from"
        " `--marathon`, from\n`KOINON_MARATHON`, else `127.0.0.1:8080`: `host:port` or `http://user:password@host:port`,"
        " several with commas. `version` in\n`app list` is a timestamp.\n",
        "Listings take `--json`: an array of objects, whose fields are these. Times are seconds since the epoch, mem and"
        " disk\nMB; what is not known is null. `ls` gives the entries of `/files/browse` with `name`, `why` the object"
        " (an array if several tasks\nare meant) with `decisions`: `time`, `code`, `sentence`.\n",
        "| listing | fields |\n|---|---|",
        *(
            f"| `{name}` | {' '.join(f'`{field}`' for field in fields.split())} |"
            for name, fields in _JSON.items()
        ),
        "",
        _section("koinon", _help(koinon, "koinon")),
    ]
    context = click.Context(koinon, info_name="koinon")
    for name in COMMANDS:
        if name not in ROLES:
            command = koinon.get_command(context, name)
            assert command is not None
            parts += _sections(command, f"koinon {name}")
    parts.append(
        "## Under the names of Mesos, Marathon and Chronos\n\n`mesos-master`, `mesos-agent` and `mesos-slave` are"
        " `koinon master` and `koinon agent`; `marathon` is\n`koinon marathon`, `chronos` is `koinon chronos`.\n"
    )
    tools: tuple[tuple[str, type[msgspec.Struct]], ...] = (
        ("mesos-execute", execute.ExecuteFlags),
        ("mesos-ps", mesos_tools._PsFlags),
        ("mesos-cat", mesos_tools._FileFlags),
        ("mesos-tail", mesos_tools._TailFlags),
        ("mesos-resolve", mesos_tools._ResolveFlags),
    )
    parts += [_section(name, flags.help_text(struct, name)) for name, struct in tools]
    return "\n".join(parts)


def _sections(command: click.Command, name: str) -> list[str]:
    """Of a command, and of those below it."""
    found = [_section(name, _help(command, name))]
    if isinstance(command, click.Group):
        for below, one in command.commands.items():
            found += _sections(one, f"{name} {below}")
    return found


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH)
    context.help_option_names = ["-h", "--help"]
    return command.get_help(context)


def _section(name: str, text: str) -> str:
    return f"## {name}\n\n```text\n{text.rstrip()}\n```\n"


# ── flags ─────────────────────────────────────────────────────────────────────────────────────────
def all_flags() -> str:
    """The flags of the roles."""
    return "\n".join(
        [
            "# Flags of master, agent, Marathon and Chronos\n",
            f"{_WRITTEN}\n",
            "They have Mesos's names. Those of Mesos that have no effect yet are not there, and giving one is an"
            " error that\nnames the nearest known one. Dash and underscore are the same; `--name=value` and `--name"
            " value` are; `--no-name` is\n`--name=false`.\n",
            "A flag is looked for on the command line, then in the environment, then in files, and the first one"
            " found counts.\nA value `file:///path` is read from that file. Times are written `250ms`, `5secs`,"
            " `10mins`, `1hrs`, `7days`.\n",
            _flags_of("koinon master", master_flags.MasterFlags, ("MESOS_",), master_flags.DIRECTORIES),
            _flags_of("koinon agent", agent_flags.AgentFlags, agent_flags.PREFIXES, agent_flags.DIRECTORIES),
            _flags_of(
                "koinon marathon",
                marathon_flags.MarathonFlags,
                marathon_flags.PREFIXES,
                marathon_flags.DIRECTORIES,
                marathon_flags.CONVENTIONS,
            ),
            "These have Marathon's names. A switch is turned off by `--disable_name`, and in the environment turned on"
            " by an empty\nvalue (`MARATHON_HA=`). Times are whole numbers, of milliseconds (`MS`) or of seconds (`S`); with"
            " a unit (`5mins`) they are\nunderstood, too. A variable that begins with `MARATHON_` and is no flag is an"
            " error, but for `MARATHON_URL`,\n`MARATHON_APP_…` and `MARATHON_CONTAINER_…`, which come from a Marathon that has launched this"
            " one; so is a setting that is on the command line and\nin the environment. What Marathon has and is not here"
            " is refused with the reason.\n",
            _flags_of(
                "koinon chronos",
                chronos_flags.ChronosFlags,
                chronos_flags.PREFIXES,
                chronos_flags.DIRECTORIES,
                chronos_flags.CONVENTIONS,
            ),
            "These have Chronos's names, but for those of `--history…`, `--gpu_resources` and `--mail_authorities`, which it"
            " never\nhad. They are written as Marathon's are; of variables that begin with `CHRONOS_`, `CHRONOS_URL`,"
            " `CHRONOS_JOB_…` and\n`CHRONOS_RESOURCE_…` are somebody else's.\n",
        ]
    )


def _flags_of(
    program: str,
    struct: type[msgspec.Struct],
    prefixes: Sequence[str],
    directories: Iterable[Path],
    conventions: flags.Conventions = flags._MESOS,
) -> str:
    environment = ", then ".join(f"`{prefix}<NAME>`" for prefix in prefixes)
    files = ", then ".join(f"`{directory}/<name>`" for directory in directories)
    lines = [
        f"## {program}\n",
        f"In the environment: {environment}. In files: {files} (`?name` without content sets a yes-or-no flag).\n",
        "| flag | default | |",
        "|---|---|---|",
    ]
    for _, one in sorted(flags._known(struct).items()):
        shown = "" if one.default is None else _shown(one.default)
        default = "required" if one.required else f"`{shown}`" if shown else ""
        lines.append(f"| `{_cell(one.form(conventions))}` | {_cell(default)} | {_cell(one.flag.help)} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return flags._write(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────
#: Beginnings of names, the longest first where two fit, with what they are about.
_ABOUT_MASTER = (
    ("master/frameworks/<framework>/<id>/", "One framework: `<framework>` is its name, percent-encoded."),
    ("master/messages_", "Messages and calls taken in, by kind."),
    ("master/operations/", "Operations on reservations and volumes, by kind and state; they stay 0 as yet."),
    ("master/valid_", "Messages that were understood and belonged to somebody."),
    ("master/invalid_", "Messages that were not."),
    ("master/slave_", "What became of agents."),
    ("master/slaves_", "How many agents stand how."),
    ("master/frameworks_", "How many frameworks stand how."),
    ("master/tasks_", "Tasks by state: those that live now; those that ended, since the master started."),
    ("master/cpus_", "CPUs."),
    ("master/gpus_", "GPUs."),
    ("master/mem_", "Memory, in MB."),
    ("master/disk_", "Disk, in MB."),
    ("master/event_queue_", "Always 0: the master takes in everything when it comes."),
    ("master/", "The rest."),
    ("allocator/", "The allocator: runs, resources, shares of roles, refusals (filters) that stand."),
    ("registrar/", "The registry."),
    ("system/", "The machine."),
)
_ABOUT_AGENT = (
    ("slave/tasks_", "Tasks by state: those that live now; those that ended, since the agent started."),
    ("slave/executors_", "Executors by state."),
    ("slave/cpus_", "CPUs."),
    ("slave/gpus_", "GPUs."),
    ("slave/mem_", "Memory, in MB."),
    ("slave/disk_", "Disk, in MB."),
    ("slave/", "The rest."),
    ("gc/", "Removal of old sandboxes."),
    ("containerizer/", "Parts that this agent does not have yet; always 0."),
    ("resource_provider_manager/", "Parts that this agent does not have yet; always 0."),
    ("system/", "The machine."),
)


def metrics() -> str:
    """The names of all numbers."""
    return "\n".join(
        [
            "# Metrics\n",
            f"{_WRITTEN}\n",
            "`GET /metrics/snapshot` answers all numbers as one flat JSON object, under these names, which are"
            " Mesos's.\n`GET /metrics` has the same for Prometheus: `master/tasks_running` is"
            " `koinon_master_tasks_running`; a timer\n`…_ms` is a summary `koinon_…_seconds`; what is counted for"
            ' each framework is\n`koinon_master_framework_…{framework_id="…"}`. An agent has there, too, what'
            " `/monitor/statistics` shows of each container:\n`koinon_container_mem_rss_bytes` and so on, with"
            " the labels `framework_id`, `executor_id` and `container_id`.\n",
            "A name that ends in `_ms` is a timer, in milliseconds: the last value, and below it `/count`, `/max`,"
            " `/min`,\n`/p50` to `/p9999` of the last 1,000.\n",
            _metrics_of("Master", asyncio.run(_names_of_master()), _ABOUT_MASTER),
            _metrics_of("Agent", _names_of_agent(), _ABOUT_AGENT),
            "## Marathon\n\n`GET /metrics` groups numbers by kind (`gauges`, `counters`, `timers`) with Dropwizard's fields;"
            " `GET /metrics/prometheus`\nhas them as `marathon_apps_active_gauge` and so on. The first word is that of"
            " `--metrics_name_prefix`.\n\n```text\n"
            + "\n".join(asyncio.run(_names_of_marathon()))
            + "\n```\n",
            "## Chronos\n\nAs Marathon's. Besides, of each job: the counters `jobs.run.success.<job>` and `jobs.run.failure.<job>` (runs,"
            ' not attempts;\nfor Prometheus `chronos_jobs_run_success_total{job="<job>"}`, …), once there are some; and the histogram'
            " `jobs.run.time.<job>`,\nmilliseconds from due to done of the latest 100 that succeeded since this Chronos leads.\n\n```text\n"
            + "\n".join(asyncio.run(_names_of_chronos()))
            + "\n```\n",
        ]
    )


async def _names_of_master() -> list[str]:
    """Names of a master with one framework, whose own name and id stand as <framework> and <id>."""
    now = time.time()
    core = Master(Config(), master_info=v1.MasterInfo(id="m", ip=0, port=0), seed=1, now=now)
    found = Metrics()
    runtime = Runtime(core, found)
    runtime.start(MemoryStore())
    info = v1.FrameworkInfo(user="someone", name="docs", roles=["<role>"])
    info.capabilities = [v1.FrameworkInfo.Capability(type=v1.FrameworkInfo.Capability.Type.MULTI_ROLE)]
    call = Call(type=Call.Type.SUBSCRIBE, subscribe=Call.Subscribe(framework_info=info))
    core.handle(events.SchedulerSubscribed("s", call), now)
    master_metrics.install(found, core, started_s=now, watchers=lambda: 0)
    serve_common(Server("master"), found, {})
    names = found.snapshot()
    runtime.stop()
    (framework,) = core.state.frameworks.values()
    return [name.replace(f"docs/{framework.id}/", "<framework>/<id>/") for name in names]


async def _nothing() -> dict[str, v1.ResourceStatistics]:
    return {}


def _names_of_agent() -> list[str]:
    found = Metrics()
    state = AgentState(agent_info=v1.AgentInfo(hostname=""))
    agent_metrics.declare(
        found,
        state,
        started_s=0.0,
        recovery_s=0.0,
        collector=Collector(Path("/none"), delay_s=0.0, headroom=0.0, live=frozenset),
        fetcher=Fetcher(Path("/none"), cache_size_bytes=0, stall_timeout_s=1.0),
        usage=_nothing,
    )
    serve_common(Server("slave(1)"), found, {})
    return list(found.snapshot())


async def _names_of_marathon() -> list[str]:
    found = flags.load(marathon_flags.MarathonFlags, ["--master=none", "--work_dir=/none"], environ={})
    process = MarathonProcess(found)
    process.declare()
    shown = process.metrics.snapshot()
    return sorted(name for kind in ("gauges", "counters", "timers") for name in shown[kind])


async def _names_of_chronos() -> list[str]:
    found = flags.load(chronos_flags.ChronosFlags, ["--master=none", "--work_dir=/none"], environ={})
    process = ChronosProcess(found)
    process.declare()
    shown = process.metrics.snapshot()
    return sorted(name for kind in ("gauges", "counters", "timers") for name in shown[kind])


def _metrics_of(title: str, names: Sequence[str], about: Sequence[tuple[str, str]]) -> str:
    parts = [f"## {title}\n"]
    # Of a timer its own name stands for all.
    timers = {name for name in names if name.endswith("_ms") and f"{name}/count" in names}
    left = sorted(name for name in names if name.rpartition("/")[0] not in timers)
    for prefix, sentence in about:
        found = [name for name in left if name.startswith(prefix)]
        left = [name for name in left if name not in found]
        assert found, prefix
        parts.append(f"{sentence}\n\n```text\n" + "\n".join(found) + "\n```\n")
    assert not left, left
    return "\n".join(parts)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
