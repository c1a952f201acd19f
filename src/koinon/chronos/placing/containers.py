"""Containers of jobs, of the Docker engine or Mesos's own."""

from __future__ import annotations

from koinon.chronos.model.job import Container, KeyValue, NetworkInfo, Volume
from koinon.mesos import v1

_Type = v1.ContainerInfo.Type
_DockerInfo = v1.ContainerInfo.DockerInfo
_Source = v1.Volume.Source


def container_of(container: Container) -> v1.ContainerInfo:
    """As it stands in a task."""
    found = v1.ContainerInfo(
        type=_Type.DOCKER if container.type == "DOCKER" else _Type.MESOS,
        volumes=[_volume(one) for one in container.volumes],
        network_infos=_networks(container),
    )
    if container.type == "DOCKER":
        found.docker = _DockerInfo(
            image=container.image,
            network=_DockerInfo.Network(container.network),
            parameters=_parameters(container.parameters),
            force_pull_image=container.force_pull_image,
        )
    else:
        image = v1.Image(
            type=v1.Image.Type.DOCKER,
            docker=v1.Image.Docker(name=container.image),
            cached=not container.force_pull_image,
        )
        found.mesos = v1.ContainerInfo.MesosInfo(image=image)
    return found


def _networks(container: Container) -> list[v1.NetworkInfo]:
    given = container.network_infos
    if not given and container.network_name:
        given = (NetworkInfo(name=container.network_name),)
    return [_network(one) for one in given]


def _network(one: NetworkInfo) -> v1.NetworkInfo:
    found = v1.NetworkInfo(name=one.name)
    if one.protocol is not None:
        found.ip_addresses = [v1.NetworkInfo.IPAddress(protocol=v1.NetworkInfo.Protocol(one.protocol))]
    if one.labels:
        found.labels = v1.Labels(labels=[v1.Label(key=label.key, value=label.value) for label in one.labels])
    found.port_mappings = [
        v1.NetworkInfo.PortMapping(
            host_port=port.host_port, container_port=port.container_port, protocol=port.protocol
        )
        for port in one.port_mappings
    ]
    return found


def _volume(volume: Volume) -> v1.Volume:
    found = v1.Volume(mode=v1.Volume.Mode(volume.mode), container_path=volume.container_path)
    if volume.external is None:
        found.host_path = volume.host_path
        return found
    external = volume.external
    found.source = _Source(
        type=_Source.Type.DOCKER_VOLUME,
        docker_volume=_Source.DockerVolume(
            driver=external.provider,
            name=external.name,
            driver_options=v1.Parameters(parameter=_parameters(external.options))
            if external.options
            else None,
        ),
    )
    return found


def _parameters(options: tuple[KeyValue, ...]) -> list[v1.Parameter]:
    return [v1.Parameter(key=one.key, value=one.value) for one in options]
