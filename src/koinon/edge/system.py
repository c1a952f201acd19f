"""What every role answers about itself and its machine: health, version, flags, log level, load."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path

from aiohttp.web_request import BaseRequest

import koinon
from koinon import MESOS_VERSION, __version__, logs
from koinon.edge.answers import EMPTY, TEXT, Answer, HttpError, answer_json
from koinon.edge.files import user_name
from koinon.edge.metrics import Metrics
from koinon.edge.server import Server
from koinon.flags import Duration, FlagError
from koinon.mesos.v1 import VersionInfo

#: Tools look for when and by whom a program was built. Ours is not: we tell when it was installed, and by whom.
_INSTALLED = Path(koinon.__file__).stat()
BUILD_TIME = float(int(_INSTALLED.st_mtime))
BUILD_DATE = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(BUILD_TIME))
BUILD_USER = user_name(_INSTALLED.st_uid)


class LogLevel:
    """How much is logged: 0 is what the flags say, anything above also what helps to find faults."""

    def __init__(self) -> None:
        self.level = 0
        self._usual = logs.level()
        self._fall_back: asyncio.TimerHandle | None = None

    def set(self, level: int, duration_s: float) -> None:
        """Log at `level` for so long, then as usual."""
        if self._fall_back is not None:
            self._fall_back.cancel()
            self._fall_back = None
        self._apply(level)
        if level:
            self._fall_back = asyncio.get_running_loop().call_later(duration_s, self._apply, 0)

    def _apply(self, level: int) -> None:
        self.level = level
        logs.set_level(logging.DEBUG if level else logging.getLevelNamesMapping()[self._usual])


def version_info() -> VersionInfo:
    """The release of the API that we speak. Clients read it as three numbers."""
    return VersionInfo(
        version=MESOS_VERSION, build_date=BUILD_DATE, build_time=BUILD_TIME, build_user=BUILD_USER
    )


def version_object() -> dict[str, object]:
    """`/version`: the API's release, and who we really are."""
    return {
        "build_date": BUILD_DATE,
        "build_time": BUILD_TIME,
        "build_user": BUILD_USER,
        "version": MESOS_VERSION,
        "product": "Koinon",
        "product_version": __version__,
    }


def machine() -> dict[str, float]:
    """The machine's processors, memory and load."""
    one, five, fifteen = os.getloadavg()
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus_total": os.cpu_count() or 1,
        "load_1min": one,
        "load_5min": five,
        "load_15min": fifteen,
        "mem_total_bytes": os.sysconf("SC_PHYS_PAGES") * page,
        "mem_free_bytes": os.sysconf("SC_AVPHYS_PAGES") * page,
    }


def raise_file_limit() -> None:
    """Each connection takes a file descriptor; the usual limit of 1,024 is soon reached."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def serve_common(
    server: Server, metrics: Metrics, flags: Mapping[str, str], log_level: LogLevel | None = None
) -> None:
    """Answer `/health`, `/version`, `/flags`, `/logging/toggle`, `/system/stats.json` and the metrics' paths."""
    level = log_level or LogLevel()

    async def health(request: BaseRequest) -> Answer:
        return EMPTY

    async def version(request: BaseRequest) -> Answer:
        return answer_json(version_object())

    async def show_flags(request: BaseRequest) -> Answer:
        return answer_json({"flags": flags})

    async def stats(request: BaseRequest) -> Answer:
        found = machine()
        return answer_json(
            {
                "avg_load_1min": found["load_1min"],
                "avg_load_5min": found["load_5min"],
                "avg_load_15min": found["load_15min"],
                "cpus_total": found["cpus_total"],
                "mem_free_bytes": found["mem_free_bytes"],
                "mem_total_bytes": found["mem_total_bytes"],
            }
        )

    async def toggle(request: BaseRequest) -> Answer:
        wanted, duration = request.query.get("level"), request.query.get("duration")
        if wanted is None and duration is None:
            return Answer(f"{level.level}\n".encode(), content_type=TEXT)
        if wanted is None or duration is None:
            raise HttpError(400, "The parameters level and duration are needed together.")
        if not wanted.isdigit():
            raise HttpError(400, f"The parameter level must be a whole number, not '{wanted}'.")
        try:
            level.set(int(wanted), Duration.parse(duration))
        except FlagError as error:
            raise HttpError(400, str(error)) from error
        return EMPTY

    server.route("/health", health)
    server.route("/version", version)
    server.route("/flags", show_flags)
    server.route("/system/stats.json", stats)
    server.route("/logging/toggle", toggle, methods=("POST",))
    metrics.serve(server)
    metrics.gauges(lambda: {f"system/{name}": value for name, value in machine().items()})
