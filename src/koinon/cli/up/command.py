"""The command `koinon up`: from its options to the processes of a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from koinon.cli.errors import Failure
from koinon.cli.up.cluster import Cluster
from koinon.cli.up.place import choose_ports, default_work_dir, locked, part_of_machine, write_secret
from koinon.cli.up.process import CHRONOS, MARATHON, Role, Service
from koinon.cli.up.zookeeper import SESSION_S, ZooKeeper, find


@click.command()
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept [/var/lib/koinon for root, else ~/.local/state/koinon].",
)
@click.option("--ip", default="127.0.0.1", help="Address to listen on; 0.0.0.0 = all addresses [127.0.0.1].")
@click.option(
    "--masters",
    type=click.IntRange(min=1),
    default=1,
    help="How many masters [1]. One leads, the others stand by: the cluster goes on while one of them is left, so two"
    " survive the loss of one, three that of two; odd numbers have no advantage. More than one need ZooKeeper, which keeps"
    " the registry then: what one master alone has kept (weights, agents declared gone) they do not know.",
)
@click.option(
    "--zk",
    metavar="zk://[USER:PASSWORD@]HOST:PORT,…/PATH",
    help="ZooKeeper servers by which masters agree on who leads, or file:///path of a file with that [with several"
    " masters: a server of our own, ended with the cluster].",
)
@click.option(
    "--master-port",
    type=click.IntRange(0, 65535),
    default=5050,
    help="Port of the first master; further ones count on from it; 0 = any free ones [5050].",
)
@click.option(
    "--agent-port",
    type=click.IntRange(0, 65535),
    help="Port of the first agent; further ones count on from it; 0 = any free ones [the one after the masters': 5051].",
)
@click.option(
    "--marathon-port",
    type=click.IntRange(0, 65535),
    default=8080,
    help="Port of Marathon; 0 = any free one [8080].",
)
@click.option("--no-marathon", is_flag=True, help="Start no Marathon.")
@click.option(
    "--chronos-port",
    type=click.IntRange(0, 65535),
    default=4400,
    help="Port of Chronos; 0 = any free one [4400].",
)
@click.option("--no-chronos", is_flag=True, help="Start no Chronos.")
@click.option("--agents", type=click.IntRange(min=0), default=1, help="How many agents [1].")
@click.option(
    "--resources",
    help="What each agent offers, as 'cpus:8;mem:16384' [of what is not named: what the machine has, divided by"
    " the number of agents].",
)
@click.option("--attributes", help="What each agent is like, as 'rack:a;os:debian'.")
def up(
    work_dir: Path | None,
    ip: str,
    masters: int,
    zk: str | None,
    master_port: int,
    agent_port: int | None,
    marathon_port: int,
    no_marathon: bool,
    chronos_port: int,
    no_chronos: bool,
    agents: int,
    resources: str | None,
    attributes: str | None,
) -> int:
    """Start a whole cluster on this machine: masters, their agents, Marathon and Chronos.

    Prints their addresses and the agents' ids, then `ready` on a line of its own as soon as work can be run. Ctrl-C
    stops everything, running tasks included. A second `up` on the same work directory goes on with the same master
    and agents, be they more or fewer now, and what each offers then; Marathon starts its apps again, and Chronos what
    came due meanwhile.
    """
    root = (work_dir or default_work_dir()).absolute()
    host = _told(ip)
    own_zookeeper = zk is None and masters > 1
    if own_zookeeper:
        find()
    if agent_port is None:
        agent_port = master_port and master_port + masters
    master_names = ["master"] if masters == 1 else [f"master-{n}" for n in range(1, masters + 1)]
    agent_names = [f"agent-{n}" for n in range(1, agents + 1)]
    wanted = {name: master_port and master_port + at for at, name in enumerate(master_names)}
    wanted |= {name: agent_port and agent_port + at for at, name in enumerate(agent_names)}
    wanted |= {} if no_marathon else {MARATHON: marathon_port}
    wanted |= {} if no_chronos else {CHRONOS: chronos_port}
    with locked(root) as lock:
        ports = choose_ports(root / "up.json", ip, wanted)
        logs = root / "logs"

        def role(kind: str, name: str, flags: list[str]) -> Role:
            own = [f"--ip={ip}", f"--hostname={host}", f"--port={ports[name]}"]
            return Role(
                kind, name, [*own, *flags], _address(host, ports[name]), root / name, logs / f"{name}.log"
            )

        services, told = [], []
        master_flags: list[str] = []
        kept_at: str | None = None  # where services keep their things, if that is in ZooKeeper
        session: list[str] = []
        found_at = _address(host, ports[master_names[0]])
        if own_zookeeper:
            port = choose_ports(root / "up.json", "127.0.0.1", {"zookeeper": 0})["zookeeper"]
            zookeeper = ZooKeeper(root / "zookeeper", port, logs / "zookeeper.log")
            services.append(zookeeper)
            found_at = zookeeper.url
            session = [f"--zk_session_timeout={SESSION_S}secs"]
            master_flags = [*_zk_flag(root / "zk", zookeeper.secret_url), *session]
            kept_at = zookeeper.secret_url
        elif zk is not None:
            found_at = _public(zk)
            told.append(("zookeeper", found_at))
            master_flags = [f"--zk={zk}"] if zk == found_at else _zk_flag(root / "zk", _text(zk))
            kept_at = _text(zk)
        roles = [
            role("master", name, [*(master_flags or [f"--work_dir={root / name}"])]) for name in master_names
        ]
        for number, name in enumerate(agent_names):
            flags = [
                f"--work_dir={root / name}",
                f"--master={found_at}",
                "--registration_backoff_factor=100ms",
                "--reconfiguration_policy=any",  # of other --agents each has another part
            ]
            if agents > 1:
                flags += part_of_machine(resources, root, number, agents)
            elif resources:
                flags.append(f"--resources={resources}")
            flags += [f"--attributes={attributes}"] if attributes else []
            roles.append(role("agent", name, flags))
        for name in (MARATHON, CHRONOS):
            if name in wanted:
                own = [
                    f"--http_address={ip}",
                    f"--hostname={host}",
                    f"--http_port={ports[name]}",
                    f"--master={found_at}",
                    *_keeping(name, root, kept_at),
                    *session,
                ]
                if name == MARATHON:  # nobody needs to be sent to a task that is about to end
                    own.append("--enable_features=task_killing")
                roles.append(
                    Service(name, own, _address(host, ports[name]), root / name, logs / f"{name}.log")
                )
        return Cluster(services, roles, told, lock=lock).run()


def _told(ip: str) -> str:
    """The address to be told to others, when `ip` means all that the machine has."""
    if ip != "0.0.0.0":
        return ip
    from koinon.edge.addresses import told_ip  # which brings the server along

    return told_ip(ip)


def _address(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _text(zk: str) -> str:
    """What is given, or what the file holds that is given."""
    if not zk.startswith("file://"):
        return zk
    path = Path(zk.removeprefix("file://"))
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"--zk: {path} cannot be read: {error}") from None


def _public(zk: str) -> str:
    """The URL without the password, which only masters need."""
    from koinon.coordination.zookeeper import UrlError, parse_url

    try:
        url = parse_url(_text(zk))
    except UrlError as error:
        raise Failure(f"--zk: {error}") from None
    return f"zk://{url.hosts}{url.path or '/'}"


def _keeping(service: str, root: Path, zk: str | None) -> list[str]:
    """Flags that say where a service keeps its things: beside the masters', whose URL is `zk`, or in a directory."""
    work_dir = f"--work_dir={root / service}"
    if zk is None:
        return [work_dir]
    from koinon.coordination.zookeeper import parse_url

    path = parse_url(zk).path
    beside = zk.rstrip("/") + (f"-{service}" if path else f"/{service}")
    if service == CHRONOS:  # which has its flags for that, and its history in a directory
        flags = _zk_flag(root / f"zk-{service}", beside, name="zk_hosts")
        return [*flags, f"--zk_path={parse_url(beside).path}", work_dir]
    return _zk_flag(root / f"zk-{service}", beside)


def _zk_flag(file: Path, url: str, *, name: str = "zk") -> list[str]:
    """A flag that keeps the password out of the list of processes."""
    write_secret(file, url)
    return [f"--{name}=file://{file}"]
