"""Flags that all services have, and how services spell flags.

Times are whole numbers, of milliseconds or of seconds as each flag says; with a unit (`5mins`) they are understood, too.
In a program all of them are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec

from koinon.coordination.detection import Masters
from koinon.edge.addresses import check_address
from koinon.flags import Conventions, Duration, Flag, FlagError
from koinon.service.exits import Exit


def conventions(*foreign_variables: str, refused: Mapping[str, str] | None = None) -> Conventions:
    """Those of services. Environment variables that begin with `foreign_variables` are somebody else's."""
    return Conventions(
        negations=("disable_", "no_"),
        foreign_variables=foreign_variables,
        refused={**_REFUSED, **(refused or {})},
        exit_status=Exit.WRONG_FLAGS,
    )


_NO_HTTPS = "there is no HTTPS yet; put a proxy that speaks it in front"
_REFUSED = {
    "https_address": _NO_HTTPS,
    "https_port": _NO_HTTPS,
    "ssl_keystore_path": _NO_HTTPS,
    "ssl_keystore_password": _NO_HTTPS,
    "disable_http": _NO_HTTPS,
    "leader_proxy_ssl_ignore_hostname": _NO_HTTPS,
}


class Milliseconds(Duration):
    """Seconds, written as a number of milliseconds."""

    METAVAR: ClassVar = "MS"

    @classmethod
    def parse(cls, text: str) -> Milliseconds:
        """Raises FlagError when `text` is no time."""
        return cls(_number(text, 1000) if text.strip().isdecimal() else Duration.parse(text))

    def __str__(self) -> str:
        return str(round(self * 1000))


class Seconds(Duration):
    """Seconds, written as a number of them."""

    METAVAR: ClassVar = "S"

    @classmethod
    def parse(cls, text: str) -> Seconds:
        """Raises FlagError when `text` is no time."""
        return cls(_number(text, 1) if text.strip().isdecimal() else Duration.parse(text))

    def __str__(self) -> str:
        return f"{self:g}" if self < 1e6 else str(round(self))


def _number(text: str, per_second: int) -> float:
    return int(text) / per_second


class Credentials(msgspec.Struct, frozen=True):
    """Written `user:password`. As text it shows no password."""

    METAVAR: ClassVar = "USER:PASSWORD"

    user: str
    password: str

    @classmethod
    def parse(cls, text: str) -> Credentials:
        """Raises FlagError when there is no colon, or nobody before it."""
        user, colon, password = text.partition(":")
        if not user or not colon:
            raise FlagError("it has the form user:password")
        return cls(user, password)

    def __str__(self) -> str:
        return f"{self.user}:***"

    def __repr__(self) -> str:
        return f"Credentials({str(self)!r})"


class Names(tuple[str, ...]):
    """Written with commas between them."""

    METAVAR: ClassVar = "NAME,…"

    @classmethod
    def parse(cls, text: str) -> Names:
        """Blanks do not count, nor does what is empty."""
        return cls(filter(None, (part.strip() for part in text.split(","))))

    def __str__(self) -> str:
        return ",".join(self)


class ServiceFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set in every service."""

    master: Annotated[
        Masters,
        Flag(
            "Where the master is: zk://host:port/path as given to the masters, or host:port, several with commas."
        ),
    ]
    work_dir: Annotated[
        Path | None,
        Flag(
            "Where it keeps what it must not forget, without --zk. Processes of this machine that share it stand for"
            " election: one leads."
        ),
    ] = None
    ha: Annotated[
        bool,
        Flag(
            "Stand by while another process leads. Else this one must be the only one, and ends if it is not."
        ),
    ] = True
    zk_session_timeout: Annotated[
        Milliseconds, Flag("How long ZooKeeper keeps a leader that it does not hear from.")
    ] = Milliseconds(10)
    zk_connection_timeout: Annotated[
        Milliseconds, Flag("How long ZooKeeper may take to answer at the start; then the process ends.")
    ] = Milliseconds(10)
    on_elected_prepare_timeout: Annotated[
        Milliseconds, Flag("How long a new leader may take to read what its predecessor has left.")
    ] = Milliseconds(180)
    http_address: Annotated[
        str,
        Flag(
            "Address to listen on. Whoever reaches it may run work on the cluster, so it is this machine alone"
            " unless you say otherwise; 0.0.0.0 = all addresses."
        ),
    ] = "127.0.0.1"
    http_port: Annotated[int, Flag("Port to listen on; 0 = any free one.")] = 8080
    hostname: Annotated[
        str | None, Flag("Name or address told to others; without it the address that we listen on.")
    ] = None
    webui_url: Annotated[
        str | None, Flag("Where people find the web page, shown by the master; without it our address.")
    ] = None
    http_credentials: Annotated[
        Credentials | None,
        Flag(
            "Who asks must say this user and password (HTTP's basic authentication), but for /ping.",
            secret=True,
            variables=("MESOSPHERE_HTTP_CREDENTIALS",),
        ),
    ] = None
    http_realm: Annotated[str, Flag("What the user and password are for, shown to people.")] = "Mesosphere"
    http_compression: Annotated[bool, Flag("Compress answers for those who accept that.")] = True
    http_max_concurrent_requests: Annotated[
        int | None, Flag("More requests at a time are refused with 503; event streams do not count.")
    ] = None
    access_control_allow_origin: Annotated[
        Names | None,
        Flag(
            "Origins whose web pages may use the API, with commas; * = those of anybody may read it. Sent as CORS headers;"
            " pages of other origins may change nothing."
        ),
    ] = None
    leader_proxy_connection_timeout: Annotated[
        Milliseconds, Flag("How long the leader may take to accept a connection of ours, when we stand by.")
    ] = Milliseconds(5)
    leader_proxy_read_timeout: Annotated[
        Milliseconds, Flag("How long the leader may be silent in the middle of an answer.")
    ] = Milliseconds(10)
    leader_proxy_max_open_connections: Annotated[
        int, Flag("How many connections with the leader there may be at a time.")
    ] = 64
    graceful_shutdown_timeout: Annotated[
        Milliseconds, Flag("How long requests under way may go on when the process stops.")
    ] = Milliseconds(45)
    failover_timeout: Annotated[
        Seconds, Flag("How long the master keeps our tasks when nobody leads; then it kills them.")
    ] = Seconds(604_800)
    mesos_authentication: Annotated[bool, Flag("Tell the master principal and secret.")] = False
    mesos_authentication_principal: Annotated[str | None, Flag("Who we are to the master.")] = None
    mesos_authentication_secret: Annotated[str | None, Flag("Our secret.", secret=True)] = None
    mesos_authentication_secret_file: Annotated[Path | None, Flag("File with our secret.")] = None
    metrics_prometheus: Annotated[bool, Flag("Answer /metrics/prometheus.")] = True
    logging_level: Annotated[Literal["INFO", "WARNING", "ERROR"], Flag("What is logged.")] = "INFO"

    def check(self) -> None:
        """Rules that join flags, for `__post_init__`. Raises ValueError."""
        check_address("http_address", self.http_address)
        if not 0 <= self.http_port <= 65535:
            raise ValueError("--http_port must be between 0 and 65535")
        for name in ("zk_session_timeout", "zk_connection_timeout", "leader_proxy_connection_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name} must be more than nothing")
        for name in ("http_max_concurrent_requests", "leader_proxy_max_open_connections"):
            if (limit := getattr(self, name)) is not None and limit < 1:
                raise ValueError(f"--{name} must be 1 at least")
        if self.mesos_authentication and self.mesos_authentication_principal is None:
            raise ValueError("--mesos_authentication needs --mesos_authentication_principal")
        self.credential()

    def credential(self) -> tuple[str, str] | None:
        """Principal and secret for the master. Raises ValueError when the file cannot be read."""
        if not self.mesos_authentication or self.mesos_authentication_principal is None:
            return None
        secret = self.mesos_authentication_secret
        if (path := self.mesos_authentication_secret_file) is not None:
            try:
                secret = path.read_text().rstrip("\n")
            except OSError as error:
                raise ValueError(f"--mesos_authentication_secret_file: {path}: {error.strerror}") from None
        return self.mesos_authentication_principal, secret or ""
