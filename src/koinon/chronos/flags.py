"""Flags of Chronos: the names that it has always had, those that have an effect; and the history's, which it never had."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from msgspec.structs import replace
from yarl import URL

from koinon.chronos.history import Bounds
from koinon.chronos.model import Defaults
from koinon.chronos.notices import Mail, Settings, Webhook
from koinon.coordination.zookeeper import Url, parse_url
from koinon.flags import Flag, Size
from koinon.service.flags import Credentials, Milliseconds, Names, Seconds, ServiceFlags, conventions

#: Where flags are read from, besides command line and environment.
DIRECTORIES = (Path("/etc/chronos/conf"),)
PREFIXES = ("CHRONOS_",)

_NO_REPORTERS = "numbers are read at /metrics and /metrics/prometheus, and sent nowhere"
_NO_CASSANDRA = "runs are kept in the database of --history: a file of SQLite's, or postgresql://…"
_NO_HORIZON = "runs start when they are due, and nothing is planned ahead"

CONVENTIONS = conventions(
    # Of a Chronos that has launched this one.
    "CHRONOS_JOB_",
    "CHRONOS_RESOURCE_",
    "CHRONOS_URL",  # where clients of Chronos look for it
    refused={
        **dict.fromkeys(
            (
                "cassandra_contact_points",
                "cassandra_port",
                "cassandra_keyspace",
                "cassandra_table",
                "cassandra_stat_count_table",
                "cassandra_ttl",
                "cassandra_consistency",
            ),
            _NO_CASSANDRA,
        ),
        "graphite_host_port": _NO_REPORTERS,
        "graphite_reporting_interval": _NO_REPORTERS,
        "raven_dsn": "there are no messages to Sentry; --http_notification_url takes what happens to jobs as JSON",
        "schedule_horizon": _NO_HORIZON,
    },
)


class ZkHosts(Url, frozen=True):
    """The servers alone: a path that is given is another one's."""

    METAVAR: ClassVar = "HOST:PORT,…"

    @classmethod
    def parse(cls, text: str) -> ZkHosts:
        """`host:port,…`, or a URL that has them. Raises UrlError."""
        given = text.strip()
        found = parse_url(given if given.startswith("zk://") else f"zk://{given}")
        return cls(found.servers, "", found.credentials)

    def __str__(self) -> str:
        return self.hosts if self.credentials is None else super().__str__()


