"""What a program finds when it starts, and what is said when it cannot."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import koinon
from koinon.agent.launching import LaunchFailed
from koinon.mesos.v1 import RLimitInfo

from .conftest import Bench, zombies

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes users")


async def test_exit_status_is_the_programs(bench: Bench) -> None:
    await bench.sh("three", "exit 3")
    await bench.sh("killed", "kill -9 $$")
    await bench.launch("true", "/bin/true")
    assert await bench.exit_code("three") == 3
    assert await bench.exit_code("killed") == -9
    assert await bench.exit_code("true") == 0


async def test_program_finds_its_environment_directory_and_files_and_nothing_else(bench: Bench) -> None:
    script = "import os; print(open('/proc/self/environ').read(), os.getcwd(), *sorted(os.listdir('/proc/self/fd'))[:-1])"
    await bench.py("a", script, env={"B": "ü", "A": "1=2 $X"})
    assert await bench.exit_code("a") == 0
    assert bench.stdout() == f"B=ü\0A=1=2 $X\0 {bench.sandbox} 0 1 2\n"


@pytest.fixture
def in_background() -> Iterator[None]:
    """As a shell starts what stands before a `&`."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("in_background")
async def test_program_has_empty_input_own_session_plain_umask_and_default_signals(bench: Bench) -> None:
    pid = await bench.sh(
        "a",
        "cat; umask; ps -o sid=,pgid= -p $$; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; exec readlink /proc/self/fd/0",
    )
    assert await bench.exit_code("a") == 0
    umask, session, *signals, stdin = bench.stdout().splitlines()
    assert (umask, session.split(), stdin) == ("0022", [str(pid), str(pid)], "/dev/null")
    of_the_c_library = 0b11 << 31  # signals 32 and 33, which nobody else can set
    assert [int(line.split()[1], 16) & ~of_the_c_library for line in signals[:2]] == [0, 0]


async def test_output_is_appended_and_stderr_apart(bench: Bench) -> None:
    for n in (1, 2):
        await bench.sh(f"c{n}", f"echo out{n}; echo err{n} >&2")
        await bench.exit(f"c{n}")
    assert bench.stdout() == "out1\nout2\n"
    assert (bench.sandbox / "stderr").read_text() == "err1\nerr2\n"
    assert (bench.sandbox / "stderr").stat().st_mode & 0o777 == 0o644


async def test_program_may_differ_from_its_first_argument_and_come_from_path(bench: Bench) -> None:
    await bench.launch("a", "other name", "-c", 'echo "$0"', program="sh")
    await bench.exit("a")
    assert bench.stdout() == "other name\n"


async def test_script_without_first_line_runs_in_the_shell(bench: Bench) -> None:
    script = bench.sandbox / "script"
    script.write_text('echo "script $1"\n')
    script.chmod(0o755)
    await bench.launch("a", str(script), "ran")
    assert await bench.exit_code("a") == 0
    assert bench.stdout() == "script ran\n"


async def test_program_missing_in_a_shell_is_an_exit_not_a_failed_launch(bench: Bench) -> None:
    await bench.sh("a", "/no/such/program")
    assert await bench.exit_code("a") == 127


