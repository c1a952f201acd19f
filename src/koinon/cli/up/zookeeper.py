"""The ZooKeeper that `koinon up` starts for its masters: one server, on loopback, with its own password.

The program is that of Debian's package `zookeeper`. Whoever else is on this machine may read what is there, as clients
that look for the leader do, and change nothing.
"""

from __future__ import annotations

import shutil
import socket
from contextlib import suppress
from pathlib import Path

from koinon.cli.errors import Failure
from koinon.cli.up.place import write_secret
from koinon.cli.up.process import Process

#: Masters that are not heard from for so long are given up: shorter than by default, as nothing is far away here.
SESSION_S = 4
#: Half of the shortest session that may be had.
_TICK_MS = 1000
_IP = "127.0.0.1"
_USER = "koinon"
_PATH = "/koinon"

_JARS = Path("/usr/share/java")
_MAIN_JAR = "zookeeper"
#: What it takes besides, as far as it is there: logging, mostly.
_OTHER_JARS = ("slf4j-log4j12", "log4j-1.2", "servlet-api", "jetty9-util-ajax")
#: Small while little is in it; all that is in it is in memory.
_JAVA = (
    *("-Xms16m", "-Xmx1g", "-XX:+UseSerialGC", "-Xss256k", "-XX:MaxMetaspaceSize=48m"),
    *("-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=16m"),
)
_SETTINGS = {
    "tickTime": str(_TICK_MS),
    "clientPortAddress": _IP,
    "4lw.commands.whitelist": "srvr",
    "admin.enableServer": "false",
    # Else sixty for all on this machine: agents, frameworks and commands have one each.
    "maxClientCnxns": "0",
    # Else files of 64 MB each, of which all are kept.
    "preAllocSize": "1024",
    "autopurge.purgeInterval": "1",
    "autopurge.snapRetainCount": "3",
}
_LOG4J = """\
log4j.rootLogger=WARN, CONSOLE
log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender
log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout
log4j.appender.CONSOLE.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} %m%n
"""


class ZooKeeper(Process):
    """One server, with what it keeps below `folder`.

    Raises Failure when there is no such program on this machine.
    """

    def __init__(self, folder: Path, port: int, log: Path) -> None:
        java = find()
        for part in ("conf", "data"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        conf = folder / "conf"
        settings = {**_SETTINGS, "dataDir": str(folder / "data"), "clientPort": str(port)}
        (conf / "zoo.cfg").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (conf / "log4j.properties").write_text(_LOG4J)
        jars = [_JARS / f"{name}.jar" for name in (_MAIN_JAR, *_OTHER_JARS)]
        argv = [
            *(java, *_JAVA, f"-Dlog4j.configuration=file:{conf}/log4j.properties"),
            *("-cp", ":".join(str(path) for path in (conf, *jars) if path.exists())),
            *("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(conf / "zoo.cfg")),
        ]
        super().__init__("zookeeper", argv, f"{_IP}:{port}", log)
        self._password = _password(folder / "password")

    @property
    def url(self) -> str:
        """For those who look for the leader."""
        return f"zk://{self.address}{_PATH}"

    @property
    def secret_url(self) -> str:
        """For masters."""
        return f"zk://{_USER}:{self._password}@{self.address}{_PATH}"

    def answers(self) -> bool:
        """See `Process.answers`."""
        host, _, port = self.address.rpartition(":")
        answer = b""
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as asked:
            asked.sendall(b"srvr")
            while data := asked.recv(4096):
                answer += data
        return b"\nMode: " in answer


def find() -> str:
    """The path of `java`, if ZooKeeper is installed. Raises Failure."""
    java = shutil.which("java")
    if java is None or not (_JARS / f"{_MAIN_JAR}.jar").exists():
        raise Failure(
            "several masters need ZooKeeper to agree on who leads, and it is not installed: install it"
            " (`apt-get install zookeeper`), or name servers that run with --zk zk://host:port/path"
        )
    return java


def _password(path: Path) -> str:
    """Made once, and kept."""
    if not path.exists():
        import secrets  # OpenSSL comes with it

        write_secret(path, secrets.token_urlsafe(24))
    return path.read_text()
