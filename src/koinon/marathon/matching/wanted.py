"""What one instance of an app or pod needs of an agent. Made once for each definition."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from koinon.marathon.matching.constraints import Rule, read_rule
from koinon.marathon.matching.settings import Settings
from koinon.marathon.model.app import App, PortDefinition
from koinon.marathon.model.pod import Pod
from koinon.marathon.model.root import RunSpec
from koinon.offers import Amounts, amounts


class PortWish(Struct, frozen=True):
    """One declared port."""

    host: int | None  #: 0: any; None: none on the host
    inside: int | None = (
        None  #: in the container; 0: the same as the host's; None: the container has no network
    )


class Wanted(Struct, frozen=True, kw_only=True):
    """Of an app one part, the task (and its executor, if it is custom); of a pod the executor, then each container."""

    id: str
    role: str
    parts: tuple[Amounts, ...]
    total: Amounts  #: of all parts
    ports: tuple[PortWish, ...]
    fixed_ports: frozenset[int]
    any_ports: int  #: how many that may be any
    accepts: frozenset[str]  #: roles whose reservations may be used; `*`: what is reserved for nobody
    rules: tuple[Rule, ...]
    instances: int
    config: str  #: version of the configuration
    any_region: bool  #: constraints say which
    spares_gpus: bool  #: agents with GPUs are left to those who need them
    shape: str  #: the same for all that need the same of what is offered, wherever it is


def wanted_of(spec: RunSpec, settings: Settings) -> Wanted:
    """What each instance of `spec` needs."""
    rules = tuple(read_rule(one) for one in _constraints(spec))
    parts = _parts_of_app(spec, settings) if isinstance(spec, App) else _parts_of_pod(spec)
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0) + amount
    info = spec.version_info
    ports, accepts = port_wishes(spec), _accepted_roles(spec, settings)
    fixed = frozenset(wish.host for wish in ports if wish.host)
    any_ports = sum(wish.host == 0 for wish in ports)
    spares_gpus = "gpus" not in total and _gpu_behavior(spec, settings) == "restricted"
    return Wanted(
        id=spec.id,
        role=spec.role,
        parts=parts,
        total=total,
        ports=ports,
        fixed_ports=fixed,
        any_ports=any_ports,
        accepts=accepts,
        rules=rules,
        instances=spec.instances,
        config=info.last_config_change_at if info is not None else spec.version,
        any_region=any(rule.field in ("@region", "@zone") for rule in rules),
        spares_gpus=spares_gpus,
        shape=repr((sorted(total.items()), sorted(fixed), any_ports, sorted(accepts), spares_gpus)),
    )


def _constraints(spec: RunSpec) -> list[tuple[str, ...]]:
    if isinstance(spec, App):
        return list(spec.constraints)
    return [
        (one.field_name, one.operator) if one.value is None else (one.field_name, one.operator, one.value)
        for one in spec.scheduling.placement.constraints
    ]


# ── resources ─────────────────────────────────────────────────────────────────────────────────────
def custom_executor(app: App, settings: Settings) -> str | None:
    """The path of the executor that runs the app's tasks; None: Mesos's own for commands."""
    executor = app.executor or settings.executor
    return None if executor == "//cmd" else executor


def _parts_of_app(app: App, settings: Settings) -> tuple[Amounts, ...]:
    task = amounts(cpus=app.cpus, mem=app.mem, disk=app.disk, gpus=app.gpus)
    if custom_executor(app, settings) is None or (more := app.executor_resources) is None:
        return (task,)
    return task, amounts(cpus=more.cpus, mem=more.mem, disk=more.disk)


def _parts_of_pod(pod: Pod) -> tuple[Amounts, ...]:
    own = pod.executor_resources
    return amounts(cpus=own.cpus, mem=own.mem, disk=own.disk), *(
        amounts(cpus=one.cpus, mem=one.mem, disk=one.disk, gpus=one.gpus)
        for one in (container.resources for container in pod.containers)
    )


def _accepted_roles(spec: RunSpec, settings: Settings) -> frozenset[str]:
    given = (
        spec.accepted_resource_roles
        if isinstance(spec, App)
        else spec.scheduling.placement.accepted_resource_roles
    )
    if given:
        return frozenset(given)
    match settings.accepted_resource_roles_default_behavior:
        case "unreserved":
            return frozenset({"*"})
        case "reserved":
            return frozenset({spec.role})
        case _:
            return frozenset({"*", spec.role})


def _gpu_behavior(spec: RunSpec, settings: Settings) -> Literal["restricted", "unrestricted"]:
    match spec.labels.get("GPU_SCHEDULING_BEHAVIOR"):
        case "restricted":
            return "restricted"
        case "unrestricted":
            return "unrestricted"
        case _:
            return settings.gpu_scheduling_behavior


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────
def port_wishes(spec: RunSpec) -> tuple[PortWish, ...]:
    """One for each declared port, in their order; of a pod, container by container."""
    on_host = is_on_host(spec)
    if isinstance(spec, Pod):
        return tuple(
            PortWish(one.host_port or 0) if on_host else PortWish(one.host_port, one.container_port or 0)
            for container in spec.containers
            for one in container.endpoints
        )
    if not on_host:
        mappings = spec.container.port_mappings if spec.container is not None else None
        return tuple(PortWish(one.host_port, one.container_port) for one in mappings or ())
    return tuple(_of_definition(one, spec) for one in spec.port_definitions or ())


def _of_definition(one: PortDefinition, app: App) -> PortWish:
    # A port that was not chosen by anybody stands for a service port only.
    return PortWish(one.port if app.require_ports and not one.assigned else 0)


def is_on_host(spec: RunSpec) -> bool:
    """Whether its tasks live in the network of their agent."""
    return all(network.mode == "host" for network in spec.networks)
