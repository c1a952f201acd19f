"""What the machine has: resources that are not given are found."""

from __future__ import annotations

import os
from pathlib import Path

from koinon.mesos import v1
from koinon.mesos.resources import ResourceError, Resources, parse_resources

_MB = 1024 * 1024
#: Kept for everything but tasks, on machines that have plenty.
_MEM_KEPT_MB = 1024
_DISK_KEPT_MB = 5 * 1024
_PORTS = range(31000, 32001)


def find_resources(
    given: str | None, work_dir: Path, default_role: str, part: tuple[int, int] = (0, 1)
) -> list[v1.Resource]:
    """The resources `given` as text, as JSON or in a file, and the others as found.

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
    named = {resource.name for resource in found}
    missing = [f"{name}:{value}" for name, value in _found(work_dir, *part).items() if name not in named]
    found += parse_resources(";".join(missing), default_role)
    return Resources.from_v1(found).to_v1()


def _found(work_dir: Path, which: int, parts: int) -> dict[str, float | str]:
    ports = _PORTS[len(_PORTS) * which // parts : len(_PORTS) * (which + 1) // parts]
    return {
        "cpus": (os.cpu_count() or 1) * 1000 // parts / 1000,
        "mem": _mem_mb() // parts,
        "disk": _disk_mb(work_dir) // parts,
        "ports": f"[{ports[0]}-{ports[-1]}]",
    }


def _mem_mb() -> int:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MB
    return total - _MEM_KEPT_MB if total >= 2 * _MEM_KEPT_MB else total // 2


def _disk_mb(work_dir: Path) -> int:
    status = os.statvfs(work_dir)
    total = status.f_blocks * status.f_frsize // _MB
    return total - _DISK_KEPT_MB if total >= 2 * _DISK_KEPT_MB else total // 2
