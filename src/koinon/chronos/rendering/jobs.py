"""One job as the API shows it.

What GET shows can be posted back as it is; nothing changes by that.
"""

from __future__ import annotations

from typing import Any

from koinon.chronos.model import Job, Line
from koinon.chronos.model.job import Container, ExternalVolume, Fetch, KeyValue, NetworkInfo, Volume
from koinon.chronos.schedules import Cron, Repeating
from koinon.timestamps import stamp


def render_job(job: Job, line: Line) -> dict[str, Any]:
    """The job under the prefix of a line. Fields that this line's clients do not know are shown all the same."""
    made: dict[str, Any] = {
        "name": job.name,
        "command": job.command,
        "shell": job.shell,
        "epsilon": job.epsilon,
        "async": job.asynchronous,
        "executor": job.executor,
        "executorFlags": job.executor_flags,
        "taskInfoData": job.task_info_data,
        "retries": job.retries,
        "owner": job.owner,
        "ownerName": job.owner_name,
        "description": job.description,
        "cpus": job.cpus,
        "disk": job.disk,
        "mem": job.mem,
        "gpus": job.gpus,
        "disabled": job.disabled,
        "softError": job.soft_error,
        "dataProcessingJobType": job.data_processing_job_type,
        "fetch": [_fetch(one) for one in job.fetch],
        "uris": [one.uri for one in job.fetch],
        "environmentVariables": [{"name": one.name, "value": one.value} for one in job.environment_variables],
        "arguments": list(job.arguments),
        "highPriority": job.high_priority,
        "runAsUser": job.run_as_user,
        "concurrent": job.concurrent,
        "constraints": [[one.attribute, one.operator, one.value] for one in job.constraints],
        "maxCompletionTime": job.max_completion_time,
        "successCount": job.success_count,
        "errorCount": job.error_count,
        "errorsSinceLastSuccess": job.errors_since_last_success,
        "lastSuccess": moment(job.last_success),
        "lastError": moment(job.last_error),
        "overlap": job.overlap,
        "missedRuns": job.missed_runs,
        "retryBackoffFactor": job.retry_backoff_factor,
        "maxRetryDelaySeconds": job.max_retry_delay_seconds,
        "notifyOnSuccess": job.notify_on_success,
    }
    if job.retry_delay_seconds is not None:
        made["retryDelaySeconds"] = job.retry_delay_seconds
    if job.lost_after_seconds is not None:
        made["lostAfterSeconds"] = job.lost_after_seconds
    if job.container is not None:
        made["container"] = _container(job.container, line)
    if job.schedule is None:
        made["parents"] = list(job.parents)
    else:
        _add_schedule(made, job.schedule, job.disabled)
    return made


def moment(at: float | None) -> str:
    """A time as the bookkeeping shows it; scripts compare two of them as text."""
    return "" if at is None else stamp(at)


def _add_schedule(made: dict[str, Any], schedule: Repeating | Cron, is_disabled: bool) -> None:
    made["schedule"] = schedule.shown
    made["scheduleTimeZone"] = schedule.zone
    if schedule.is_cron:
        made["cron"] = schedule.shown
    made["originalSchedule"] = schedule.text
    made["nextRun"] = "" if is_disabled else moment(schedule.due)


def _fetch(fetch: Fetch) -> dict[str, Any]:
    made: dict[str, Any] = {
        "uri": fetch.uri,
        "executable": fetch.executable,
        "cache": fetch.cache,
        "extract": fetch.extract,
    }
    if fetch.output_file is not None:
        made["output_file"] = fetch.output_file
    return made


def _container(container: Container, line: Line) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": container.type.lower() if line == "2.x" else container.type,
        "image": container.image,
        "network": container.network,
        "networkInfos": [_network(one) for one in container.network_infos],
        "volumes": [_volume(one) for one in container.volumes],
        "parameters": _pairs(container.parameters),
        "forcePullImage": container.force_pull_image,
    }
    if container.network_name is not None:
        made["networkName"] = container.network_name
    return made


def _network(network: NetworkInfo) -> dict[str, Any]:
    made: dict[str, Any] = {"name": network.name, "labels": _pairs(network.labels), "portMappings": []}
    if network.protocol is not None:
        made["protocol"] = network.protocol
    for one in network.port_mappings:
        # Ports are text here: that is how clients have always got them.
        mapping = {"hostPort": str(one.host_port), "containerPort": str(one.container_port)}
        if one.protocol is not None:
            mapping["protocol"] = one.protocol
        made["portMappings"].append(mapping)
    return made


def _volume(volume: Volume) -> dict[str, Any]:
    made: dict[str, Any] = {"containerPath": volume.container_path, "mode": volume.mode}
    if volume.host_path is not None:
        made["hostPath"] = volume.host_path
    if volume.external is not None:
        made["external"] = _external(volume.external)
    return made


def _external(external: ExternalVolume) -> dict[str, Any]:
    return {"name": external.name, "provider": external.provider, "options": _pairs(external.options)}


def _pairs(pairs: tuple[KeyValue, ...]) -> list[dict[str, str]]:
    return [{"key": one.key, "value": one.value} for one in pairs]
