"""The master's process: flags in, a cluster's head out.

main → serve → Runtime (core, registry, streams, channels) ← scheduler and operator API, agents' channels
                                                           ← classic endpoints, files, metrics

A master stands for election, in ZooKeeper or on its work directory (`candidacy`). Until it leads it stands by: it
answers about itself, and redirects all else to the leader. Elected, it fences off the leader before it, reads the
registry, and leads. Deposed, it ends at once, without a word to anybody: whatever it would say, another master may
contradict already. A supervisor starts it anew.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import msgspec
import uvloop
from aiohttp import web
from aiohttp.web_request import BaseRequest

from koinon import __version__, logs
from koinon.coordination import Election, Fenced, Leader, Store, StoreError
from koinon.coordination.embedded import Lock, LockHeld
from koinon.edge import Answer, Files, HttpError, LogLevel, Metrics, Server, serve_common
from koinon.edge.addresses import told_ip
from koinon.edge.collector import Collector
from koinon.edge.system import raise_file_limit
from koinon.flags import describe, load_or_exit
from koinon.master import metrics as numbers
from koinon.master.candidacy import LOCK, OWNER, Candidacy, candidacy
from koinon.master.channel import Channel
from koinon.master.core import Config, Master, Refused, events
from koinon.master.endpoints import Endpoints
from koinon.master.flags import DIRECTORIES, MasterFlags
from koinon.master.operator_api import OperatorApi
from koinon.master.registry import MemoryStore
from koinon.master.runtime import Runtime
from koinon.master.scheduler_api import SchedulerApi
from koinon.master.standby import OPEN_PATHS, Standby
from koinon.master.views.about import About
from koinon.master.watchers import Watchers
from koinon.mesos import internal, v1

#: How often the whitelist is read again.
_WHITELIST_S = 5.0


class Deposed(Exception):
    """The master leads no more; the text says why."""


class Failure(Exception):
    """The master cannot run; the text is the sentence for the person who started it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a master until SIGTERM or SIGINT, or until it is deposed; returns the exit status."""
    flags = load_or_exit(
        MasterFlags,
        sys.argv[1:] if argv is None else argv,
        program="koinon master",
        version=__version__,
        environ=os.environ,
        directories=DIRECTORIES,
    )
    logs.configure(flags.logging_level)
    raise_file_limit()
    Collector().install()
    try:
        with ExitStack() as stack:
            if flags.zk is not None and flags.work_dir is not None:  # else that is what the election is about
                stack.enter_context(Lock(flags.work_dir / f"{LOCK}.lock", owner=OWNER))
            uvloop.run(_serve(flags))
    except (Failure, StoreError, LockHeld) as error:
        logs.get(role="master").error(str(error))
        return 1
    except OSError as error:
        logs.get(role="master").error(f"the work directory {flags.work_dir} cannot be used: {error.strerror}")
        return 1
    return 0


async def _serve(flags: MasterFlags) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    store = MemoryStore() if flags.registry == "in_memory" else None
    master = MasterProcess(flags, store, on_deposed=_end_at_once)
    await master.start()
    try:
        waiter = asyncio.ensure_future(stopped.wait())
        await asyncio.wait((waiter, master.failed), return_when=asyncio.FIRST_COMPLETED)
        if master.failed.done():
            # What the core promised may be wrong now. A new process knows only what is durable.
            logs.get(role="master").error("this master ends", reason=str(master.failed.exception()))
            _end_now()
    finally:
        await master.stop()


def _end_at_once(reason: str) -> None:
    logs.get(role="master").error("deposed: this master ends", reason=reason)
    _end_now()


def _end_now() -> NoReturn:
    sys.stderr.flush()
    os._exit(1)


class MasterProcess:
    """A running master: all parts, put together. Tests run several in one process.

    The registry is in `store`; without, in what the flags say, opened once it leads. `on_deposed(reason)` is called,
    from the event loop, at the moment when it leads no more.
    """

    def __init__(
        self,
        flags: MasterFlags,
        store: Store | None = None,
        *,
        on_deposed: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._flags = flags
        self._store = store
        self._on_deposed = on_deposed
        self._candidacy: Candidacy | None = None
        self._standby = Standby()
        self._taking_over: asyncio.Task[None] | None = None
        self._server = Server("master")
        self._log = logs.get(role="master")
        self._next_channel = 0
        self._whitelist: asyncio.Task[None] | None = None
        self.about: About
        self.runtime: Runtime
        self.watchers: Watchers
        self.metrics = Metrics()

    @property
    def failed(self) -> asyncio.Future[None]:
        """Done when the master must stop at once."""
        return self.runtime.failed

    async def start(self) -> None:
        """Listen, and lead or stand by. Raises Failure and StoreError."""
        flags = self._flags
        # First the port: ids and addresses told to others depend on it. Requests wait until routes are there.
        try:
            await self._server.start(flags.ip, flags.port)
        except OSError as error:
            raise Failure(
                f"cannot listen on {flags.ip}:{flags.port}: {os.strerror(error.errno or 0)}; stop what uses the"
                " port, or choose another --port (0 = any free one) or --ip"
            ) from error
        self.about = _about(flags, self._server.port)
        core = Master(
            _config(flags),
            master_info=self.about.master_info(),
            seed=random.SystemRandom().getrandbits(64),
            now=time.time(),
        )
        if flags.whitelist is not None:
            _hostnames_or_fail(flags.whitelist)  # not only once we are elected
        if flags.registry == "in_memory":
            self._log.warning(
                "the registry is in memory: whoever leads next knows none of today's agents, and tells frameworks that"
                " ask for their tasks before the agents are back that they are lost; for tests"
            )
        self._candidacy = candidacy(flags)
        if self._candidacy is None:
            assert self._store is not None, "the flags have seen to it"
            self.runtime = Runtime(core, self.metrics)
            self._route()
            self._lead(self._store, epoch=0)
        else:
            self._server.guard(self._standby.guard, OPEN_PATHS)
            self.runtime = Runtime(core, self.metrics, lease=self._holds_lease)
            self._route()
            await self._stand(self._candidacy.election)

    async def stop(self) -> None:
        """Act no more, let go of the registry and of the leadership, end all connections."""
        for task in (self._whitelist, self._taking_over):
            if task is not None:
                task.cancel()
        self.watchers.stop()
        self.runtime.stop()
        # As if we had died: clients wait for the next leader after a broken connection, and some end after a refusal.
        self._server.hang_up()
        if self._store is not None:
            await self._store.close()
        if self._candidacy is not None:
            await self._candidacy.election.close()
        await self._server.stop()
        self._log.info("master stopped", id=self.about.master_id)

    # ── standing by and leading ───────────────────────────────────────────────────────────────────
    async def _stand(self, election: Election) -> None:
        """Stand for election. Raises as `start` when we are elected at once, and cannot lead."""
        election.stand(
            msgspec.json.encode(self.about.master_info()),
            on_elected=self._elected,
            on_deposed=self._step_down,
            on_leader=self._follow,
        )
        if self._taking_over is not None:
            await self._taking_over
        if self.runtime.failed.done():
            self.runtime.failed.result()
        if not self._standby.elected:
            self._log.info(
                "master stands by", id=self.about.master_id, pid=self.about.pid, version=__version__
            )

    def _follow(self, leader: Leader | None) -> None:
        self._standby.leader = leader
        if leader is None:
            self._log.info("no master leads")
        else:
            self._log.info("another master leads", leader=leader.address, epoch=leader.epoch)

    def _elected(self, epoch: int) -> None:
        assert self._candidacy is not None
        if not self._candidacy.local:  # else it takes no time
            self._log.info("elected: reading the registry", epoch=epoch)
        self._standby.elected = True
        self._taking_over = asyncio.get_running_loop().create_task(self._take_over(epoch))

    async def _take_over(self, epoch: int) -> None:
        """From our election until we lead."""
        assert self._candidacy is not None
        begun_s = time.perf_counter()
        try:
            if self._store is None:
                self._store = await self._candidacy.open_registry(epoch)
            told = 0 if self._candidacy.local else epoch
            self._lead(self._store, told, opened_in_s=time.perf_counter() - begun_s)
        except Fenced as error:
            self._step_down(str(error))
        except Exception as error:
            self.runtime.fail(error)

    def _lead(self, store: Store, epoch: int, *, opened_in_s: float = 0.0) -> None:
        """Read the registry, and begin to act. Raises Failure and StoreError."""
        flags = self._flags
        self.runtime.start(store, epoch, opened_in_s=opened_in_s)
        self._server.guard(None)
        self._server.hot("/api/v1/scheduler", self._scheduler.hot)
        self._set_initial_weights()
        if flags.whitelist is not None:
            self._whitelist = asyncio.create_task(
                self._follow_whitelist(flags.whitelist, self._read_whitelist(flags.whitelist))
            )
        self._log.info(
            "master leads", id=self.about.master_id, pid=self.about.pid, version=__version__, epoch=epoch
        )

    def _holds_lease(self) -> bool:
        assert self._candidacy is not None
        if self._candidacy.election.held():
            return True
        self._step_down("the lease is over")
        return False

    def _step_down(self, reason: str) -> None:
        self._on_deposed(reason)
        self.runtime.fail(Deposed(reason))

    def _route(self) -> None:
        server, runtime, files, level = self._server, self.runtime, Files(), LogLevel()
        self.watchers = Watchers(runtime, subscribers_max=self._flags.max_operator_event_stream_subscribers)
        operator = OperatorApi(runtime, self.about, files, self.metrics, level, self.watchers)
        self._scheduler = SchedulerApi(runtime)
        server.route("/api/v1/scheduler", self._scheduler, methods=("POST",))
        server.route("/api/v1", operator, methods=("POST",))
        server.route(internal.PATH, self._serve_agent, patient=True)
        Endpoints(runtime, self.about).serve(server)
        files.serve(server)
        serve_common(server, self.metrics, self.about.flags, level)
        numbers.install(
            self.metrics, runtime.core, started_s=self.about.started_s, watchers=self.watchers.__len__
        )

    async def _serve_agent(self, request: BaseRequest) -> Answer | web.StreamResponse:
        """An agent's channel, from its Register to its end."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise HttpError(400, "This path is for agents, which speak WebSocket here.")
        runtime = self.runtime
        self._next_channel += 1
        channel_id = str(self._next_channel)

        def said(message: internal.AgentMessage) -> None:
            runtime.tell(events.AgentSaid(channel_id, message))

        channel = runtime.channels[channel_id] = Channel(said, self._server.turns, runtime.may_act)
        try:
            return await channel.serve(request)
        finally:
            runtime.channels.pop(channel_id, None)
            runtime.tell(events.AgentChannelClosed(channel_id))

    def _set_initial_weights(self) -> None:
        known = self.runtime.core.state.weights
        missing = [
            v1.WeightInfo(weight=weight, role=role)
            for role, weight in self._flags.initial_weights().items()
            if role not in known
        ]
        if missing:
            try:
                self.runtime.feed(events.WeightsUpdated(missing))
            except Refused as refused:
                raise Failure(f"--weights: {refused.message}") from refused

    def _read_whitelist(self, path: Path) -> frozenset[str]:
        """Let only the hosts in the file get offers, from the first one on. Raises Failure."""
        hostnames = _hostnames_or_fail(path)
        self.runtime.tell(events.WhitelistChanged(hostnames))
        return hostnames

    async def _follow_whitelist(self, path: Path, before: frozenset[str]) -> None:
        while True:
            await asyncio.sleep(_WHITELIST_S)
            try:
                hostnames = await asyncio.to_thread(_hostnames, path)
            except OSError as error:
                self._log.warning("the whitelist cannot be read", path=str(path), error=error.strerror)
                continue
            if hostnames != before:
                before = hostnames
                self.runtime.tell(events.WhitelistChanged(hostnames))


