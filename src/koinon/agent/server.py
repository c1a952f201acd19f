"""The agent's process: everything put together, from the flags to the end.

    lock work_dir ─▶ read checkpoint ─▶ reach launcher ─▶ listen ─▶ recover ─▶ find the master ─▶ work

SIGTERM and SIGINT end the agent and leave the tasks running, for the next agent on the same `work_dir`; SIGUSR1 kills
them and takes leave of the master.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import randbits

import uvloop
from aiohttp.web_request import BaseRequest

from koinon import MESOS_VERSION, __version__, logs
from koinon.agent import detection, disk_usage, sandbox
from koinon.agent import metrics as numbers
from koinon.agent.channel import Channel
from koinon.agent.checks import Probes
from koinon.agent.collector import Collector
from koinon.agent.containerizer.process import ProcessContainerizer
from koinon.agent.containers import Containers
from koinon.agent.core import Agent, Config, launch, records, volumes
from koinon.agent.core.events import (
    Event,
    FoundContainer,
    Incompatible,
    SandboxesMeasured,
    ShutdownRequested,
    StateLoaded,
)
from koinon.agent.core.records import CorruptCheckpoint
from koinon.agent.core.state import Kind
from koinon.agent.core.tables import ExecutorState
from koinon.agent.executors import ExecutorApi
from koinon.agent.fetcher import Fetcher, cache_name
from koinon.agent.flags import DIRECTORIES, PREFIXES, AgentFlags
from koinon.agent.launching import LauncherError
from koinon.agent.operator_api import OperatorApi
from koinon.agent.runtime import Runtime
from koinon.agent.views import classic, containers
from koinon.agent.views.about import About
from koinon.coordination import DetectionError, StoreError
from koinon.coordination.embedded import EmbeddedStore, Lock, LockHeld
from koinon.edge import Answer, Files, HttpError, LogLevel, Metrics, Server, answer_json, serve_common
from koinon.edge.addresses import told_ip
from koinon.edge.collector import Collector as GarbageCollector
from koinon.edge.slices import slices
from koinon.flags import describe, load_or_exit
from koinon.mesos import v1
from koinon.mesos.attributes import parse_attributes
from koinon.mesos.resources import ResourceError

PROCESS = "slave(1)"

#: How long the end may take to write what is left to write.
_DRAIN_S = 5.0


class CannotStart(Exception):
    """The agent cannot run here and so; the text says what to change."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run an agent; returns the exit status."""
    flags = load_or_exit(
        AgentFlags,
        sys.argv[1:] if argv is None else argv,
        program="koinon agent",
        version=__version__,
        environ=os.environ,
        prefixes=PREFIXES,
        directories=DIRECTORIES,
    )
    logs.configure(flags.logging_level)
    GarbageCollector().install()
    try:
        return uvloop.run(_run(flags))
    except (CannotStart, Incompatible, CorruptCheckpoint, LauncherError, StoreError, LockHeld) as error:
        print(f"koinon agent: {error}", file=sys.stderr)
        return 1


async def _run(flags: AgentFlags) -> int:
    work_dir = flags.work_dir.absolute()
    runtime_dir = (flags.runtime_dir or work_dir / "run").absolute()
    with contextlib.ExitStack() as locks:
        try:
            for directory in dict.fromkeys((work_dir, runtime_dir)):
                directory.mkdir(parents=True, exist_ok=True)
                locks.enter_context(Lock(directory / "agent.lock", owner=f"the agent of {work_dir}"))
        except OSError as error:
            raise CannotStart(f"cannot use {error.filename}: {error.strerror}") from error
        store = EmbeddedStore(work_dir / "meta" / "agent.db")
        try:
            return await _Role(flags, work_dir, runtime_dir, store).run()
        finally:
            await store.close()


