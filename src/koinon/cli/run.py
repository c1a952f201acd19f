"""`koinon run 'COMMAND'`: a batch on the cluster, as if it ran here.

The command is a framework of its own for as long as it lives: it takes offers, launches the instances, copies
what they write, and ends with their exit status. When it goes, for whatever reason, its tasks go with it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import PurePath
from typing import Any

import click

from koinon.cli.batch import Batch, Instance, Spec, is_echo
from koinon.cli.errors import Failure
from koinon.cli.leader import Master
from koinon.cli.options import master_option
from koinon.cli.output import show_json
from koinon.cli.placement import no_place
from koinon.cli.run_output import Outputs, Screen
from koinon.cli.why import waiting_reason
from koinon.coordination import DetectionError
from koinon.flags import Duration, FlagError
from koinon.mesos.v1 import Offer, TaskStatus
from koinon.mesos.v1.scheduler import Call
from koinon.sdk import ApiError, CallError, FrameworkError, Scheduler, Undelivered, framework_info

#: How long the master keeps the tasks of a run that lost its connection, before it kills them.
FAILOVER_TIMEOUT_S = 60.0
#: Exit status after --timeout, as timeout(1) has it.
TIMED_OUT = 124
#: When to say what a run waits for, and how often to look again.
_WAIT_FIRST_S = 1.5
_WAIT_AGAIN_S = 5.0
#: How long an agent may take to tell how a task ended of which the master knows only that it did.
_TRUE_END_S = 15.0
#: How long ending may take before a word is said about it.
_PATIENCE_S = 1.0
_NEVER_S = 7 * 86_400.0


def _environment(
    _context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise click.BadParameter(f"'{name}' is not KEY=VALUE")
    return {name: value for name, _, value in pairs}


def _seconds(_context: click.Context, _parameter: click.Parameter, given: str | None) -> float | None:
    if given is None:
        return None
    try:
        return float(given) if given.replace(".", "", 1).isdigit() else float(Duration.parse(given))
    except FlagError as error:
        raise click.BadParameter(str(error)) from None


def _name(_context: click.Context, _parameter: click.Parameter, given: str | None) -> str | None:
    if given is not None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", given):
        raise click.BadParameter("use letters, digits, '-', '_' and '.' only")
    return given


@click.command()
@click.argument("command")
@click.option("--name", callback=_name, help="Name of the work [default: the command's first word].")
@click.option(
    "--instances", "-n", type=click.IntRange(min=1), default=1, help="How many times to run it [1]."
)
@click.option("--cpus", type=click.FloatRange(min=0.001), default=0.1, help="CPUs of each instance [0.1].")
@click.option("--mem", type=click.FloatRange(min=1), default=32, help="Memory of each instance, in MB [32].")
@click.option("--disk", type=click.FloatRange(min=0), default=0, help="Disk of each instance, in MB [0].")
@click.option("--gpus", type=click.IntRange(min=0), default=0, help="GPUs of each instance [0].")
@click.option(
    "--env", "-e", multiple=True, metavar="KEY=VALUE", callback=_environment, help="Add to its environment."
)
@click.option("--role", default="*", help="Role whose share it uses [*].")
@click.option("--user", help="User it runs as [you].")
@click.option(
    "--follow/--no-follow", default=True, help="Print what the instances write, as they write it [yes]."
)
@click.option("--prefix/--no-prefix", default=None, help="Begin each line with the instance's index.")
@click.option(
    "--timeout", callback=_seconds, metavar="TIME", help="Kill it after TIME, such as 90 or 10mins."
)
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON instead of the output.")
@master_option
def run(
    master: Master,
    command: str,
    name: str | None,
    instances: int,
    cpus: float,
    mem: float,
    disk: float,
    gpus: int,
    env: dict[str, str],
    role: str,
    user: str | None,
    follow: bool,
    prefix: bool | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Run COMMAND (for the shell) on the cluster, print its output, exit with its status.

    Each instance finds its number, from 0, in KOINON_INDEX, their number in KOINON_COUNT, and its task's id in
    KOINON_TASK_ID. The exit status is 0 if all instances end with 0, else that of the first that does not; 128+N
    after signal N, 124 after --timeout, 1 for an instance that was lost. Ctrl-C kills the work.
    """
    wanted = {"cpus": cpus, "mem": mem, "disk": disk, "gpus": float(gpus)}
    spec = Spec(
        name=name or _name_of(command),
        command=command,
        instances=instances,
        resources={kind: amount for kind, amount in wanted.items() if amount},
        env=env,
        user=user,
    )
    master.ping()
    screen = Screen(progress=instances > 1 and sys.stderr.isatty())
    batch = Batch(spec, secrets.token_hex(3))
    if prefix is None:
        prefix = instances > 1 and sys.stdout.isatty()
    outputs = Outputs(screen, enabled=follow and not as_json, prefix=prefix, instances=instances)
    handler = _Warnings(screen)
    logging.getLogger("koinon").addHandler(handler)
    try:
        return asyncio.run(
            _run(master, batch, outputs, screen, role=role, timeout_s=timeout, as_json=as_json)
        )
    finally:
        logging.getLogger("koinon").removeHandler(handler)