def _hostnames(whitelist: Path) -> frozenset[str]:
    return frozenset(line.strip() for line in whitelist.read_text().splitlines() if line.strip())


def _hostnames_or_fail(whitelist: Path) -> frozenset[str]:
    try:
        return _hostnames(whitelist)
    except OSError as error:
        raise Failure(f"the whitelist {whitelist} cannot be read: {error.strerror}") from error


def _about(flags: MasterFlags, port: int) -> About:
    ip = flags.advertise_ip or told_ip(flags.ip)
    return About(
        master_id=str(uuid.uuid4()),
        hostname=flags.hostname or (_hostname(ip) if flags.hostname_lookup else ip),
        ip=ip,
        port=flags.advertise_port or port,
        flags=describe(flags),
        started_s=time.time(),
        cluster=flags.cluster,
    )


def _hostname(ip: str) -> str:
    """The name of `ip`; itself when it has none, or when it means another machine to everybody."""
    if ip.startswith("127."):
        return ip
    try:
        return socket.gethostbyaddr(ip)[0]
    except OSError:
        return ip


def _config(flags: MasterFlags) -> Config:
    excluded = (flags.fair_sharing_excluded_resource_names or "").split(",")
    return Config(
        agent_ping_timeout_s=flags.agent_ping_timeout,
        max_agent_ping_timeouts=flags.max_agent_ping_timeouts,
        agent_reregister_timeout_s=flags.agent_reregister_timeout,
        agent_removal_interval_s=None
        if (rate := flags.agent_removal_rate_limit) is None
        else rate.per / rate.times,
        recovery_agent_removal_limit=flags.removal_limit(),
        allocation_interval_s=flags.allocation_interval,
        offer_timeout_s=flags.offer_timeout,
        max_completed_frameworks=flags.max_completed_frameworks,
        max_completed_tasks_per_framework=flags.max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework=flags.max_unreachable_tasks_per_framework,
        min_allocatable_resources=flags.min_allocatable_resources,
        fair_sharing_excluded_resource_names=tuple(filter(None, (name.strip() for name in excluded))),
        filter_gpu_resources=flags.filter_gpu_resources,
        root_submissions=flags.root_submissions,
        registry_gc_interval_s=flags.registry_gc_interval,
        registry_max_agent_age_s=flags.registry_max_agent_age,
        registry_max_agent_count=flags.registry_max_agent_count,
    )
