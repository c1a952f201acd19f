"""A pod's instance as a task group: one executor, one task for each container."""

from __future__ import annotations

from koinon.marathon.matching import checks, environment
from koinon.marathon.matching.commands import kill_policy, limits, uris
from koinon.marathon.matching.containers import VolumeUnsupported, linux_info
from koinon.marathon.matching.matcher import Match
from koinon.marathon.matching.networks import (
    Port,
    discovery,
    labels_v1,
    network_infos,
    ports_of_endpoints,
)
from koinon.marathon.matching.settings import Settings
from koinon.marathon.matching.wanted import port_wishes
from koinon.marathon.model.pod import Image, Pod, PodContainer, VolumeMount
from koinon.marathon.model.records import Instance
from koinon.mesos import v1

_Operation = v1.Offer.Operation
_Source = v1.Volume.Source


def executor_id(instance_id: str) -> str:
    """`prod_web.instance-<uuid>` → `instance-prod_web.<uuid>`."""
    key, _, uuid = instance_id.rpartition(".instance-")
    return f"instance-{key}.{uuid}"


def launch_group(
    match: Match, pod: Pod, instance: Instance, settings: Settings, enforce_role: bool
) -> _Operation:
    """All containers at once. Raises environment.SecretsUnsupported, containers.VolumeUnsupported."""
    wishes = port_wishes(pod)
    endpoints = [endpoint for container in pod.containers for endpoint in container.endpoints]
    ports = ports_of_endpoints(endpoints, wishes, match.host_ports, match.assigned)
    variables = environment.of_endpoints(
        pod, wishes, match.host_ports, match.assigned, settings.env_vars_prefix
    )
    infos = []
    at = 0
    for container, task, resources in zip(pod.containers, instance.tasks, match.parts[1:], strict=True):
        own = ports[at : at + len(container.endpoints)]
        at += len(container.endpoints)
        info = _task(match, pod, container, task.id, list(resources), own, settings)
        assert info.command is not None
        info.command.environment = environment.to_v1(
            environment.of_container(
                pod,
                container,
                task_id=task.id,
                executor_id=executor_id(instance.id),
                hostname=match.agent.hostname,
                endpoints=variables,
                enforce_role=enforce_role,
            )
        )
        infos.append(info)
    return _Operation(
        type=_Operation.Type.LAUNCH_GROUP,
        launch_group=_Operation.LaunchGroup(
            executor=_executor(match, pod, instance.id, ports, settings),
            task_group=v1.TaskGroupInfo(tasks=infos),
        ),
    )


def _executor(
    match: Match, pod: Pod, instance_id: str, ports: list[Port], settings: Settings
) -> v1.ExecutorInfo:
    """It holds what the containers share: ports, networks, volumes."""
    return v1.ExecutorInfo(
        type=v1.ExecutorInfo.Type.DEFAULT,
        executor_id=v1.ExecutorID(executor_id(instance_id)),
        resources=[*match.parts[0], *match.port_resources],
        container=v1.ContainerInfo(
            type=v1.ContainerInfo.Type.MESOS,
            network_infos=network_infos(pod.networks, ports, settings.mesos_bridge_name),
            linux_info=linux_info(pod.linux_info, share_cgroups=_share_cgroups(pod)),
        ),
        labels=labels_v1(pod.labels),
    )


def _task(
    match: Match,
    pod: Pod,
    container: PodContainer,
    task_id: str,
    resources: list[v1.Resource],
    ports: list[Port],
    settings: Settings,
) -> v1.TaskInfo:
    by_name = {port.name or "": port for port in ports}
    grace_s = container.lifecycle.kill_grace_period_seconds if container.lifecycle is not None else None
    health, check = container.health_check, container.check
    return v1.TaskInfo(
        name=container.name,
        task_id=v1.TaskID(task_id),
        agent_id=v1.AgentID(match.agent.agent_id),
        resources=resources,
        command=_command(pod, container, settings),
        container=_container(pod, container),
        health_check=checks.pod_health_check(health, by_name) if health is not None else None,
        check=checks.pod_check(check, by_name) if check is not None else None,
        kill_policy=kill_policy(grace_s),
        labels=labels_v1(container.labels),
        discovery=discovery(pod, ports),
        limits=limits(container.resource_limits),
    )


def _command(pod: Pod, container: PodContainer, settings: Settings) -> v1.CommandInfo:
    command = v1.CommandInfo(
        shell=False,
        uris=uris(container.artifacts),
        user=container.user or pod.user or settings.mesos_user,
    )
    if container.exec is not None:
        given = container.exec.command
        if given.argv is not None:
            command.arguments = list(given.argv)
            # An image has its own program, unless it is to be overridden.
            if container.exec.override_entrypoint or container.image is None:
                command.value = given.argv[0]
        else:
            command.shell = True
            command.value = given.shell
    return command


def _container(pod: Pod, container: PodContainer) -> v1.ContainerInfo:
    return v1.ContainerInfo(
        type=v1.ContainerInfo.Type.MESOS,
        mesos=v1.ContainerInfo.MesosInfo(image=_image(container.image)) if container.image else None,
        volumes=[_volume(pod, mount) for mount in container.volume_mounts],
        linux_info=linux_info(container.linux_info, share_cgroups=_share_cgroups(pod)),
        tty_info=v1.TTYInfo() if container.tty else None,
    )


def _share_cgroups(pod: Pod) -> bool | None:
    """Whether the containers are in the cgroups of their executor; None: nothing is said about it.

    Marathon says no unless the pod wants it. Agents that run plain processes refuse that, so it is said only where it
    matters: limits of a container cannot be kept otherwise.
    """
    if pod.legacy_shared_cgroups is None:
        return False if any(one.resource_limits is not None for one in pod.containers) else None
    return pod.legacy_shared_cgroups


def _image(image: Image) -> v1.Image:
    if image.kind == "APPC":
        return v1.Image(
            type=v1.Image.Type.APPC,
            appc=v1.Image.Appc(name=image.id, labels=labels_v1(image.labels)),
            cached=not image.force_pull,
        )
    return v1.Image(
        type=v1.Image.Type.DOCKER, docker=v1.Image.Docker(name=image.id), cached=not image.force_pull
    )


def _volume(pod: Pod, mount: VolumeMount) -> v1.Volume:
    """Raises VolumeUnsupported."""
    volume = next((one for one in pod.volumes if one.name == mount.name), None)
    if volume is None or volume.persistent is not None or volume.secret is not None:
        raise VolumeUnsupported(f"the volume '{mount.name}' is neither the host's nor the pod's")
    found = v1.Volume(
        mode=v1.Volume.Mode.RO if mount.read_only else v1.Volume.Mode.RW, container_path=mount.mount_path
    )
    if volume.host is not None:
        found.host_path = volume.host
    else:
        found.source = _Source(
            type=_Source.Type.SANDBOX_PATH,
            sandbox_path=_Source.SandboxPath(
                type=_Source.SandboxPath.Type.PARENT, path=f"volumes/{volume.name}"
            ),
        )
    return found
