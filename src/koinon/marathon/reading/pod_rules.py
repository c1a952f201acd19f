"""What a pod must be like besides its form (reference: Marathon's REST API, pods)."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from koinon.marathon.model import Pod
from koinon.marathon.model.pod import Endpoint, PodCheck, PodContainer, PodHealthCheck, PodVolume
from koinon.marathon.model.problems import Problem
from koinon.marathon.model.settings import Rules
from koinon.marathon.reading import common_rules as common
from koinon.marathon.reading.app_rules import unreachable_problems
from koinon.marathon.reading.check_rules import command_problems


def pod_problems(pod: Pod, rules: Rules) -> Iterator[Problem]:
    """Everything that is wrong with `pod` as such."""
    yield from common.id_problems(pod.id)
    yield from common.network_problems(pod.networks)
    if pod.secrets:
        yield from common.feature_problems(rules, "secrets", "/secrets")
    yield from common.env_problems(pod.environment, pod.secrets, rules, "/environment")
    yield from common.linux_problems(pod.linux_info, "/linuxInfo", is_pod=True)
    yield from common.name_problems(
        [one.name for one in pod.containers], "/containers({})/name", "the names of containers"
    )
    for at, container in enumerate(pod.containers):
        yield from _container_problems(pod, container, f"/containers({at})", rules)
    yield from _uniqueness_problems(pod)
    yield from _volumes_problems(pod, rules)
    for at, constraint in enumerate(pod.scheduling.placement.constraints):
        yield from common.constraint_problems(
            constraint.operator,
            constraint.value,
            constraint.field_name,
            f"/scheduling/placement/constraints({at})",
        )
    yield from common.role_problems(
        pod.scheduling.placement.accepted_resource_roles,
        pod.role,
        "/scheduling/placement/acceptedResourceRoles",
    )
    yield from unreachable_problems(pod.scheduling.unreachable_strategy, "/scheduling/unreachableStrategy")


def _container_problems(pod: Pod, container: PodContainer, at: str, rules: Rules) -> Iterator[Problem]:
    resources = container.resources
    yield from common.limit_problems(
        container.resource_limits, resources.cpus, resources.mem, f"{at}/resourceLimits"
    )
    if container.resource_limits is not None and pod.legacy_shared_cgroups:
        yield Problem(f"{at}/resourceLimits", "must not be given with legacySharedCgroups")
    if resources.gpus > 0:
        yield from common.feature_problems(rules, "gpu_resources", f"{at}/resources/gpus")
    if container.exec is not None:
        yield from command_problems(container.exec.command, f"{at}/exec/command")
        if container.exec.command.shell is not None and container.exec.override_entrypoint is False:
            yield Problem(f"{at}/exec/overrideEntrypoint", "must not be false with a shell command")
    if container.image is not None and container.image.pull_config is not None:
        yield from common.feature_problems(rules, "secrets", f"{at}/image/pullConfig")
        yield from common.secret_problems(
            container.image.pull_config.secret, pod.secrets, f"{at}/image/pullConfig/secret"
        )
    for index, endpoint in enumerate(container.endpoints):
        yield from _endpoint_problems(pod, endpoint, f"{at}/endpoints({index})")
    yield from common.env_problems(container.environment, pod.secrets, rules, f"{at}/environment")
    names = {one.name for one in container.endpoints}
    if (health := container.health_check) is not None:
        yield from _check_problems(health, names, f"{at}/healthCheck")
        if health.timeout_seconds >= health.interval_seconds:
            yield Problem(
                f"{at}/healthCheck/timeoutSeconds",
                f"must be less than intervalSeconds, which is {health.interval_seconds}",
            )
    if container.check is not None:
        yield from _check_problems(container.check, names, f"{at}/check")
    known = {volume.name for volume in pod.volumes}
    for index, mount in enumerate(container.volume_mounts):
        if mount.name not in known:
            yield Problem(f"{at}/volumeMounts({index})/name", f"'{mount.name}' is none of the pod's volumes")
    for index, artifact in enumerate(container.artifacts):
        yield from common.uri_problems(artifact.uri, f"{at}/artifacts({index})/uri")
    yield from common.linux_problems(container.linux_info, f"{at}/linuxInfo")


def _endpoint_problems(pod: Pod, endpoint: Endpoint, at: str) -> Iterator[Problem]:
    modes = {network.mode for network in pod.networks}
    if "host" in modes and endpoint.container_port is not None:
        yield Problem(f"{at}/containerPort", "is not allowed when using host-mode networking")
    if "container" in modes and endpoint.container_port is None:
        yield Problem(f"{at}/containerPort", "is required when using container-mode networking")
    yield from common.name_problems(endpoint.protocol, f"{at}/protocol({{}})", "protocols of an endpoint")
    yield from common.port_network_problems(endpoint.host_port, endpoint.network_names, pod.networks, at)


def _check_problems(
    check: PodHealthCheck | PodCheck, endpoints: Collection[str], at: str
) -> Iterator[Problem]:
    kinds = [name for name in ("http", "tcp", "exec") if getattr(check, name) is not None]
    if len(kinds) != 1:
        yield Problem(
            at, "must be one of http, tcp, exec" + (f", not {' and '.join(kinds)}" if kinds else "")
        )
    for name, one in (("http", check.http), ("tcp", check.tcp)):
        if one is not None and one.endpoint not in endpoints:
            yield Problem(f"{at}/{name}/endpoint", f"'{one.endpoint}' is none of the container's endpoints")
    if check.exec is not None:
        yield from command_problems(check.exec.command, f"{at}/exec/command")


def _uniqueness_problems(pod: Pod) -> Iterator[Problem]:
    """Of what must be unique over all containers."""
    names: set[str] = set()
    ports: dict[str, set[int]] = {"containerPort": set(), "hostPort": set()}
    for at, container in enumerate(pod.containers):
        for index, endpoint in enumerate(container.endpoints):
            here = f"/containers({at})/endpoints({index})"
            if endpoint.name in names:
                yield Problem(
                    f"{here}/name", f"the names of endpoints must be unique in the pod: '{endpoint.name}'"
                )
            names.add(endpoint.name)
            for kind, port in (("containerPort", endpoint.container_port), ("hostPort", endpoint.host_port)):
                if port and port in ports[kind]:
                    yield Problem(f"{here}/{kind}", f"must be unique in the pod: {port} is there already")
                ports[kind].add(port or 0)


def _volumes_problems(pod: Pod, rules: Rules) -> Iterator[Problem]:
    yield from common.name_problems(
        [one.name for one in pod.volumes], "/volumes({})/name", "the names of volumes"
    )
    mounted = {mount.name for container in pod.containers for mount in container.volume_mounts}
    for at, volume in enumerate(pod.volumes):
        yield from _volume_problems(pod, volume, f"/volumes({at})", rules)
        if volume.name not in mounted:
            yield Problem(f"/volumes({at})", f"no container mounts '{volume.name}'")


def _volume_problems(pod: Pod, volume: PodVolume, at: str, rules: Rules) -> Iterator[Problem]:
    if sum(one is not None for one in (volume.host, volume.persistent, volume.secret)) > 1:
        yield Problem(at, "must have at most one of host, persistent, secret")
    if volume.persistent is not None:
        yield Problem(f"{at}/persistent", "persistent volumes are not supported yet")
    if volume.secret is not None:
        yield from common.feature_problems(rules, "secrets", f"{at}/secret")
        yield from common.secret_problems(volume.secret, pod.secrets, f"{at}/secret")
