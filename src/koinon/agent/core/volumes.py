"""Volumes that plain processes can have: directories of sandboxes, seen elsewhere in the sandbox by way of a link.

A volume of type SANDBOX_PATH names a *source*, a path in the sandbox of the container (SELF) or of what it is nested in
(PARENT, which is how tasks of a group share files), and where the program finds it, `container_path`. A `host_path` that
is relative is an older way to say SELF.
"""

from __future__ import annotations

from koinon.mesos.v1 import ContainerInfo, Volume

_Path = Volume.Source.SandboxPath


def refusal(container: ContainerInfo | None, *, nested: bool) -> str | None:
    """Why the volumes of a container cannot be had; `nested`: it is one in another."""
    for volume in container.volumes if container is not None else ():
        where = f"the volume at '{volume.container_path}'"
        if (path := _sandbox_path(volume)) is None:
            return f"This agent has volumes of type SANDBOX_PATH only: leave out {where}"
        if path.type not in (_Path.Type.SELF, _Path.Type.PARENT):
            return f"The source of {where} needs a type of SELF or PARENT"
        if path.type is _Path.Type.PARENT and not nested:
            return f"Only tasks in a group and nested containers have a parent: the source of {where} cannot be PARENT"
        for text in (volume.container_path, path.path):
            if _parts(text) is None:
                return f"'{text}' of {where} must be a relative path without '..': containers are plain processes"
        if volume.mode is Volume.Mode.RO:
            return f"This agent's containers are plain processes: {where} cannot be read-only"
    return None


def shared(container: ContainerInfo | None, sandbox: str, parent: str) -> tuple[tuple[str, str], ...]:
    """Directories and the links to them, in `sandbox` or in that around it, `parent`."""
    found = []
    for volume in container.volumes if container is not None else ():
        path = _sandbox_path(volume)
        assert path is not None
        root = parent if path.type is _Path.Type.PARENT else sandbox
        source, link = _parts(path.path), _parts(volume.container_path)
        assert source is not None
        assert link is not None
        found.append(("/".join((root, *source)), "/".join((sandbox, *link))))
    return tuple(found)


def _sandbox_path(volume: Volume) -> _Path | None:
    if volume.host_path is not None and not volume.host_path.startswith("/"):
        return _Path(type=_Path.Type.SELF, path=volume.host_path)
    if volume.source is None or volume.source.type is not Volume.Source.Type.SANDBOX_PATH:
        return None
    return volume.source.sandbox_path


def _parts(path: str) -> list[str] | None:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if path.startswith("/") or ".." in parts or not parts or "\0" in path else parts
