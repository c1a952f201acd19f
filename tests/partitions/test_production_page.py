"""The layout of docs/how-to/production.md, done as the page says, on machines with the addresses that it names.

What is run: each block after `<!-- on: KIND -->`, on all machines of the kind; what stays: after `<!-- run on: KIND -->`.
Only directories are others than on the page.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import zookeeper
from tests.cluster.harness import has_ended, launchers_below
from tests.cluster.test_tutorial import Shell, steps
from tests.partitions import network
from tests.partitions.cluster import eventually
from tests.partitions.network import Machine, Network

PAGE = (Path(__file__).parents[2] / "docs/how-to/production.md").read_text()
REASON = network.cannot_run()
ADDRESSES = {
    "desk": "192.0.2.1",
    **{f"zk-{n}": f"192.0.2.{10 + n}" for n in (1, 2, 3)},
    **{f"master-{n}": f"192.0.2.{20 + n}" for n in (1, 2, 3)},
    **{f"agent-{n}": f"192.0.2.{30 + n}" for n in (1, 2)},
}


def blocks(mark: str) -> list[str]:
    """The texts of the blocks after that mark."""
    found = re.findall(rf"<!-- {re.escape(mark)} -->\n *```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"the page has no block {mark}"
    return [textwrap.dedent(text).strip() for text in found]


class Layout:
    """The machines, and what runs on them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack
        self._network = stack.enter_context(Network(ADDRESSES))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        stack.enter_context(self._network["desk"].entered())

    def machines(self, kind: str) -> list[Machine]:
        return [machine for name, machine in self._network.machines.items() if name.startswith(kind)]

    def text(self, block: str, machine: Machine) -> str:
        """A block as it is done on a machine."""
        for name in ("/etc/koinon", "/var/lib/koinon", "/var/lib/zookeeper"):
            block = block.replace(name, f"{self.directory}/{machine.name}{name}")
        return block

    def environment(self, machine: Machine) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "IP": machine.ip}

    def do(self, block: str, machine: Machine) -> None:
        """Run it to its end."""
        argv = [*machine.prefix, "sh", "-ec", self.text(block, machine)]
        subprocess.run(argv, env=self.environment(machine), check=True, timeout=30, stdout=subprocess.DEVNULL)

    def start(self, machine: Machine, command: str) -> None:
        """Start what is to run for good."""
        with (self.directory / f"{machine.name}.log").open("ab") as log:
            self.processes[machine.name] = subprocess.Popen(
                [*machine.prefix, "sh", "-c", f"exec {self.text(command, machine)}"],
                env=self.environment(machine),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start_zookeeper(self) -> None:
        """The three servers, by the settings of the page."""
        (settings,) = blocks("zoo.cfg")
        servers = []
        for number, machine in enumerate(self.machines("zk"), 1):
            folder = self.directory / machine.name
            server = zookeeper.Server(folder, number=number, ip=machine.ip, prefix=machine.prefix)
            server.port = 2181
            server.configure([server])
            data = Path(self.text("/var/lib/zookeeper", machine))
            data.mkdir(parents=True)
            (data / "myid").write_text(str(number))
            (folder / "conf" / "zoo.cfg").write_text(self.text(settings, machine) + "\n")
            server.start()
            self._stack.callback(server.kill)
            servers.append(server)
        for server in servers:
            server.wait_ready()

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        for pid in launchers_below(self.directory):
            os.kill(pid, signal.SIGTERM)
            eventually(lambda pid=pid: has_ended(pid), "a launcher ends")


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    with ExitStack() as stack:
        one = Layout(tmp_path, stack)
        stack.callback(one.stop)
        yield one


@pytest.mark.slow
@pytest.mark.skipif(REASON is not None, reason=REASON or "")
def test_the_layout_works_as_the_page_says_and_through_a_rolling_restart(layout: Layout) -> None:
    layout.start_zookeeper()
    prepare, wait = blocks("on: master")
    (master,), (agent,) = blocks("run on: master"), blocks("run on: agent")
    for machine in layout.machines("master"):
        layout.do(prepare, machine)
        layout.start(machine, master)
    for machine in layout.machines("agent"):
        layout.start(machine, agent)
    _use(layout)

    def leads(machine: Machine) -> bool:
        answer = subprocess.run(
            ["curl", "-s", f"http://{machine.ip}:5050/metrics/snapshot"], capture_output=True, check=True
        )
        return b'"master/elected":1.0' in answer.stdout

    for machine in sorted(layout.machines("master"), key=leads):  # the leader last
        process = layout.processes[machine.name]
        process.terminate()
        assert process.wait(20) == 0
        layout.start(machine, master)
        layout.do(wait, machine)
    for machine in layout.machines("agent"):
        process = layout.processes[machine.name]
        process.terminate()
        assert process.wait(20) == 0
        layout.start(machine, agent)
    _use(layout)


def _use(layout: Layout) -> None:
    """What is done at the desk, where each command shows in time what the page says."""
    (desk,) = layout.machines("desk")
    shell = Shell(layout.directory, layout.environment(desk))
    try:
        for block in blocks("on: desk"):
            for step in steps(f"```console\n{block}\n```"):
                eventually(lambda step=step: shell.run(step.command) == step.shown, step.command)
    finally:
        shell.close()
