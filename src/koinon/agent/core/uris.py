"""URIs that are fetched into a sandbox before its program starts: from what is asked for to what is done."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from koinon.mesos.v1 import CommandInfo

#: Names of archives end so; they are taken apart unless the URI says otherwise.
ARCHIVES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".gz", ".zip",
)  # fmt: skip

_DOWNLOADS = ("http", "https")


class Fetch(Struct, frozen=True, gc=False):
    """One URI. It is downloaded, or copied if `source` is the absolute path of a file of this machine."""

    uri: str
    source: str
    #: Where it goes, relative to the sandbox; its last part tells the kind of an archive.
    path: str
    executable: bool
    extract: bool
    cache: bool


class Unfetchable(Exception):
    """A URI cannot be fetched; the text is a sentence."""


def fetches(uris: Iterable[CommandInfo.URI], frameworks_home: str | None) -> tuple[Fetch, ...]:
    """What is to be done for each URI, in order. Raises Unfetchable."""
    return tuple(_fetch(uri, frameworks_home) for uri in uris)


def _fetch(uri: CommandInfo.URI, frameworks_home: str | None) -> Fetch:
    value, executable = uri.value, bool(uri.executable)
    if "\0" in value or "\n" in value:
        raise Unfetchable(f"The URI {value!r} cannot be fetched: it holds characters that no URI has")
    source = _source(value, frameworks_home)
    name = (source or value.partition("?")[0].partition("#")[0]).rpartition("/")[2]
    if not source and value.count("/") < 3:
        name = ""
    path = _output(uri.output_file) if uri.output_file else name
    if path in ("", ".", ".."):
        raise Unfetchable(f"The URI {value} cannot be fetched: it names no file; set output_file")
    return Fetch(
        uri=value,
        source=source,
        path=path,
        executable=executable,
        extract=uri.extract and not executable and path.endswith(ARCHIVES),
        cache=bool(uri.cache) and not source,
    )


def _source(value: str, frameworks_home: str | None) -> str:
    """The file of this machine that is meant; empty for what is downloaded."""
    scheme, colon, rest = value.partition("://")
    if not colon:
        if value.startswith("/"):
            return value
        if frameworks_home is None:
            raise Unfetchable(
                f"The URI {value} cannot be fetched: it is a relative path, and the agent has no --frameworks_home"
            )
        return f"{frameworks_home.rstrip('/')}/{value}"
    if scheme.lower() in _DOWNLOADS:
        return ""
    if scheme.lower() != "file":
        raise Unfetchable(
            f"The URI {value} cannot be fetched: the agent knows http, https, file and absolute paths, not {scheme}"
        )
    path = rest.removeprefix("localhost")
    if not path.startswith("/"):
        raise Unfetchable(f"The URI {value} cannot be fetched: the path after file:// must be absolute")
    return path


def _output(output_file: str) -> str:
    if output_file.startswith("/") or ".." in output_file.split("/") or "\0" in output_file:
        raise Unfetchable(f"The output_file '{output_file}' must be a path inside of the sandbox")
    return output_file.rstrip("/")
