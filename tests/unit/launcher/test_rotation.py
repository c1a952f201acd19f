"""Logs with a bound: nothing is lost but what is too old, and no task breaks the bound."""

from __future__ import annotations

import contextlib
import os
import resource
import stat
from pathlib import Path

import pytest

from tests.unit.launcher.conftest import Bench, until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def pieces(bench: Bench, name: str = "stdout") -> list[Path]:
    """A log's files, the oldest first."""
    old = sorted(bench.sandbox.glob(f"{name}.*"), key=lambda path: int(path.suffix[1:]))
    return [*old, bench.sandbox / name]


def text(bench: Bench, name: str = "stdout") -> str:
    return "".join(path.read_text() for path in pieces(bench, name))


async def test_everything_is_there_when_the_end_is_told(bench):
    await bench.sh("c", "echo out; echo err >&2; exit 3", rotate=(4096, 4096, 1))
    assert await bench.exit_code("c") == 3
    assert (text(bench), text(bench, "stderr")) == ("out\n", "err\n")


async def test_the_last_words_of_many_are_there_when_the_end_is_told(bench):
    for number in range(50):
        await bench.sh(f"c{number}", f"seq 10000; echo {number}", rotate=(1 << 24, 1 << 24, 9))
    for number in range(50):
        await bench.exit(f"c{number}")
    assert text(bench).count("\n") == 50 * 10001


async def test_lines_are_whole_and_in_order_over_all_files(bench):
    await bench.sh("c", "seq 200000", rotate=(100_000, 4096, 99))
    await bench.exit("c")
    found = pieces(bench)
    assert len(found) == 13
    assert [path.name for path in found[:3]] == ["stdout.1", "stdout.2", "stdout.3"]
    assert text(bench) == "".join(f"{number}\n" for number in range(1, 200001))
    for path in found:
        assert path.stat().st_size <= 100_000
        assert path.read_text().endswith("\n")


async def test_only_the_newest_are_kept(bench):
    await bench.sh("c", "seq 200000", rotate=(100_000, 4096, 2))
    await bench.exit("c")
    assert [path.name for path in pieces(bench)] == ["stdout.11", "stdout.12", "stdout"]
    assert text(bench).endswith("199999\n200000\n")


async def test_a_line_longer_than_a_file_is_divided(bench):
    await bench.py("c", "print('x' * 10000)", rotate=(4096, 4096, 9))
    await bench.exit("c")
    assert [path.stat().st_size for path in pieces(bench)] == [4096, 4096, 1809]


async def test_a_task_that_writes_at_full_speed_keeps_the_bound_and_others_go_on(bench):
    await bench.sh("loud", "yes & yes >&2", rotate=(1 << 20, 1 << 20, 1))
    for number in range(20):
        await bench.sh(f"c{number}", "true", rotate=(1 << 20, 1 << 20, 1))
        assert await bench.exit_code(f"c{number}") == 0
        for path in bench.sandbox.iterdir():
            with contextlib.suppress(FileNotFoundError):
                assert path.stat().st_size <= 1 << 20
    await until(lambda: len(pieces(bench)) > 1 and int(pieces(bench)[0].suffix[1:]) > 20, "many turns")
    assert len(list(bench.sandbox.iterdir())) <= 6
    await bench.client.destroy("loud")
    await bench.exit("loud")


async def test_one_stream_may_be_without_bound(bench):
    await bench.sh("c", "seq 10000; seq 10000 >&2", rotate=(0, 4096, 1))
    await bench.exit("c")
    assert (bench.sandbox / "stdout").read_text().startswith("1\n2\n")
    assert not (bench.sandbox / "stdout.1").exists()
    assert (bench.sandbox / "stderr").stat().st_size <= 4096


async def test_a_stream_that_is_closed_early_is_no_trouble(bench):
    await bench.sh("c", "echo before; exec >&- 2>&-; sleep 0.2; exit 4", rotate=(4096, 4096, 1))
    assert await bench.exit_code("c") == 4
    assert text(bench) == "before\n"


async def test_what_is_there_already_counts(bench):
    (bench.sandbox / "stdout").write_text("f" * 4000 + "\n")
    await bench.sh("c", f"echo {'x' * 200}", rotate=(4096, 4096, 1))
    await bench.exit("c")
    assert [path.stat().st_size for path in pieces(bench)] == [4001, 201]


@pytest.mark.parametrize("trick", ["ln -s {target}", "mkfifo", "mkdir", "rm -f; true"])
async def test_a_task_that_puts_something_else_in_the_place_of_its_log(bench, tmp_path, trick):
    target = tmp_path / "precious"
    target.write_text("")
    await bench.sh(
        "c",
        f"rm stdout; {trick.format(target=target)} stdout; seq 20000; echo done >&2",
        rotate=(4096, 4096, 1),
    )
    assert await bench.exit_code("c") == 0
    assert target.read_text() == ""
    assert (bench.sandbox / "stderr").read_text() == "done\n"


@pytest.fixture
def full_log(tmp_path):
    """The launcher's own log lies on a full disk."""
    (tmp_path / "launcher").mkdir()
    (tmp_path / "launcher" / "log").symlink_to("/dev/full")


async def test_a_launcher_that_cannot_complain_goes_on(full_log, bench):
    await bench.sh("c", "rm stdout; mkdir stdout; seq 20000", rotate=(4096, 4096, 1))
    assert await bench.exit_code("c") == 0
    await bench.sh("d", "exit 3", stdout=str(bench.sandbox / "other"))
    assert await bench.exit_code("d") == 3
    assert bench.troubles == []


@needs_root
async def test_the_files_belong_to_the_user_who_may_open_its_stdout_again(bench):
    bench.home.chmod(0o755)
    os.chown(bench.sandbox, 65534, 65534)
    await bench.sh("c", "seq 3000; echo again > /dev/stdout", user="nobody", rotate=(4096, 4096, 9))
    assert await bench.exit_code("c") == 0
    assert text(bench).endswith("3000\nagain\n")
    assert {path.stat().st_uid for path in pieces(bench)} == {65534}
    assert stat.S_IMODE((bench.sandbox / "stdout.1").stat().st_mode) == 0o644


async def test_a_program_has_the_usual_limit_of_open_files(bench):
    await bench.sh("c", "ulimit -n", rotate=(4096, 4096, 1))
    await bench.exit("c")
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert text(bench) == f"{'unlimited' if soft == resource.RLIM_INFINITY else soft}\n"


async def test_a_container_that_does_not_start_leaves_no_descriptors_open(bench):
    from koinon.agent.launching import LaunchFailed

    def count() -> int:
        return len(os.listdir(f"/proc/{bench.client.pid}/fd"))

    before = count()
    for number in range(10):
        with pytest.raises(LaunchFailed):
            await bench.launch(f"c{number}", "/none", rotate=(4096, 4096, 1))
    for number in range(10):
        await bench.sh(f"d{number}", "true", rotate=(4096, 4096, 1))
        await bench.exit(f"d{number}")
    assert count() == before


async def test_logs_go_on_when_the_agent_is_away(bench):
    await bench.sh("c", "sleep 0.3; seq 20000; sleep 1000", rotate=(50_000, 4096, 9))
    await bench.client.close()
    await until(lambda: text(bench).endswith("\n20000\n"), "all is written")
    bench.client = bench.new_client()
    await bench.client.start()
    assert len(pieces(bench)) == 3
