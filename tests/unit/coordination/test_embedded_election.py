"""The election on one machine, beyond the contract: what is in its directory, and what it does with what it finds there."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import textwrap
from pathlib import Path

from koinon.coordination.embedded import Lock
from koinon.coordination.embedded_election import Detector, Election
from tests.unit.coordination.kinds import WAIT_S, Candidate, following

LEADER = textwrap.dedent(
    """
    import asyncio, pathlib, sys
    from koinon.coordination.embedded_election import Election

    async def main():
        election = Election(pathlib.Path(sys.argv[1]), owner="a master")
        election.stand(
            b'{"address":{"ip":"10.0.0.9","port":5050}}',
            on_elected=lambda epoch: print(epoch, flush=True),
            on_deposed=print,
            on_leader=lambda leader: print("follows", flush=True),
        )
        await asyncio.sleep(60)

    asyncio.run(main())
    """
)


async def test_it_is_decided_before_stand_returns(tmp_path: Path) -> None:
    first = Candidate(Election(tmp_path, owner="a master"), 1)
    assert first.epoch == 1
    second = Candidate(Election(tmp_path, owner="a master"), 2)
    assert (second.epoch, second.follows) == (None, first.as_leader(1))
    await first.election.close()
    await second.election.close()


async def test_two_elections_share_a_directory_under_two_names(tmp_path: Path) -> None:
    leaders = [Candidate(Election(tmp_path, owner="a test", name=name), 1) for name in ("a", "b")]
    assert [leader.epoch for leader in leaders] == [1, 1]
    for leader in leaders:
        await leader.election.close()


async def test_the_lock_ends_with_the_pid_of_who_leads(tmp_path: Path) -> None:
    leader = Candidate(Election(tmp_path, owner="a master"), 1)
    assert re.fullmatch(
        rf"a master \([0-9a-f]+\), pid {os.getpid()}\n", (tmp_path / "leader.lock").read_text()
    )
    await leader.election.close()


async def test_who_was_killed_is_followed_by_the_next_in_a_greater_epoch(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", LEADER, str(tmp_path)]
    killed = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"1\n"
    heir = Candidate(Election(tmp_path, owner="a master"), 2)
    assert heir.epoch is None
    assert heir.follows is not None
    assert heir.follows.host == "10.0.0.9"
    killed.kill()
    await killed.communicate()
    assert await heir.elected() == 2
    assert heir.follows is None
    assert heir.election.held()
    await heir.election.close()


async def test_who_holds_the_lock_and_says_nothing_leads(tmp_path: Path) -> None:
    """As a master of an older version does."""
    detector = Detector(tmp_path)
    with Lock(tmp_path / "leader.lock", owner="a master"):
        candidate = Candidate(Election(tmp_path, owner="a master"), 1)
        assert (candidate.epoch, candidate.follows) == (None, None)
        assert await following(detector, None) == [None]
    await candidate.elected()
    await candidate.election.close()


async def test_what_is_left_of_a_leader_is_not_followed(tmp_path: Path) -> None:
    leader = Candidate(Election(tmp_path, owner="a master"), 1)
    await leader.election.close()
    detector = Detector(tmp_path)
    assert await following(detector, None) == [None]
    with Lock(tmp_path / "leader.lock", owner="a master"):
        candidate = Candidate(Election(tmp_path, owner="a master"), 2)
        assert (candidate.epoch, candidate.follows) == (None, None)
        await candidate.election.close()


async def test_epochs_begin_anew_when_their_file_is_lost(tmp_path: Path) -> None:
    for _ in range(2):
        leader = Candidate(Election(tmp_path, owner="a master"), 1)
        await leader.election.close()
    assert leader.epoch == 2
    (tmp_path / "leader.json").unlink()
    leader = Candidate(Election(tmp_path, owner="a master"), 1)
    assert leader.epoch == 1
    await leader.election.close()


async def test_a_damaged_record_is_named_and_the_lock_given_back(tmp_path: Path) -> None:
    (tmp_path / "leader.json").write_bytes(b"{")
    candidate = Candidate(Election(tmp_path, owner="a master"), 1)
    assert (await candidate.lost()).startswith(f"{tmp_path / 'leader.json'} is damaged")
    assert not candidate.election.held()
    with Lock(tmp_path / "leader.lock", owner="another"):
        pass


async def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    candidate = Candidate(Election(tmp_path / "file" / "below", owner="a master"), 1)
    assert (
        await candidate.lost()
        == f"the directory {tmp_path / 'file' / 'below'} cannot be used: Not a directory"
    )


async def test_of_many_that_stand_and_leave_never_two_lead(tmp_path: Path) -> None:
    """Each looks at all others from within its election, and leaves."""
    standing: list[Election] = []
    led: list[int] = []

    async def one() -> None:
        election = Election(tmp_path, owner="a master")
        elected = asyncio.get_running_loop().create_future()
        standing.append(election)
        election.stand(
            b"{}",
            on_elected=elected.set_result,
            on_deposed=lambda reason: elected.set_exception(AssertionError(reason)),
            on_leader=lambda leader: None,
        )
        epoch = await elected
        assert [other for other in standing if other.held()] == [election]
        led.append(epoch)
        await election.close()

    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*(one() for _ in range(8)))
    assert led == list(range(1, 9))
