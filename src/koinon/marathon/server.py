"""Marathon's process: flags in, services kept alive.

main → MarathonProcess (port, election, proxy: `koinon.service`) → Runtime (core, memory, SDK, checkers) ← API
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
from aiohttp import web

from koinon import __version__
from koinon.coordination import Store
from koinon.flags import load_or_exit
from koinon.marathon import api, metrics
from koinon.marathon.core import Config, Marathon
from koinon.marathon.flags import CONVENTIONS, DIRECTORIES, PREFIXES, MarathonFlags
from koinon.marathon.matching import Settings
from koinon.marathon.model.settings import Rules
from koinon.marathon.runtime import Runtime
from koinon.marathon.scheduler import MarathonScheduler, framework_of
from koinon.marathon.system import about, system_routes
from koinon.service.exits import Fatal
from koinon.service.metrics import ServiceMetrics
from koinon.service.process import ServiceProcess, run

#: Where the id is stored that the master knows us by.
_FRAMEWORK = "framework"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a Marathon until SIGTERM or SIGINT, or until it must end; returns the exit status."""
    flags = load_or_exit(
        MarathonFlags,
        sys.argv[1:] if argv is None else argv,
        program="koinon marathon",
        version=__version__,
        environ=os.environ,
        prefixes=PREFIXES,
        directories=DIRECTORIES,
        conventions=CONVENTIONS,
    )
    return run(lambda on_over: MarathonProcess(flags, on_over=on_over), flags)


class MarathonProcess(ServiceProcess):
    """A running Marathon: all parts, put together. Tests run several in one process."""

    name: ClassVar[str] = "Marathon"
    streams: ClassVar[frozenset[str]] = frozenset({"/v2/events"})

    def __init__(self, flags: MarathonFlags, *, on_over: Callable[[Fatal], None] = lambda why: None) -> None:
        numbers = ServiceMetrics(flags.metrics_name_prefix, prometheus=flags.metrics_prometheus)
        super().__init__(flags, zk=flags.zk, metrics=numbers, on_over=on_over)
        self.flags = flags
        self._scheduler: MarathonScheduler | None = None
        rules = _rules(flags)
        self.runtime = Runtime(
            Marathon(_config(flags, rules), seed=random.SystemRandom().getrandbits(64)),
            flags,
            self,
            rules=rules,
            may_act=self.leadership.may_act,
            failed=self.fail,
            metrics=numbers,
        )
        runtime = self.runtime
        metrics.install(numbers, runtime.core, listeners=runtime.bus, probes=runtime.checkers)

    # ── a service ─────────────────────────────────────────────────────────────────────────────────
    def route(self, app: web.Application) -> None:
        """See `ServiceProcess.route`."""
        app.middlewares.append(api.errors)
        app.add_routes(api.routes(self.runtime))
        app.add_routes(system_routes(self.flags))

    async def lead(self, store: Store, epoch: int) -> None:
        """See `ServiceProcess.lead`."""
        entries = store.load()
        self._scheduler = MarathonScheduler(
            self.flags,
            framework_of(
                self.flags,
                framework_id=_framework_id(entries.get(_FRAMEWORK)),
                hostname=self.host,
                webui_url=self._webui_url(),
            ),
            tell=self.runtime.tell,
            heard=self.runtime.heard,
            may_act=self.leadership.may_act,
            failed=self.fail,
        )
        await self.runtime.begin(store, entries, self._scheduler)

    async def leave(self) -> None:
        """See `ServiceProcess.leave`."""
        await self.runtime.end()

    # ── what the API shows of us ──────────────────────────────────────────────────────────────────
    def leader(self) -> str | None:
        """See `Place.leader`."""
        return self.leader_address

    def info(self) -> dict[str, Any]:
        """See `Place.info`."""
        framework_id = self._scheduler.framework.id if self._scheduler is not None else None
        return about(
            self.flags,
            port=self.port,
            hostname=self.host,
            leader=self.leader_address,
            elected=self.leadership.leads,
            framework_id=None if framework_id is None else framework_id.value,
            leader_ui_url=self._leader_ui_url(),
            webui_url=self._webui_url(),
        )

    def _webui_url(self) -> str:
        return self.flags.webui_url or f"http://{self.address}"

    def _leader_ui_url(self) -> str | None:
        address = self._scheduler.master_address if self._scheduler is not None else None
        return self.flags.mesos_leader_ui_url or (None if address is None else f"http://{address}/")


def _framework_id(stored: bytes | None) -> str | None:
    return None if stored is None else msgspec.json.decode(stored, type=str)


def _rules(flags: MarathonFlags) -> Rules:
    return Rules(
        role=flags.mesos_role,
        features=frozenset(flags.enable_features),
        local_port_min=flags.local_port_min,
        local_port_max=flags.local_port_max,
        default_network_name=flags.default_network_name,
        mesos_bridge_name=flags.mesos_bridge_name,
        new_group_enforce_role=flags.new_group_enforce_role == "top",
    )


def _config(flags: MarathonFlags, rules: Rules) -> Config:
    # Plain numbers: what the core hands on is encoded.
    return Config(
        rules=rules,
        matching=Settings(
            gpu_scheduling_behavior=flags.gpu_scheduling_behavior,
            accepted_resource_roles_default_behavior=flags.accepted_resource_roles_default_behavior,
            maintenance_mode=flags.maintenance_mode,
            env_vars_prefix=flags.env_vars_prefix or "",
            mesos_bridge_name=flags.mesos_bridge_name,
            mesos_user=flags.mesos_user,
            executor=flags.executor,
        ),
        max_running_deployments=flags.max_running_deployments,
        max_versions=flags.zk_max_versions,
        reconciliation_initial_delay_s=float(flags.reconciliation_initial_delay),
        reconciliation_interval_s=float(flags.reconciliation_interval),
        scale_apps_initial_delay_s=float(flags.scale_apps_initial_delay),
        scale_apps_interval_s=float(flags.scale_apps_interval),
        task_launch_confirm_timeout_s=float(flags.task_launch_confirm_timeout),
        task_launch_timeout_s=float(flags.task_launch_timeout),
        task_lost_expunge_initial_delay_s=float(flags.task_lost_expunge_initial_delay),
        kill_chunk_size=flags.kill_chunk_size,
        kill_retry_timeout_s=float(flags.kill_retry_timeout),
        decline_offer_duration_s=float(flags.decline_offer_duration),
        min_revive_offers_interval_s=float(flags.min_revive_offers_interval),
        suppress_offers=flags.suppress_offers,
        max_instances_per_offer=flags.max_instances_per_offer,
        launch_tokens=flags.launch_tokens,
        launch_token_refresh_interval_s=float(flags.launch_token_refresh_interval),
    )