class _Role:
    """One agent, from its start to its end."""

    def __init__(self, flags: AgentFlags, work_dir: Path, runtime_dir: Path, store: EmbeddedStore) -> None:
        self._flags = flags
        self._work_dir = work_dir
        self._store = store
        self._started_s = time.time()
        self._log = logs.get(role="agent")
        self._loop = asyncio.get_running_loop()
        self._server = Server(PROCESS)
        cache_dir = (flags.fetcher_cache_dir or work_dir / "fetched").absolute() / cache_name(work_dir)
        self._fetcher = Fetcher(
            cache_dir,
            cache_size_bytes=flags.fetcher_cache_size,
            stall_timeout_s=flags.fetcher_stall_timeout,
        )
        self._collector = Collector(
            work_dir, delay_s=flags.gc_delay, headroom=flags.gc_disk_headroom, live=self._live_runs
        )
        if flags.gc_non_executor_container_sandboxes:
            self._collector.nested = self._ended_nested
        self._containers = Containers(
            self._feed_container,
            self._fetcher,
            (int(flags.max_stdout_size), int(flags.max_stderr_size), flags.max_rotated_logs),
        )
        self._containers.containerizer = ProcessContainerizer(
            runtime_dir, on_exit=self._containers.ended, on_trouble=self._trouble
        )
        self._probes = Probes(self._feed_container, self._containers)
        self._runtime: Runtime

    async def run(self) -> int:
        """Returns the exit status."""
        entries = self._store.load()
        try:
            await asyncio.to_thread(self._fetcher.cache.clear)
        except OSError as error:
            raise CannotStart(f"cannot use --fetcher_cache_dir: {error}") from error
        found = await self._containers.recover()
        metrics = Metrics()
        try:
            await self._listen(entries)
            # No await from here on: no request finds an agent that is not recovered.
            config = self._recover(entries, found, metrics)
        except Exception:
            await self._let_go(busy=bool(found))
            raise
        runtime = self._runtime
        self._log.info("agent listens", pid=config.pid, agent_id=runtime.core.state.agent_id)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop)
        shutdown = ShutdownRequested("SIGUSR1 was received")
        self._loop.add_signal_handler(signal.SIGUSR1, lambda: runtime.tell(shutdown))
        background = [
            self._loop.create_task(self._follow_masters()),
            self._loop.create_task(self._collector.run(self._flags.disk_watch_interval)),
            self._loop.create_task(
                disk_usage.watch(
                    runtime.core.state,
                    self._flags.container_disk_watch_interval,
                    lambda used: runtime.tell(SandboxesMeasured(used)),
                )
            ),
        ]
        try:
            return await runtime.exit
        finally:
            await self._end(background)

    def _recover(
        self, entries: dict[str, bytes], found: dict[str, FoundContainer], metrics: Metrics
    ) -> Config:
        """Take up what was before."""
        config = self._config()
        runtime = self._runtime = Runtime(Agent(config, seed=randbits(64)), self._store)
        runtime.containers = self._containers
        runtime.collector = self._collector
        runtime.probes = self._probes
        runtime.channel = Channel(
            self._flags.master.detector(session_timeout_s=self._flags.zk_session_timeout),
            runtime.tell,
            backoff_s=self._flags.registration_backoff_factor,
        )
        runtime.feed(StateLoaded(entries, found, _boot_id()))
        self._containers.recovered()
        self._route(config, metrics)
        return config

    async def _follow_masters(self) -> None:
        exit_ = self._runtime.exit
        try:
            await self._runtime.channel.run()
        except Exception as error:
            if not exit_.done():
                wrong = CannotStart(f"--master: {error}") if isinstance(error, DetectionError) else error
                exit_.set_exception(wrong)

    def _stop(self) -> None:
        if not self._runtime.exit.done():
            self._runtime.exit.set_result(0)

    async def _end(self, background: list[asyncio.Task[None]]) -> None:
        with contextlib.suppress(TimeoutError):  # a disk that refuses must not keep us
            await asyncio.wait_for(self._runtime.gate.drain(), _DRAIN_S)
        await self._runtime.channel.flush()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        self._runtime.stop()
        state = self._runtime.core.state
        going_on = [one for one in state.nested.values() if one.durable and not one.ended]
        await self._let_go(busy=bool(state.containers or going_on))

    async def _let_go(self, *, busy: bool) -> None:
        """Close everything; what runs goes on."""
        await self._server.stop()
        await self._probes.close()
        await self._containers.close()
        await self._fetcher.close()
        if busy:
            await self._containers.containerizer.close()
        else:
            await self._containers.containerizer.stop()  # nothing is left to look after

    # ── identity ──────────────────────────────────────────────────────────────────────────────────
    async def _listen(self, entries: dict[str, bytes]) -> None:
        ip, port = self._flags.ip, self._flags.port
        if port == 0 and (stored := entries.get(records.AGENT)) is not None:
            # Executors that still run know only the port of before.
            agent = records.read({records.AGENT: stored}).agent
            assert agent is not None
            port = agent.info.port
        try:
            await self._server.start(ip, port)
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {ip}:{port} ({error.strerror or error}): stop what uses it, or choose another"
                " --ip or --port"
            ) from error

    def _config(self) -> Config:
        flags = self._flags
        ip, port = flags.advertise_ip or told_ip(flags.ip), flags.advertise_port or self._server.port
        by_name = flags.hostname_lookup and not ip.startswith("127.")
        try:
            devices = detection.find_gpus(flags.nvidia_gpu_devices)
            resources = detection.find_resources(
                flags.resources, self._work_dir, flags.default_role, gpus=len(devices)
            )
            gpus = detection.assign_gpus(devices, resources, chosen=flags.nvidia_gpu_devices is not None)
            attributes = parse_attributes(flags.attributes or "")
        except (ResourceError, ValueError) as error:
            raise CannotStart(str(error)) from error
        container = flags.default_container_info
        obstacle = next(launch.container_obstacles(container), None) or volumes.refusal(
            container, nested=False
        )
        if obstacle is not None:
            raise CannotStart(f"--default_container_info: {obstacle}")
        return Config(
            agent_info=v1.AgentInfo(
                hostname=flags.hostname or (os.uname().nodename if by_name else ip),
                port=port,
                resources=resources,
                attributes=attributes,
            ),
            pid=f"{PROCESS}@{ip}:{port}",
            endpoint=f"{ip}:{port}",
            ip=ip,
            version=MESOS_VERSION,
            work_dir=str(self._work_dir),
            user=_own_user(),
            gpus=gpus,
            switch_user=flags.switch_user,
            executor_registration_timeout_s=flags.executor_registration_timeout,
            executor_reregistration_timeout_s=flags.executor_reregistration_timeout,
            executor_shutdown_grace_period_s=flags.executor_shutdown_grace_period,
            executor_environment=flags.executor_environment_variables or {},
            default_container=container,
            recovery_timeout_s=float(flags.recovery_timeout),
            reconfiguration_policy=flags.reconfiguration_policy,
            strict=flags.strict,
            frameworks_home=flags.frameworks_home,
            collect_nested=flags.gc_non_executor_container_sandboxes,
            enforce_disk_quota=flags.enforce_container_disk_quota,
            cleanup=flags.recover == "cleanup",
            completed_executors_max=flags.max_completed_executors_per_framework,
        )

    # ── what is answered ──────────────────────────────────────────────────────────────────────────
    def _route(self, config: Config, metrics: Metrics) -> None:
        runtime, state = self._runtime, self._runtime.core.state
        log_level, files, shown = LogLevel(), Files(), describe(self._flags)
        about = About(
            pid=config.pid,
            flags=shown,
            started_s=self._started_s,
            master=lambda: runtime.channel.connected_to,
        )
        numbers.declare(
            metrics,
            state,
            started_s=self._started_s,
            recovery_s=time.time() - self._started_s,
            collector=self._collector,
            fetcher=self._fetcher,
            usage=self._containers.containerizer.usage,
        )
        # Every sandbox, old and new, lies below this one; nothing has to be attached per task.
        slaves = self._work_dir / "slaves"
        slaves.mkdir(exist_ok=True)
        files.attach(str(slaves), slaves)
        files.attach("/frameworks", slaves / "latest" / "frameworks")
        standalone = self._work_dir / "containers"
        standalone.mkdir(exist_ok=True)
        files.attach(str(standalone), standalone)

        async def show_state(request: BaseRequest) -> Answer:
            return Answer(slices(classic.state(state, about)))

        async def show_containers(request: BaseRequest) -> Answer:
            usage = await self._containers.containerizer.usage()
            found = _chosen(containers.find(state), request)
            return Answer(slices(containers.classic(found, usage, time.time())))

        async def show_statistics(request: BaseRequest) -> Answer:
            usage = await self._containers.containerizer.usage()
            found = containers.find(state)
            return Answer(slices(containers.statistics(found, usage, time.time())))

        async def show_pending(request: BaseRequest) -> Answer:
            return answer_json({"pending": containers.pending(self._containers.launching)})

        self._server.route("/state", show_state)
        self._server.route("/containers", show_containers)
        self._server.route("/monitor/statistics", show_statistics)
        self._server.route("/containerizer/debug", show_pending)
        self._server.route(
            "/api/v1",
            OperatorApi(
                runtime, about, files, metrics, log_level, float(self._flags.http_heartbeat_interval)
            ),
            methods=("POST",),
        )
        self._server.route("/api/v1/executor", ExecutorApi(runtime), methods=("POST",))
        files.serve(self._server)
        serve_common(self._server, metrics, shown, log_level)

    # ── helpers ───────────────────────────────────────────────────────────────────────────────────
    def _feed_container(self, event: Event) -> None:
        self._runtime.tell(event)

    def _trouble(self, sentence: str) -> None:
        self._log.warning(sentence)

    def _live_runs(self) -> frozenset[str]:
        return frozenset(
            executor.container_id
            for framework in self._runtime.core.state.frameworks.values()
            for executor in framework.executors.values()
            if executor.state is not ExecutorState.TERMINATED
        )

    def _ended_nested(self) -> list[tuple[str, str]]:
        """Sandboxes that agents before us have left, of containers that the core does not know any more, and their roots.

        Only those are looked for that lie where no task has any of its own files: beside tasks of groups, and of
        standalone containers.
        """
        state = self._runtime.core.state
        groups = [
            executor
            for framework in state.frameworks.values()
            for executor in framework.executors.values()
            if executor.kind is Kind.DEFAULT and executor.state is not ExecutorState.TERMINATED
        ]
        found = []
        for executor in groups:
            known = set(state.containers) | {key.rpartition(".")[2] for key in state.nested}
            for name in sandbox.inner(executor.directory):
                if name not in known:
                    found.append((f"{executor.directory}/containers/{name}", executor.directory))
        for name in sandbox.inner(str(self._work_dir)):
            if name not in state.nested:
                found.append((f"{self._work_dir}/containers/{name}", ""))
        return found


def _own_user() -> str:
    """Whom we run as, whatever the environment says."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may have users without a name
        return str(uid)


def _boot_id() -> str:
    """Changes whenever the machine is booted."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _chosen(found: list[containers.Found], request: BaseRequest) -> list[containers.Found]:
    """The containers that `/containers?container_id=…` or `?framework_id=…&executor_id=…` asks for."""
    wanted = {name: request.query.get(name) for name in ("container_id", "framework_id", "executor_id")}
    if wanted["executor_id"] is not None and wanted["framework_id"] is None:
        raise HttpError(400, "The parameter executor_id needs framework_id beside it.")
    for name, value in wanted.items():
        if value is not None:
            found = [one for one in found if getattr(one.executor, name) == value]
    return found
