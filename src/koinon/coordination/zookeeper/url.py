"""Where a cluster lies in ZooKeeper: `zk://user:password@host1:port1,host2:port2/path`."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

_PORT = 2181
_FORM = "zk://host1:port1,host2:port2/path, or zk://user:password@host1:port1,host2:port2/path"


class UrlError(ValueError):
    """No such URL; the text says what is wrong with it, and shows no password."""


class Url(Struct, frozen=True):
    """A `zk://` URL, read. As text it shows no password."""

    METAVAR: ClassVar = "zk://[USER:PASSWORD@]HOST:PORT,…/PATH"

    servers: tuple[tuple[str, int], ...]  #: hosts, without brackets, and ports
    path: str  #: absolute, without a slash at its end; "" for the root
    credentials: str | None = None  #: user:password

    @classmethod
    def parse(cls, text: str) -> Url:
        """As `parse_url`; makes this a type of flags."""
        return parse_url(text)

    @property
    def store_path(self) -> str:
        """Where the leader's store lies."""
        # Tools that look for the leader take any other child than this for a candidate.
        return f"{self.path}/log_replicas/registry"

    @property
    def hosts(self) -> str:
        """`host:port,host:port`."""
        return ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.servers
        )

    def __str__(self) -> str:
        user = "" if self.credentials is None else self.credentials.partition(":")[0] + ":***@"
        return f"zk://{user}{self.hosts}{self.path or '/'}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"


def parse_url(text: str) -> Url:
    """Read a URL. Raises UrlError."""
    scheme, separator, rest = text.strip().partition("://")
    if scheme != "zk" or not separator:
        raise UrlError(f"this is no zk:// URL: it has the form {_FORM}")
    # A password may contain a slash or an @; a host may not.
    credentials, at, place = rest.rpartition("@")
    if at and (":" not in credentials or credentials.startswith(":")):
        raise UrlError(f"the credentials before @ must be user:password: it has the form {_FORM}")
    hosts, _, path = place.partition("/")
    if not hosts:
        raise UrlError(f"no server is named: it has the form {_FORM}")
    path = path.rstrip("/")
    if path and any(part in ("", ".", "..") or not part.isprintable() for part in path.split("/")):
        raise UrlError(
            f"the path has a part that ZooKeeper does not take (empty, . or ..): it has the form {_FORM}"
        )
    return Url(
        servers=tuple(_server(part.strip()) for part in hosts.split(",")),
        path=f"/{path}" if path else "",
        credentials=credentials if at else None,
    )


def _server(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        wrong = not bracket or not (port == "" or port.startswith(":"))
        port = port[1:]
    else:
        host, _, port = text.partition(":")
        wrong = False
    # What stands behind the colon is not shown: with an @ forgotten, or mistyped, it is a password.
    if wrong or not host or any(sign.isspace() for sign in host):
        raise UrlError(f"'{text.partition(':')[0]}' is no server: it has the form {_FORM}")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UrlError(f"the port of '{host}' is no number from 1 to 65535: it has the form {_FORM}")
    return host, int(port) if port else _PORT