@pytest.mark.parametrize(
    ("step", "sentence", "changes"),
    [
        ("program", "cannot execute /no/such: No such file or directory", {"argv": ["/no/such"]}),
        (
            "program",
            r"cannot execute nosuch: No such file or directory \(PATH is /bin:/usr/bin\)",
            {"argv": ["nosuch"]},
        ),
        ("program", "cannot execute {sandbox}/plain: Permission denied", {"argv": ["{sandbox}/plain"]}),
        (
            "program",
            "cannot execute {sandbox}/orphan: its interpreter is missing",
            {"argv": ["{sandbox}/orphan"]},
        ),
        ("program", "cannot execute {sandbox}: Permission denied", {"argv": ["{sandbox}"]}),
        ("program", "cannot execute a\0b: embedded null byte", {"argv": ["a\0b"]}),
        ("program", "cannot execute /bin/true: illegal environment variable name", {"env": {"A=B": "C"}}),
        (
            "directory",
            "cannot enter the working directory /no/dir: No such file or directory",
            {"cwd": "/no/dir"},
        ),
        (
            "directory",
            "cannot enter the working directory {sandbox}/plain: Not a directory",
            {"cwd": "{sandbox}/plain"},
        ),
        ("user", "no such user 'nosuchuser'", {"user": "nosuchuser"}),
        ("output", "cannot open /no/dir/stdout: No such file or directory", {"stdout": "/no/dir/stdout"}),
        (
            "output",
            "cannot open {sandbox}/link: Too many levels of symbolic links",
            {"stderr": "{sandbox}/link"},
        ),
        ("output", "cannot open {sandbox}/pipe: No such device or address", {"stdout": "{sandbox}/pipe"}),
        ("limits", "there is no resource limit RLMT_SLEEP", {"rlimits": {"RLMT_SLEEP": (1, 1)}}),
        ("limits", "cannot set RLMT_NOFILE to 9, 8: .*", {"rlimits": {"RLMT_NOFILE": (9, 8)}}),
    ],
)
async def test_what_cannot_start_says_why(
    bench: Bench, step: str, sentence: str, changes: dict[str, object]
) -> None:
    (bench.sandbox / "plain").write_text("")
    (bench.sandbox / "orphan").write_text("#!/no/interpreter\n")
    (bench.sandbox / "orphan").chmod(0o755)
    (bench.sandbox / "link").symlink_to("/etc/koinon-test-must-not-exist")
    os.mkfifo(bench.sandbox / "pipe")

    def place(value: object) -> object:
        if isinstance(value, list):
            return [place(each) for each in value]
        return value.replace("{sandbox}", str(bench.sandbox)) if isinstance(value, str) else value

    fields = {"argv": ["/bin/true"], "env": {"PATH": "/bin:/usr/bin"}} | {
        k: place(v) for k, v in changes.items()
    }
    with pytest.raises(
        LaunchFailed, match=f"^{sentence.replace('{sandbox}', str(bench.sandbox))}$"
    ) as failed:
        await bench.launch("a", **fields)  # type: ignore[arg-type]
    assert failed.value.step == step
    assert await bench.client.list() == []
    assert bench.exits == {}
    # The same container may be tried again, and nothing is left of the first attempt.
    await bench.launch("a", "/bin/true")
    assert await bench.exit_code("a") == 0
    assert zombies(bench.client.pid) == []


async def test_resource_limits_are_set_even_those_that_hit_the_launcher_itself(bench: Bench) -> None:
    limits = {
        "RLMT_NOFILE": (64, 128),
        "RLMT_CORE": (0, 0),
        "RLMT_FSIZE": (512, 512),
        "RLMT_CPU": (100, None),
    }
    await bench.sh("a", "ulimit -n; ulimit -Hn; ulimit -c; ulimit -t; ulimit -Ht", rlimits=limits)
    assert await bench.exit_code("a") == 0
    assert bench.stdout().split() == ["64", "128", "0", "100", "unlimited"]


@as_root
async def test_user_changes_with_groups_in_a_directory_only_the_sandbox_of_which_is_his(bench: Bench) -> None:
    nobody = pwd.getpwnam("nobody")
    bench.home.chmod(0o700)
    os.chown(bench.sandbox, nobody.pw_uid, nobody.pw_gid)
    await bench.sh("a", "id -u; id -ru; id -g; id -G; touch made", user="nobody")
    assert await bench.exit_code("a") == 0
    assert bench.stdout().split() == [str(nobody.pw_uid)] * 2 + [str(nobody.pw_gid)] * 2
    assert {(bench.sandbox / name).stat().st_uid for name in ("made", "stdout", "stderr")} == {nobody.pw_uid}


@as_root
async def test_user_who_may_not_write_there_is_a_failed_launch(bench: Bench) -> None:
    with pytest.raises(LaunchFailed, match=r"cannot open .*/stdout: Permission denied"):
        await bench.launch("a", "/bin/true", user="nobody")


