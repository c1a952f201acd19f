"""A real Apache ZooKeeper for tests: one server, or an ensemble, each a process with its own folder.

    def test_it(zookeeper):                      # shared by all tests of the process; the URL is for one test
        url = zookeeper.url()

    def test_without_a_quorum(new_ensemble):
        ensemble = new_ensemble(3)
        ensemble.servers[0].kill()
        ensemble.servers[1].freeze()

Sessions may be as short as a second: a tick takes half of one.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.cluster.harness import IP, free_port

TICK_MS = 500
#: The shortest session that the servers grant.
SESSION_S = 2 * TICK_MS / 1000

_JARS = Path("/usr/share/java")
#: Of Debian's packages: the program alone has neither its logging nor its own small web server.
_CLASSES = ("zookeeper", "slf4j-log4j12", "log4j-1.2", "servlet-api", "jetty9-util-ajax")
_JAVA = (
    *("java", "-Xms16m", "-Xmx256m", "-XX:+UseSerialGC", "-Xss256k", "-XX:MaxMetaspaceSize=48m"),
    *("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=16m"),
)
_LOG4J = """\
log4j.rootLogger=INFO, FILE
log4j.appender.FILE=org.apache.log4j.FileAppender
log4j.appender.FILE.File={folder}/log
log4j.appender.FILE.layout=org.apache.log4j.PatternLayout
log4j.appender.FILE.layout.ConversionPattern=%d{{ISO8601}} %-5p %c{{1}} %m%n
"""
_READY_S = 30.0
_paths = itertools.count(1)


class Server:
    """One server. Stopped ones can be started again, with what they had on disk."""

    def __init__(self, folder: Path, *, number: int = 1, ip: str = IP, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.number = number
        self.ip = ip
        self.port = free_port()
        self.peer_ports = (free_port(), free_port())
        self.prefix = tuple(prefix)  #: what the command is run with, such as `nsenter --net=…`
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """For clients."""
        return f"{self.ip}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def configure(self, ensemble: Sequence[Server], **settings: str) -> None:
        """Write the files; `ensemble` has all servers, this one among them."""
        conf, data = self.folder / "conf", self.folder / "data"
        for folder in (conf, data):
            folder.mkdir(parents=True, exist_ok=True)
        (conf / "log4j.properties").write_text(_LOG4J.format(folder=self.folder))
        (data / "myid").write_text(f"{self.number}\n")
        lines = {
            "tickTime": str(TICK_MS),
            "initLimit": "20",
            "syncLimit": "4",
            "dataDir": str(data),
            "4lw.commands.whitelist": "*",
            "admin.enableServer": "false",
            "maxClientCnxns": "0",
            # Tests are about what it answers, not about what a power cut leaves.
            "forceSync": "no",
            **settings,
        }
        if len(ensemble) == 1:
            lines |= {"clientPort": str(self.port), "clientPortAddress": self.ip}
        else:
            lines |= {
                f"server.{server.number}": f"{server.ip}:{server.peer_ports[0]}:{server.peer_ports[1]};"
                f"{server.ip}:{server.port}"
                for server in ensemble
            }
        (conf / "zoo.cfg").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def start(self) -> None:
        """Start the process, and wait for nothing."""
        assert self.process is None
        if shutil.which("java") is None or not (_JARS / "zookeeper.jar").exists():
            pytest.fail("these tests need ZooKeeper (Debian: apt-get install zookeeper)")
        conf = self.folder / "conf"
        classes = ":".join([str(conf), *(str(_JARS / f"{name}.jar") for name in _CLASSES)])
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *self.prefix,
                    *_JAVA,
                    f"-Dlog4j.configuration=file:{conf}/log4j.properties",
                    *(
                        "-cp",
                        classes,
                        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                        str(conf / "zoo.cfg"),
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def mode(self) -> str | None:
        """`standalone`, `leader` or `follower`; None while it does not serve. Not for servers behind a prefix."""
        with suppress(OSError), socket.create_connection((self.ip, self.port), timeout=1) as asked:
            asked.sendall(b"srvr")
            answer = b""
            while data := asked.recv(4096):
                answer += data
            for line in answer.decode().splitlines():
                if line.startswith("Mode: "):
                    return line.removeprefix("Mode: ")
        return None

    def wait_ready(self) -> None:
        """Returns when clients are served."""
        deadline_s = time.monotonic() + _READY_S
        while self.mode() is None:
            if self.process is None or self.process.poll() is not None or time.monotonic() > deadline_s:
                pytest.fail(f"ZooKeeper does not serve:\n{self.log()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As by kill -9."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """As an operator does it; with SIGTERM."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait()
        self.process = None

    def freeze(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def log(self) -> str:
        """The end of what it has written."""
        texts = [
            path.read_text(errors="replace")
            for path in (self.folder / "output", self.folder / "log")
            if path.exists()
        ]
        return "\n".join(text[-3000:] for text in texts)


class ZooKeeper:
    """One server, or several that make an ensemble."""

    def __init__(self, servers: list[Server], **settings: str) -> None:
        self.servers = servers
        for server in servers:
            server.configure(servers, **settings)

    @property
    def hosts(self) -> str:
        """`host:port,host:port`."""
        return ",".join(server.address for server in self.servers)

    def url(self, credentials: str | None = None) -> str:
        """A URL whose path is used by nobody else."""
        user = "" if credentials is None else f"{credentials}@"
        return f"zk://{user}{self.hosts}/test-{os.getpid()}-{next(_paths)}"

    def start(self) -> None:
        """Start all that do not run, and wait until they serve."""
        for server in self.servers:
            if server.process is None:
                server.start()
        for server in self.servers:
            server.wait_ready()

    def leader(self) -> Server:
        """The server that leads the others."""
        return next(server for server in self.servers if server.mode() == "leader")

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


@contextmanager
def running(folder: Path, servers: int = 1, **settings: str) -> Iterator[ZooKeeper]:
    """Servers for as long as the context lasts; they serve when it begins."""
    zookeeper = ZooKeeper([Server(folder / f"zk{n}", number=n) for n in range(1, servers + 1)], **settings)
    try:
        zookeeper.start()
        yield zookeeper
    finally:
        zookeeper.stop()


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """One server for all tests, which leave it as it is."""
    with running(tmp_path_factory.mktemp("zookeeper")) as found:
        yield found


@pytest.fixture
def new_ensemble(tmp_path: Path) -> Iterator[Callable[[int], ZooKeeper]]:
    """Makes servers for one test, which may do to them what it likes."""
    with ExitStack() as stack:
        yield lambda servers=1: stack.enter_context(running(tmp_path / "zookeeper", servers))