class ChronosFlags(ServiceFlags, frozen=True, kw_only=True):
    """What can be set when a Chronos starts."""

    zk_hosts: Annotated[
        ZkHosts | None,
        Flag(
            "ZooKeeper servers by which Chronoses agree on who leads, and where the one that leads keeps jobs: give all of"
            " them the same, as host:port,… or zk://…. Without it that is in --work_dir."
        ),
    ] = None
    zk_path: Annotated[str, Flag("Where in ZooKeeper.")] = "/chronos/state"
    zk_auth: Annotated[
        Credentials | None,
        Flag("User and password for ZooKeeper; others then change nothing there.", secret=True),
    ] = None
    zk_timeout: Annotated[
        Milliseconds,
        Flag("How long a request waits for its changes to be stored; then it is answered with 503."),
    ] = Milliseconds(10)
    leader_max_idle_time: Annotated[
        Milliseconds, Flag("Taken, and changes nothing: a new leader is found at once.")
    ] = Milliseconds(5)
    http_port: Annotated[int, Flag("Port to listen on; 0 = any free one.")] = 4400
    access_control_allow_origin: Annotated[
        Names | None,
        Flag(
            "Origins whose web pages may use the API, with commas; * = those of anybody may read it. Sent as CORS headers;"
            " pages of other origins may change nothing."
        ),
    ] = Names(("*",))

    mesos_framework_name: Annotated[str, Flag("Our name in the cluster.")] = "chronos"
    mesos_role: Annotated[
        str, Flag("Our role: what is reserved for it is used before what is for everybody.")
    ] = "*"
    mesos_checkpoint: Annotated[bool, Flag("Let tasks survive restarts of their agent.")] = True
    gpu_resources: Annotated[
        bool, Flag("Be offered agents with GPUs, too; they are kept for jobs that want some.")
    ] = False
    user: Annotated[
        str | None, Flag("The user that tasks run as, if their job does not say; without it ours.")
    ] = None
    mesos_task_cpu: Annotated[float, Flag("CPUs of jobs that do not say theirs.")] = 0.1
    mesos_task_mem: Annotated[float, Flag("Memory of jobs that do not say theirs, in MB.")] = 128.0
    mesos_task_disk: Annotated[float, Flag("Disk of jobs that do not say theirs, in MB.")] = 256.0
    reconciliation_interval: Annotated[
        Seconds, Flag("How often the master is asked for the state of all tasks.")
    ] = Seconds(600)
    decline_offer_duration: Annotated[
        Milliseconds, Flag("How long what we do not need is not offered to us again.")
    ] = Milliseconds(5)
    min_revive_offers_interval: Annotated[
        Milliseconds, Flag("How long there is between two requests for offers, on average, at least.")
    ] = Milliseconds(5)
    revive_offers_for_new_jobs: Annotated[
        bool, Flag("Taken, and changes nothing: offers are asked for when something waits for them.")
    ] = False

    failure_retry: Annotated[
        Milliseconds, Flag("How long after a failed attempt the next one is made, if its job does not say.")
    ] = Milliseconds(60)
    disable_after_failures: Annotated[
        int, Flag("Jobs that have failed so often in a row are disabled; 0 = none.")
    ] = 0
    task_epsilon: Annotated[
        Seconds,
        Flag("How late a run may be that counts as missed after that, for jobs that skip what they missed."),
    ] = Seconds(60)
    job_history_limit: Annotated[int, Flag("How many runs the statistics of a job show.")] = 5

    history: Annotated[
        str | None,
        Flag(
            "Where runs are remembered: a file of SQLite's, or postgresql://user:password@host/database for several"
            " Chronoses. Without it history.db in --work_dir, else in /var/lib/chronos (~/.local/state/chronos).",
            secret=True,
        ),
    ] = None
    history_days: Annotated[int, Flag("How many days runs are remembered.")] = 90
    history_runs: Annotated[int, Flag("How many runs of each job are remembered.")] = 1000
    history_output: Annotated[
        Size, Flag("How much of the end of stdout and of stderr is remembered of each run.")
    ] = Size(64 * 1024)
    history_size: Annotated[Size, Flag("How much of these of all runs together.")] = Size(1024**3)

    cluster_name: Annotated[str | None, Flag("The name that subjects of notices begin with.")] = None
    mail_server: Annotated[str | None, Flag("host:port of the server for mails about jobs.")] = None
    mail_from: Annotated[str | None, Flag("Who writes them.")] = None
    mail_user: Annotated[str | None, Flag("User for that server.")] = None
    mail_password: Annotated[str | None, Flag("Password for it.", secret=True)] = None
    mail_ssl: Annotated[
        bool, Flag("Speak TLS with it from the first byte; else it is begun when the server offers it.")
    ] = False
    mail_authorities: Annotated[
        Path | None, Flag("File with the certificates by which it is known; without it the system's.")
    ] = None
    slack_url: Annotated[str | None, Flag("Webhook of Slack that is told about jobs.", secret=True)] = None
    mattermost_url: Annotated[
        str | None, Flag("Webhook of Mattermost that is told about jobs.", secret=True)
    ] = None
    http_notification_url: Annotated[
        str | None, Flag("URL that what happens to jobs is posted to, as JSON.", secret=True)
    ] = None
    http_notification_credentials: Annotated[
        Credentials | None, Flag("User and password for that.", secret=True)
    ] = None
    metrics_name_prefix: Annotated[str, Flag("What the names of all numbers begin with.")] = "chronos"

    def __post_init__(self) -> None:
        self.check()
        if self.zk_hosts is None and self.work_dir is None:
            raise ValueError("--zk_hosts is required (or --work_dir, to keep everything on this machine)")
        if self.zk is not None and not self.zk.path:
            raise ValueError("--zk_path needs a path: /chronos/state")
        for name in ("mesos_task_cpu", "mesos_task_mem", "job_history_limit", "history_days", "history_runs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"--{name} must be more than nothing")
        for name in ("mesos_task_disk", "disable_after_failures"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} must not be less than nothing")
        for name in ("slack_url", "mattermost_url", "http_notification_url"):
            if (url := getattr(self, name)) is not None and not _is_web(url):
                raise ValueError(f"--{name} must be an http:// or https:// URL")
        self.notices()

    def credential(self) -> tuple[str, str] | None:
        """See `ServiceFlags.credential`; whoever gives a secret wants it used."""
        secret = (self.mesos_authentication_secret, self.mesos_authentication_secret_file)
        if self.mesos_authentication_principal is None or secret == (None, None) or self.mesos_authentication:
            return super().credential()
        return replace(self, mesos_authentication=True).credential()

    @property
    def zk(self) -> Url | None:
        """Our place in ZooKeeper."""
        if self.zk_hosts is None:
            return None
        place = parse_url(f"zk://{self.zk_hosts.hosts}/{self.zk_path.strip('/')}")
        auth = self.zk_auth
        own = f"{auth.user}:{auth.password}" if auth is not None else self.zk_hosts.credentials
        return replace(place, credentials=own)

    @property
    def task_user(self) -> str:
        """Who tasks run as."""
        return self.user or getpass.getuser()

    @property
    def history_url(self) -> str:
        """Where runs are remembered."""
        if self.history is not None:
            return self.history
        folder = self.work_dir
        if folder is None:
            home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
            folder = (Path("/var/lib") if os.geteuid() == 0 else home) / "chronos"
        return str(folder / "history.db")

    def bounds(self) -> Bounds:
        """How much is remembered."""
        return Bounds(
            age_s=self.history_days * 86400.0,
            runs_per_job=self.history_runs,
            tail_bytes=int(self.history_output),
            output_bytes=int(self.history_size),
        )

    def defaults(self) -> Defaults:
        """What completes definitions."""
        return Defaults(
            cpus=self.mesos_task_cpu,
            mem=self.mesos_task_mem,
            disk=self.mesos_task_disk,
            user=self.task_user,
            epsilon=f"PT{self.task_epsilon:g}S",
        )

    def notices(self) -> Settings:
        """Who is told what happens to jobs. Raises ValueError."""
        mail = None
        if self.mail_server is not None:
            if self.mail_from is None:
                raise ValueError("--mail_server needs --mail_from")
            place = urlsplit(f"//{self.mail_server}")
            try:
                host, port = place.hostname, place.port
            except ValueError:
                host, port = None, None
            if not host:
                raise ValueError("--mail_server must be host:port")
            mail = Mail(
                host=host,
                port=port or (465 if self.mail_ssl else 25),
                sender=self.mail_from,
                user=self.mail_user or "",
                password=self.mail_password or "",
                ssl=self.mail_ssl,
                authorities="" if self.mail_authorities is None else str(self.mail_authorities),
            )
        who = self.http_notification_credentials
        return Settings(
            cluster=self.cluster_name or "",
            mail=mail,
            slack=_webhook(self.slack_url),
            mattermost=_webhook(self.mattermost_url),
            http=_webhook(self.http_notification_url, who),
        )


def _is_web(url: str) -> bool:
    try:
        place = URL(url)
        return place.scheme in ("http", "https") and bool(place.host) and place.port is not None
    except ValueError:
        return False


def _webhook(url: str | None, who: Credentials | None = None) -> Webhook | None:
    if url is None:
        return None
    return Webhook(url) if who is None else Webhook(url, who.user, who.password)