async def _run(
    master: Master,
    batch: Batch,
    outputs: Outputs,
    screen: Screen,
    *,
    role: str,
    timeout_s: float | None,
    as_json: bool,
) -> int:
    runner = _Runner(master, batch, outputs, screen, role)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, runner.interrupt, 128 + number)
    if timeout_s is not None:
        loop.call_later(timeout_s, runner.interrupt, TIMED_OUT)
    try:
        await runner.run()
    except (ApiError, FrameworkError, Undelivered) as error:
        if not batch.done:
            raise Failure(f"the master at {runner.leader} ended the run: {error}") from None
    except DetectionError as error:
        raise Failure(str(error)) from None
    finally:
        await runner.end_background()
        screen.close()
    if as_json:
        show_json(batch.summary(runner.framework.id.value if runner.framework.id else ""))
    elif runner.interrupted is None:
        _tell_failures(batch)
    return batch.exit_status if runner.interrupted is None else runner.interrupted


class _Runner(Scheduler):
    """The framework that runs one batch."""

    def __init__(self, master: Master, batch: Batch, outputs: Outputs, screen: Screen, role: str) -> None:
        capabilities = ["TASK_KILLING_STATE", "RESERVATION_REFINEMENT"]
        if "gpus" in batch.spec.resources:
            capabilities.append("GPU_RESOURCES")
        super().__init__(
            master.where.detector(),
            framework_info(
                batch.spec.name,
                roles=[role],
                user=batch.spec.user,
                checkpoint=True,  # the work survives a restart of its agent
                failover_timeout_s=FAILOVER_TIMEOUT_S,
                capabilities=capabilities,
            ),
        )
        #: Exit status to end with once the person, or --timeout, ended the run early.
        self.interrupted: int | None = None
        self._role = role
        self._client = master
        self._batch = batch
        self._outputs = outputs
        self._screen = screen
        self._quiet = False  # offers are suppressed
        self._connected = False
        self._background: set[asyncio.Task[None]] = set()

    # ── what the master says ──────────────────────────────────────────────────────────────────────
    def subscribed(self, framework_id: str) -> None:
        """Subscribed, or back: then tasks whose launch got lost on the way must show."""
        again = self._outputs.framework_id is not None
        self._connected = True
        self._outputs.framework_id = framework_id
        if not again:
            self._in_background(self._tell_what_it_waits_for())
        else:
            self._screen.note(f"the master at {self.leader} has taken the run over")
        self._ask_for(self._batch.alive)
        if again and self.interrupted is not None:
            self._kill_all()
        self._show_progress()

    def disconnected(self) -> None:
        """The connection broke; the SDK looks for the master."""
        self._connected = False
        if self._batch.done:
            self.stop(failover=True)  # nothing is left that it would have to end

    def offers(self, offers: list[Offer]) -> None:
        """Launch what fits, give back the rest."""
        for offer, tasks in self._batch.place(offers):
            if tasks:
                self.launch(offer, tasks)
            else:
                self.decline(offer, refuse_s=None if self._batch.waiting else _NEVER_S)
        if not self._batch.waiting and not self._quiet:
            self._quiet = True
            self.suppress()
        self._show_progress()

    def update(self, status: TaskStatus) -> None:
        """An instance is in another state."""
        if is_echo(status):
            # The agent goes on telling how it ended, until we have heard it.
            asyncio.get_running_loop().call_later(_TRUE_END_S, self._take, status)
        else:
            self._take(status)

    def _take(self, status: TaskStatus) -> None:
        instance = self._batch.update(status)
        if instance is None:
            if self._batch.is_stray(status):
                self.kill(status.task_id, status.agent_id)
            return
        if not instance.placed:  # it never arrived, and waits again
            if self.interrupted is not None:
                self._batch.give_up_waiting()
            elif self._quiet:
                self._quiet = False
                self.revive()
        elif self.interrupted is not None and not instance.ended and instance.state != "KILLING":
            # A new master knows it only now, from its agent: we hear its answer, or what the agent tells again.
            self.kill(instance.task_id, instance.agent_id)
        self._outputs.follow(instance)
        self._show_progress()
        if self._batch.done:
            self._finish()

    def call_refused(self, call: Call, error: CallError) -> None:
        """Tasks whose launch may have got lost must show."""
        super().call_refused(call, error)
        if call.accept is not None and isinstance(error, Undelivered):
            self._ask_for([one for one in self._batch.alive if one.state == "STAGING"])

    def _ask_for(self, instances: list[Instance]) -> None:
        if instances:  # to ask for nothing is to ask for everything
            self.reconcile({one.task_id: one.agent_id for one in instances}, until_answered=True)

    @property
    def leader(self) -> str:
        """Where the master is that we were with last."""
        if self.master is None or self.master.address is None:
            return str(self._client.where)
        return f"{self.master.address.ip or self.master.address.hostname}:{self.master.address.port}"

    # ── ending ────────────────────────────────────────────────────────────────────────────────────
    def interrupt(self, exit_status: int) -> None:
        """End early: kill everything and wait for its end; asked again, do not wait."""
        if self.interrupted is not None:
            # Away from the master nothing can be killed: it does that itself, after the failover time-out.
            self.stop(failover=not self._connected)
            return
        self.interrupted = exit_status
        self._batch.give_up_waiting()
        if self._batch.done:
            self._finish()
        else:
            self._kill_all()
            asyncio.get_running_loop().call_later(_PATIENCE_S, self._tell_what_still_runs)

    def _tell_what_still_runs(self) -> None:
        if alive := self._batch.alive:
            self._screen.note(f"waiting for {len(alive)} instances to end; interrupt again to leave at once")

    def _kill_all(self) -> None:
        for instance in self._batch.alive:
            self.kill(instance.task_id, instance.agent_id)

    def _finish(self) -> None:
        async def finish() -> None:
            await self._outputs.drained()
            self.stop(failover=not self._connected)

        self._in_background(finish())

    # ── beside ────────────────────────────────────────────────────────────────────────────────────
    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        self._background.add(asyncio.create_task(work))

    async def end_background(self) -> None:
        """Ends what runs beside `run`; raises what went wrong there."""
        await self._outputs.end()
        for task in self._background:
            task.cancel()
        for result in await asyncio.gather(*self._background, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _tell_what_it_waits_for(self) -> None:
        told = ""
        pause_s = _WAIT_FIRST_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = _WAIT_AGAIN_S
            if not self._batch.waiting or self._batch.alive:
                continue
            reason = await asyncio.to_thread(self._waiting_reason)
            if reason != told:
                told = reason
                self._screen.note(f"waiting: {reason}")

    def _waiting_reason(self) -> str:
        """Why nothing is placed, in a sentence: what agents have tells it, or else the master."""
        try:
            known = self._client.get("/slaves")
            reason = None
            if not known["recovered_slaves"]:  # else there is more than can be seen now
                reason = no_place(self._batch.spec.resources, self._role, known["slaves"])
            return reason or waiting_reason(self._client, self._outputs.framework_id or "")
        except Failure as failure:
            return str(failure)

    def _show_progress(self) -> None:
        counts = self._batch.counts()
        self._screen.progress(len(self._batch.instances), counts)


class _Warnings(logging.Handler):
    """Shows the SDK's warnings (a lost connection, a refused call) above the progress bar."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._note: Callable[[str], None] = screen.note
        self._latest = ""

    def emit(self, record: logging.LogRecord) -> None:
        what = record.getMessage()
        why = what.partition(";")[0]  # what differs between attempts is when the next one comes
        if why != self._latest:
            self._latest = why
            self._note(what)


def _name_of(command: str) -> str:
    words = command.split()
    return (
        re.sub(r"[^A-Za-z0-9_.-]+", "-", PurePath(words[0]).name if words else "")[:40].strip("-.") or "run"
    )


def _tell_failures(batch: Batch) -> None:
    """Say what went wrong, unless the exit status says it all."""
    failed = [instance for instance in batch.instances if instance.exit_status]
    if not failed or (len(batch.instances) == 1 and _exited_by_itself(failed[0])):
        return
    if len(batch.instances) == 1:
        print(f"koinon: {_what_became(failed[0])}", file=sys.stderr)
        return
    told = "; ".join(_what_became(instance) for instance in failed[:5])
    more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
    print(f"koinon: {len(failed)} of {len(batch.instances)} instances failed: {told}{more}", file=sys.stderr)


def _exited_by_itself(instance: Instance) -> bool:
    return instance.state == "FAILED" and instance.message.startswith("Command exited")


def _what_became(instance: Instance) -> str:
    return f"task {instance.task_id} {instance.state}" + (
        f" ({instance.message})" if instance.message else ""
    )
