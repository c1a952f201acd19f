"""A run as a task: its command, its variables, what is fetched for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from koinon.chronos.model import Job, Run
from koinon.chronos.placing.containers import container_of
from koinon.mesos import v1

#: A command that begins so is fetched, and run.
_FETCHED = ("http://", "https://", "ftp://", "ftps://")

_URI = v1.CommandInfo.URI


def task_of(
    job: Job, run: Run, *, agent_id: str, hostname: str, resources: Sequence[v1.Resource]
) -> v1.TaskInfo:
    """The task of a run, with these resources of that agent."""
    task = v1.TaskInfo(
        name=f"ChronosTask:{job.name}",
        task_id=v1.TaskID(run.id),
        agent_id=v1.AgentID(agent_id),
        resources=list(resources),
    )
    if job.max_completion_time > 0:
        task.max_completion_time = v1.DurationInfo(round(job.max_completion_time * 1e9))
    if job.executor:
        task.executor = _executor(job, hostname)
        task.data = _data(job).encode()
    else:
        command = _command(job, run)
        command.environment = _environment({**_own(job), **_told(job, hostname), **_told_of_run(run)})
        task.command = command
        task.container = container_of(job.container) if job.container is not None else None
    return task


def executor_id(job: Job, run: Run) -> str:
    """Of the executor that has the run's task: its sandbox is found by that."""
    return job.name if job.executor else run.id


# ── commands ──────────────────────────────────────────────────────────────────────────────────────
def _command(job: Job, run: Run) -> v1.CommandInfo:
    command = v1.CommandInfo(uris=_uris(job), user=job.run_as_user or None)
    value = job.command
    if value.startswith(_FETCHED):
        url, blank, rest = value.partition(" ") if job.shell else (value, "", "")
        command.uris.append(_URI(value=url, executable=True, extract=False))
        value = "./" + shlex.quote(url.partition("?")[0].rpartition("/")[2]) + blank + rest
    if job.shell:
        more = run.arguments or " ".join(job.arguments)
        command.value = f"{value} {more}".rstrip() if more else value
    else:
        command.shell = False
        command.value = value or None
        command.arguments = _argv(job, run)
    return command


def _argv(job: Job, run: Run) -> list[str]:
    """With the program's name in front, as a process has it; who has written that already meant the same."""
    given = _words(run.arguments) if run.arguments else list(job.arguments)
    # Of an image the arguments stand behind its own program, or the one named.
    if job.container is not None or not job.command:
        return given
    names = (job.command, job.command.rpartition("/")[2])
    return given if given and given[0] in names and not run.arguments else [job.command, *given]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation without an end: no quotation
        return text.split()


def _uris(job: Job) -> list[v1.CommandInfo.URI]:
    return [
        _URI(
            value=one.uri,
            executable=one.executable,
            extract=one.extract,
            cache=one.cache,
            output_file=one.output_file,
        )
        for one in job.fetch
    ]


# ── custom executors ──────────────────────────────────────────────────────────────────────────────
def _executor(job: Job, hostname: str) -> v1.ExecutorInfo:
    """The same for all runs of a definition: the next one may find it running."""
    command = v1.CommandInfo(value=job.executor, uris=_uris(job), user=job.run_as_user or None)
    command.environment = _environment({**_own(job), **_told(job, hostname)})
    return v1.ExecutorInfo(
        type=v1.ExecutorInfo.Type.CUSTOM,
        executor_id=v1.ExecutorID(job.name),
        command=command,
        container=container_of(job.container) if job.container is not None else None,
    )


def _data(job: Job) -> str:
    return job.task_info_data or f"{job.executor_flags}|{job.command}"


# ── variables ─────────────────────────────────────────────────────────────────────────────────────
def _own(job: Job) -> dict[str, str]:
    return {one.name: one.value for one in job.environment_variables}


def _told(job: Job, hostname: str) -> dict[str, str]:
    """What every task of a job is told; it goes before the job's own variables."""
    return {
        "CHRONOS_JOB_NAME": job.name,
        "CHRONOS_JOB_OWNER": job.owner,
        "CHRONOS_RESOURCE_CPU": repr(float(job.cpus)),
        "CHRONOS_RESOURCE_MEM": repr(float(job.mem)),
        "CHRONOS_RESOURCE_DISK": repr(float(job.disk)),
        "HOST": hostname,
    }


def _told_of_run(run: Run) -> dict[str, str]:
    told = {
        "mesos_task_id": run.id,
        "MESOS_TASK_ID": run.id,
        "CHRONOS_JOB_RUN_TIME": str(run.due_ms),
        "CHRONOS_JOB_RUN_ATTEMPT": str(run.attempt),
    }
    return {**told, "CHRONOS_JOB_RUN_WINDOW": str(run.window_ms)} if run.window_ms else told


def _environment(variables: Mapping[str, str]) -> v1.Environment:
    return v1.Environment(
        variables=[v1.Environment.Variable(name=name, value=value) for name, value in variables.items()]
    )
