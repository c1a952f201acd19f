"""Slurm on the same work, where `slurmctld`, `slurmd` and `munged` are installed: jobs that run `true`.

A cluster of one node in a temporary directory, set for throughput; jobs are submitted by `sbatch`, several at a
time, and by `srun` one after the other. Ours beside it: `python -m bench.one_agent`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench import figures
from bench.figures import Figure
from bench.processes import IP, Account, free_port, until

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "sinfo", "squeue")
_SUBMITTERS = 8


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Nothing where Slurm is missing."""
    if missing := [program for program in NEEDED if _path(program) is None]:
        print(f"left out: Slurm is not installed, {', '.join(missing)} cannot be found")
        return
    if os.geteuid() != 0:
        print("left out: Slurm's daemons are to be started by root")
        return
    jobs, single = (3, 1) if given.quick else (given.jobs, 10)
    with tempfile.TemporaryDirectory() as directory, started_slurm(Path(directory)) as (conf, daemons):
        environment = {**os.environ, "SLURM_CONF": str(conf)}
        done = Path(directory) / "done"
        done.mkdir()
        cpu_s, begun_s = sum(map(_cpu_s, daemons)), time.perf_counter()
        with ThreadPoolExecutor(_SUBMITTERS) as submitters:
            list(submitters.map(lambda _: _sbatch(environment), range(jobs)))
        submitted_s = time.perf_counter() - begun_s
        until(lambda: not _queue(environment), "all jobs have ended", 120)
        wall_s = time.perf_counter() - begun_s
        cpu_s = sum(map(_cpu_s, daemons)) - cpu_s
        yield Figure("Slurm: `sbatch` of `true`, end to end", jobs / wall_s, "jobs/s")
        yield Figure("Slurm: `sbatch` alone", jobs / submitted_s, "jobs/s")
        yield Figure("Slurm: CPU of its daemons per job", cpu_s / jobs * 1000, "ms")
        took_ms = []
        for _ in range(single):
            begun_s = time.perf_counter()
            subprocess.run(["srun", "-n1", "true"], env=environment, check=True, timeout=60)
            took_ms.append((time.perf_counter() - begun_s) * 1000)
        yield Figure("Slurm: whole process `srun true` (p50)", median(took_ms), "ms")


def _sbatch(environment: dict[str, str]) -> None:
    argv = ["sbatch", "-Q", "-n1", "-o", "/dev/null", "-D", "/tmp", "--wrap", "true"]
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)


def _queue(environment: dict[str, str]) -> str:
    states = "PENDING,RUNNING,COMPLETING"
    asked = subprocess.run(
        ["squeue", "-h", "-t", states],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return asked.stdout


def _cpu_s(daemon: Account) -> float:
    return daemon.cpu_s + daemon.children_cpu_s


# ── a cluster ─────────────────────────────────────────────────────────────────────────────────────────
@contextlib.contextmanager
def started_slurm(directory: Path) -> Iterator[tuple[Path, list[Account]]]:
    """The path of its configuration, and its daemons. All end with this."""
    directory.chmod(0o755)
    munge, name = directory / "munge", os.uname().nodename.split(".")[0]
    munge.mkdir(mode=0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    owner = pwd.getpwnam("munge")
    for path in (munge, key):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    conf = directory / "slurm.conf"
    conf.write_text(_configuration(directory, munge / "socket", name))
    for part in ("state", "spool"):
        (directory / part).mkdir()
    files = {option: munge / option for option in ("socket", "log-file", "pid-file", "seed-file")}
    options = [f"--{option}={path}" for option, path in files.items()]
    with contextlib.ExitStack() as stack:
        munged = [_program("munged"), "-F", f"--key-file={key}", "--num-threads=4", *options]
        stack.enter_context(_daemon(munged, directory, user="munge", group="munge"))
        until((munge / "socket").exists, "munged answers")
        control = stack.enter_context(_daemon([_program("slurmctld"), "-D", "-f", str(conf)], directory))
        node = stack.enter_context(
            _daemon([_program("slurmd"), "-D", "-f", str(conf), "-N", name], directory)
        )
        environment = {**os.environ, "SLURM_CONF": str(conf)}
        until(lambda: "idle" in _nodes(environment), "the node is idle")
        yield conf, [control, node]


def _nodes(environment: dict[str, str]) -> str:
    asked = subprocess.run(
        ["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return asked.stdout


@contextlib.contextmanager
def _daemon(argv: list[str], directory: Path, **options: str) -> Iterator[Account]:
    with (directory / f"{Path(argv[0]).name}.out").open("w") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, **options)  # type: ignore[call-overload]
    try:
        yield Account(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _path(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _program(name: str) -> str:
    path = _path(name)
    assert path is not None
    return path


def _configuration(directory: Path, munge_socket: Path, name: str) -> str:
    return f"""\
ClusterName=bench
SlurmctldHost={name}({IP})
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={munge_socket}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,default_queue_depth=1000,\
bf_interval=1,max_rpc_cnt=0,sched_max_job_start=0
MinJobAge=2
ReturnToService=2
NodeName={name} NodeAddr={IP} CPUs=64 State=UNKNOWN
PartitionName=all Nodes={name} Default=YES MaxTime=INFINITE State=UP
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, default=500)


if __name__ == "__main__":
    figures.run("slurm", __doc__, measure, _arguments)
