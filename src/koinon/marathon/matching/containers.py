"""Containers of apps, of the Docker engine or Mesos's own."""

from __future__ import annotations

from collections.abc import Sequence

from koinon.marathon.matching.networks import Port, labels_v1, network_infos
from koinon.marathon.matching.settings import Settings
from koinon.marathon.matching.wanted import is_on_host
from koinon.marathon.model.app import App, Container, Docker, LinuxInfo, Volume
from koinon.mesos import v1

_Type = v1.ContainerInfo.Type
_DockerInfo = v1.ContainerInfo.DockerInfo


class VolumeUnsupported(ValueError):
    """A volume of a kind that cannot be had."""


def app_container(
    app: App, task_id: str, ports: Sequence[Port], settings: Settings
) -> v1.ContainerInfo | None:
    """None for a plain process in the agent's network. Raises VolumeUnsupported."""
    container = app.container
    if container is None and is_on_host(app) and not app.tty:
        return None
    container = container or Container(type="MESOS")
    found = v1.ContainerInfo(
        type=_Type.DOCKER if container.type == "DOCKER" else _Type.MESOS,
        volumes=[volume_v1(one) for one in container.volumes],
        linux_info=linux_info(container.linux_info),
        tty_info=v1.TTYInfo() if app.tty else None,
    )
    if container.type == "DOCKER" and container.docker is not None:
        found.docker = _docker(app, container.docker, task_id, ports)
        found.network_infos = [
            v1.NetworkInfo(name=network.name, labels=labels_v1(network.labels))
            for network in app.networks
            if network.mode == "container"
        ]
    else:
        found.mesos = v1.ContainerInfo.MesosInfo(image=_image(container.docker))
        found.network_infos = network_infos(app.networks, ports, settings.mesos_bridge_name)
    return found


def _docker(app: App, docker: Docker, task_id: str, ports: Sequence[Port]) -> _DockerInfo:
    modes = {network.mode for network in app.networks}
    network = _DockerInfo.Network.HOST
    if "container/bridge" in modes:
        network = _DockerInfo.Network.BRIDGE
    elif "container" in modes:
        network = _DockerInfo.Network.USER
    parameters = [v1.Parameter(key=one.key, value=one.value) for one in docker.parameters]
    parameters.append(v1.Parameter(key="label", value=f"MESOS_TASK_ID={task_id}"))
    return _DockerInfo(
        image=docker.image,
        network=network,
        port_mappings=[
            _DockerInfo.PortMapping(host_port=port.host, container_port=port.inside, protocol=protocol)
            for port in ports
            if port.host is not None and network is not _DockerInfo.Network.HOST
            for protocol in port.protocols
        ],
        privileged=docker.privileged,
        parameters=parameters,
        force_pull_image=docker.force_pull_image,
    )


def _image(docker: Docker | None) -> v1.Image | None:
    if docker is None:
        return None
    return v1.Image(
        type=v1.Image.Type.DOCKER,
        docker=v1.Image.Docker(name=docker.image),
        cached=not docker.force_pull_image,
    )


def volume_v1(volume: Volume) -> v1.Volume:
    """A directory of the host. Raises VolumeUnsupported for others."""
    if volume.host_path is None:
        raise VolumeUnsupported(f"the volume at {volume.container_path} is none of the host's")
    return v1.Volume(
        mode=v1.Volume.Mode(volume.mode or "RW"),
        container_path=volume.container_path,
        host_path=volume.host_path,
    )


def linux_info(given: LinuxInfo | None, *, share_cgroups: bool | None = None) -> v1.LinuxInfo | None:
    """What only Linux has; None if nothing is asked for."""
    if given is None and share_cgroups is None:
        return None
    found = v1.LinuxInfo()
    if share_cgroups is not None:
        found.share_cgroups = share_cgroups
    if given is not None and given.seccomp is not None:
        found.seccomp = v1.SeccompInfo(
            profile_name=given.seccomp.profile_name, unconfined=given.seccomp.unconfined
        )
    if given is not None and given.ipc_info is not None:
        found.ipc_mode = v1.LinuxInfo.IpcMode(given.ipc_info.mode)
        found.shm_size = given.ipc_info.shm_size
    return found
