"""Chronos's process: flags in, jobs run when they are due.

main → ChronosProcess (port, election, proxy: `koinon.service`) → Runtime (core, memory, SDK, history, notices) ← API
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
from aiohttp import web

from koinon import __version__
from koinon.chronos import api, metrics
from koinon.chronos.core import Chronos, Config
from koinon.chronos.flags import CONVENTIONS, DIRECTORIES, PREFIXES, ChronosFlags
from koinon.chronos.history import HistoryError
from koinon.chronos.placing import AgentRoom
from koinon.chronos.runtime import Runtime
from koinon.chronos.scheduler import ChronosScheduler, framework_of
from koinon.chronos.system import system_routes
from koinon.coordination import Store
from koinon.flags import load_or_exit
from koinon.service.exits import Exit, Fatal
from koinon.service.metrics import ServiceMetrics
from koinon.service.process import ServiceProcess, run

#: Where the id is stored that the master knows us by.
_FRAMEWORK = "framework"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a Chronos until SIGTERM or SIGINT, or until it must end; returns the exit status."""
    flags = load_or_exit(
        ChronosFlags,
        sys.argv[1:] if argv is None else argv,
        program="koinon chronos",
        version=__version__,
        environ=os.environ,
        prefixes=PREFIXES,
        directories=DIRECTORIES,
        conventions=CONVENTIONS,
    )
    return run(lambda on_over: ChronosProcess(flags, on_over=on_over), flags)


class ChronosProcess(ServiceProcess):
    """A running Chronos: all parts, put together. Tests run several in one process."""

    name: ClassVar[str] = "Chronos"

    def __init__(self, flags: ChronosFlags, *, on_over: Callable[[Fatal], None] = lambda why: None) -> None:
        numbers = ServiceMetrics(flags.metrics_name_prefix, prometheus=flags.metrics_prometheus)
        super().__init__(flags, zk=flags.zk, metrics=numbers, on_over=on_over)
        self.flags = flags
        self.runtime = Runtime(
            Chronos(_config(flags), room=AgentRoom),
            flags,
            leader=lambda: self.leader_address,
            may_act=self.leadership.may_act,
            failed=self.fail,
            metrics=numbers,
        )
        runtime = self.runtime
        metrics.install(
            numbers, runtime.core, unrecorded=lambda: runtime.unrecorded, unsent=lambda: runtime.unsent
        )

    # ── a service ─────────────────────────────────────────────────────────────────────────────────
    def route(self, app: web.Application) -> None:
        """See `ServiceProcess.route`."""
        app.middlewares.append(api.errors)
        app.add_routes(api.routes(self.runtime))
        app.add_routes(system_routes(self.flags))

    async def lead(self, store: Store, epoch: int) -> None:
        """See `ServiceProcess.lead`."""
        entries = store.load()
        framework = entries.get(_FRAMEWORK)
        scheduler = ChronosScheduler(
            self.flags,
            framework_of(
                self.flags,
                framework_id=None if framework is None else msgspec.json.decode(framework, type=str),
                hostname=self.host,
                webui_url=self.flags.webui_url or f"http://{self.address}",
            ),
            tell=self.runtime.tell,
            may_act=self.leadership.may_act,
            failed=self.fail,
        )
        try:
            await self.runtime.begin(store, entries, scheduler)
        except HistoryError as error:
            raise Fatal(Exit.WRONG_FLAGS, f"--history: {error}") from error
        except OSError as error:
            raise Fatal(Exit.TAKEOVER_FAILED, f"{error.filename}: {error.strerror}") from error

    async def leave(self) -> None:
        """See `ServiceProcess.leave`."""
        await self.runtime.end()


def _config(flags: ChronosFlags) -> Config:
    # Plain numbers: what the core hands on is encoded.
    return Config(
        failure_retry_s=float(flags.failure_retry),
        disable_after_failures=flags.disable_after_failures,
        epsilon_s=float(flags.task_epsilon),
        reconciliation_interval_s=float(flags.reconciliation_interval),
        decline_offer_duration_s=float(flags.decline_offer_duration),
        min_revive_offers_interval_s=float(flags.min_revive_offers_interval),
    )