AS_NOBODY = """
import asyncio, os, pathlib, pwd, signal, sys
from koinon.agent.launcher.start import serve
from koinon.agent.launching import LauncherClient, LauncherError, LaunchFailed, LaunchSpec

home = pathlib.Path(sys.argv[1])
exits = asyncio.Queue()
client = LauncherClient(home / "launcher", on_exit=exits.put_nowait, on_trouble=print)

async def launch(id, *argv, user=""):
    await client.launch(LaunchSpec(container_id=id, argv=list(argv), env={"PATH": "/bin:/usr/bin"}, cwd=str(home),
                                   stdout=str(home / "stdout"), stderr=str(home / "stderr"), user=user))

async def main():
    await client.start()
%s
    await client.stop()

# Interpreter and package may be closed to other users: load all, then change, and fork the launcher.
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
if os.fork() == 0:
    serve(sys.argv[1] + "/launcher")
    os._exit(0)
os.wait()
asyncio.run(main())
"""


@contextlib.contextmanager
def as_nobody(body: str) -> Iterator[tuple[list[str], Path]]:
    """What `body` printed, run with a launcher of user nobody, and the directory it was run in."""
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        folder = Path(home) / "launcher"
        folder.mkdir()
        for path in (home, folder):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        setpriv = shutil.copy("/usr/bin/setpriv", home)
        os.chmod(setpriv, 0o4755)  # whoever runs it becomes root, as with sudo
        program = AS_NOBODY % textwrap.indent(textwrap.dedent(body), "    ")
        ran = subprocess.run(
            [sys.executable, "-c", program, home], capture_output=True, text=True, timeout=60
        )
        assert ran.stderr == ""
        yield ran.stdout.splitlines(), Path(home)


@as_root
def test_launcher_without_root_runs_its_own_user_and_refuses_others() -> None:
    body = """
        for user in ("nobody", "", "root"):
            try:
                await launch("as " + user, "id", "-un", user=user)
                print((await exits.get()).status)
            except LaunchFailed as failed:
                print(failed.step, failed)
        """
    with as_nobody(body) as (said, home):
        refusal = "user cannot become user root: the agent does not run as root (its uid is 65534)"
        assert said == ["0", "0", refusal]
        assert (home / "stdout").read_text() == "nobody\nnobody\n"
        assert {path.stat().st_mode & 0o777 for path in (home / "launcher").iterdir()} == {0o600}


@as_root
def test_process_that_became_root_is_named_when_a_launcher_without_root_cannot_kill_it() -> None:
    body = """
        os.mkfifo(home / "fifo")
        root = "./setpriv --reuid 0 sh -c 'echo $$ >> pids; echo > fifo; exec sleep 600'"
        await launch("left behind", "sh", "-c", root + " & read line < fifo; exit 3")
        exit = await exits.get()
        print(os.waitstatus_to_exitcode(exit.status), exit.message)
        await launch("main", "sh", "-c", "exec " + root)
        (home / "fifo").read_text()
        try:
            await client.destroy("main")
        except LauncherError as error:
            print(error)
        print((await client.list())[1].exit)
        """
    with as_nobody(body) as (said, home):
        first, second = map(int, (home / "pids").read_text().split())
        for pid in (first, second):
            os.kill(pid, signal.SIGKILL)
        assert said == [
            f"3 process {first}, which runs as another user, could not be killed",
            f"not permitted to kill process {second}, which runs as another user",
            "None",
        ]


@pytest.mark.parametrize("name", [each for each in RLimitInfo.RLimit.Type.__members__ if each != "UNKNOWN"])
async def test_every_limit_of_the_api_can_be_set(bench: Bench, name: str) -> None:
    number = {"RLMT_LOCKS": 10}.get(name) or getattr(resource, name.replace("RLMT", "RLIMIT"))
    soft, hard = resource.getrlimit(number)
    values = tuple(None if value == resource.RLIM_INFINITY else value for value in (soft, hard))
    await bench.launch("a", "/bin/true", rlimits={name: values})
    assert await bench.exit_code("a") == 0


def test_launcher_loads_nothing_but_itself_and_little_of_the_library() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); import koinon.agent.launcher.start; print(*sys.modules)"
    )
    source = str(Path(koinon.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, source], capture_output=True, text=True, check=True
    )
    modules = set(ran.stdout.split())
    ours = {name for name in modules if name.startswith("koinon")}
    assert {name for name in ours if not name.startswith("koinon.agent.launcher")} == {
        "koinon",
        "koinon.agent",
    }
    assert modules.isdisjoint(
        {"asyncio", "msgspec", "logging", "threading", "typing_extensions", "subprocess"}
    )
