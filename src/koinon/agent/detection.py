"""What the machine has: resources that are not given are found."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from koinon.mesos import v1
from koinon.mesos.resources import ResourceError, Resources, parse_resources

Type = v1.Value.Type
Source = v1.Resource.DiskInfo.Source.Type

_MB = 1024 * 1024
#: Kept for everything but tasks, on machines that have plenty.
_MEM_KEPT_MB = 1024
_DISK_KEPT_MB = 5 * 1024
_KNOWN = ("cpus", "mem", "disk", "gpus", "ports")
_PORTS = range(31000, 32001)
_NVIDIA_TIMEOUT_S = 30.0


def find_resources(
    given: str | None,
    work_dir: Path,
    default_role: str,
    *,
    gpus: int = 0,
    part: tuple[int, int] = (0, 1),
) -> list[v1.Resource]:
    """The resources `given` as text, as JSON or in a file, and the others as found; `gpus` if it is not given.

    Of what is found it is one `part`, (which, of how many): agents that share a machine do not sell it twice.
    Raises ResourceError with a sentence.
    """
    text = given or ""
    if text.startswith("/"):
        try:
            text = Path(text).read_text()
        except OSError as error:
            raise ResourceError(f"cannot read {given}: {error.strerror}") from error
    found = parse_resources(text, default_role)
    for resource in found:
        if (problem := _problem(resource)) is not None:
            raise ResourceError(f"resource '{resource.name}': {problem}")
    named = {resource.name for resource in found}
    here = _found(work_dir, *part) | ({"gpus": gpus} if gpus else {})
    missing = [f"{name}:{value}" for name, value in here.items() if name not in named]
    found += parse_resources(";".join(missing), default_role)
    return Resources.from_v1(found).to_v1()


def _problem(resource: v1.Resource) -> str | None:
    """Why an agent cannot be told that it has this."""
    kind = Type.RANGES if resource.name == "ports" else Type.SCALAR
    if resource.name in _KNOWN and resource.type is not kind:
        return "it must be ranges such as [31000-32000]" if kind is Type.RANGES else "it must be a number"
    if resource.revocable is not None:
        return "an agent has nothing revocable of its own"
    if any(one.type is v1.Resource.ReservationInfo.Type.DYNAMIC for one in resource.reservations):
        return "dynamic reservations are made by frameworks and operators, not by the agent"
    if resource.disk is None:
        return None
    if resource.disk.persistence is not None or resource.disk.volume is not None:
        return "persistent volumes are made by frameworks and operators, not by the agent"
    if (source := resource.disk.source) is None:
        return None
    match source.type:
        case Source.PATH:
            root = source.path.root if source.path is not None else None
        case Source.MOUNT:
            root = source.mount.root if source.mount is not None else None
        case _:
            return "the source of a disk is of type PATH or MOUNT"
    return None if root else f"a disk of type {source.type.value} needs its root"


def _found(work_dir: Path, which: int, parts: int) -> dict[str, float | str]:
    ports = _PORTS[len(_PORTS) * which // parts : len(_PORTS) * (which + 1) // parts]
    return {
        "cpus": (os.cpu_count() or 1) * 1000 // parts / 1000,
        "mem": _mem_mb() // parts,
        "disk": _disk_mb(work_dir) // parts,
        "ports": f"[{ports[0]}-{ports[-1]}]",
    }


def find_gpus(chosen: str | None) -> tuple[str, ...]:
    """The names of this machine's Nvidia devices, or of those `chosen` by their numbers. Raises ResourceError."""
    found = _nvidia_devices()
    if chosen is None:
        return tuple(found.values())
    numbers = [number.strip() for number in chosen.split(",") if number.strip()]
    if len(set(numbers)) != len(numbers):
        raise ResourceError(f"--nvidia_gpu_devices names a device twice: {chosen}")
    if not found:  # made up, for trying things out: the agent itself uses no device
        return tuple(numbers)
    if missing := [number for number in numbers if number not in found]:
        raise ResourceError(
            f"--nvidia_gpu_devices names {', '.join(missing)}, and there are: {', '.join(found)}"
        )
    return tuple(found[number] for number in numbers)


def gpu_numbers() -> tuple[str, ...]:
    """The numbers of this machine's Nvidia devices, as --nvidia_gpu_devices takes them."""
    return tuple(_nvidia_devices())


def _nvidia_devices() -> dict[str, str]:
    """Names by number: by their UUIDs, which stay when numbers change, if the driver's tool tells them."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_NVIDIA_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
        return {number: number for number in sorted(numbers, key=int)}
    pairs = (line.partition(",") for line in listed.stdout.splitlines() if "," in line)
    return {number.strip(): name.strip() for number, _, name in pairs}


def assign_gpus(found: tuple[str, ...], resources: list[v1.Resource], *, chosen: bool) -> tuple[str, ...]:
    """The devices behind the resource gpus. Without any in the machine they are made up. Raises ResourceError."""
    count = Resources.from_v1(resources).gpus
    wanted = round(count)
    if count != wanted:
        raise ResourceError(f"gpus must be a whole number, not {count:g}")
    if chosen and wanted != len(found):
        raise ResourceError(
            f"--resources has {wanted} gpus, and --nvidia_gpu_devices {len(found)}: make them equal"
        )
    if not found:
        return tuple(map(str, range(wanted)))
    if wanted > len(found):
        raise ResourceError(f"--resources has {wanted} gpus, and there are {len(found)}")
    return found[:wanted]


def _mem_mb() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MB
    return total - _MEM_KEPT_MB if total >= 2 * _MEM_KEPT_MB else total // 2


def _disk_mb(work_dir: Path) -> int:
    status = os.statvfs(work_dir)
    total = status.f_blocks * status.f_frsize // _MB
    return total - _DISK_KEPT_MB if total >= 2 * _DISK_KEPT_MB else total // 2
