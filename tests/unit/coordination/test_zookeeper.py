"""What only a real ZooKeeper shows: sessions, quorums, who may change what, and who is fenced off."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable

import pytest
from kazoo.client import KazooClient
from kazoo.security import ACL, Id

from koinon.coordination import DetectionError, Fenced, StoreError
from koinon.coordination.zookeeper.detector import Detector
from koinon.coordination.zookeeper.election import Election
from koinon.coordination.zookeeper.session import Session, SessionState, clock_s
from koinon.coordination.zookeeper.store import open_store
from koinon.coordination.zookeeper.url import Url, parse_url
from tests.unit.coordination.kinds import WAIT_S, Candidate, InZooKeeper, following
from tests.zookeeper import SESSION_S, ZooKeeper


@pytest.fixture
async def kind(zookeeper: ZooKeeper) -> AsyncIterator[InZooKeeper]:
    found = InZooKeeper(zookeeper.url("koinon:secret"))
    yield found
    await found.close()


@pytest.fixture
async def other(zookeeper: ZooKeeper) -> AsyncIterator[KazooClient]:
    """Another client, with all it is allowed to do."""
    client = KazooClient(zookeeper.hosts)
    await asyncio.to_thread(client.start)
    yield client
    await asyncio.to_thread(client.stop)
    client.close()


def candidate(url: Url, number: int, *, session_s: float = 4.0) -> Candidate:
    return Candidate(Election(url, timeout_s=session_s), number)


async def joined(one: Candidate) -> None:
    """Returns when it has seen its own znode."""
    async with asyncio.timeout(WAIT_S):
        while one.election._own is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def expire(session: Session, hosts: str) -> None:
    """Makes ZooKeeper end the session: by another connection that says good-bye in its name. Blocks."""
    thief = KazooClient(hosts, client_id=session._client.client_id)
    thief.start()
    thief.stop()
    thief.close()


# ── contents ──────────────────────────────────────────────────────────────────────────────────────
async def test_candidates_are_where_tools_look_for_them(kind: InZooKeeper, other: KazooClient) -> None:
    first, path = candidate(kind.url, 1), kind.url.path
    await first.elected()
    second = candidate(kind.url, 2)
    await joined(second)
    assert sorted(other.get_children(path)) == ["json.info_0000000000", "json.info_0000000001"]
    value, stat = other.get(f"{path}/json.info_0000000000")
    assert json.loads(value)["address"] == {"hostname": "m1", "ip": "10.0.0.1", "port": 5050}
    assert stat.ephemeralOwner == first.election.session.session_id
    await second.election.close()
    await first.election.close()


async def test_sequences_are_numbers_not_texts(kind: InZooKeeper) -> None:
    """ZooKeeper pads them to ten digits, and may need more. What has no number, or is below another path, is no candidate."""
    session = await kind.session()
    await session.ensure(kind.url.path)
    for name in (
        "json.info_10000000000",
        "json.info_9999999999",
        "info_0000000001",
        "json.info_",
        "log_replicas",
    ):
        await session.create(f"{kind.url.path}/{name}", b'{"hostname":"%s","port":1}' % name.encode())
    detector = kind.detector()
    async for leader in detector.leaders():
        assert leader is not None
        assert (leader.host, leader.epoch) == ("json.info_9999999999", 10_000_000_000)
        break
    await detector.close()


async def test_a_leader_that_does_not_say_where_it_is_cannot_be_followed(kind: InZooKeeper) -> None:
    session = await kind.session()
    await session.ensure(kind.url.path)
    await session.create(f"{kind.url.path}/json.info_0000000001", b"master@10.0.0.1")
    detector = kind.detector()
    assert await following(detector, None) == [None]
    await detector.close()


async def test_clusters_under_two_paths_do_not_see_each_other(zookeeper: ZooKeeper) -> None:
    base = zookeeper.url()
    above, below = parse_url(base), parse_url(f"{base}/eu/prod")
    first, second = candidate(below, 1), candidate(above, 2)
    await first.elected()
    await second.elected()
    stores = [
        await open_store(one.election.session, url.store_path, epoch=1)
        for one, url in ((first, below), (second, above))
    ]
    await stores[0].commit([("key", b"below")])
    await stores[1].commit([("key", b"above")])
    again = await open_store(first.election.session, below.store_path, epoch=1)
    assert again.load() == {"key": b"below"}
    for one in (first, second):
        await one.election.close()


async def test_a_candidate_that_did_not_hear_of_its_znode_finds_it_again(kind: InZooKeeper) -> None:
    """The connection may break between the making of a znode and the word that it is made."""
    one = candidate(kind.url, 1)
    await one.elected()
    one.election._join_soon()
    one.election._join_soon()
    await asyncio.wait_for(one.election._joining, WAIT_S)
    session = await kind.session()
    assert await session.children(kind.url.path) == ["json.info_0000000000"]
    assert one.election.held()
    await one.election.close()


async def test_a_cluster_may_have_the_root_for_itself(new_ensemble: Callable[[int], ZooKeeper]) -> None:
    ensemble = await asyncio.to_thread(new_ensemble, 1)
    url = parse_url(f"zk://{ensemble.hosts}/")
    one, detector = candidate(url, 1), Detector(url)
    epoch = await one.elected()
    await following(detector, one.as_leader(epoch))
    store = await open_store(one.election.session, url.store_path, epoch=epoch)
    await store.commit([("key", b"value")])
    assert sorted(await one.election.session.children("/")) == [
        "json.info_0000000000",
        "log_replicas",
        "zookeeper",
    ]
    await detector.close()
    await one.election.close()


# ── who may ───────────────────────────────────────────────────────────────────────────────────────
async def test_with_credentials_all_is_readable_and_ours_to_change(
    kind: InZooKeeper, other: KazooClient
) -> None:
    one = candidate(kind.url, 1)
    await one.elected()
    store = await open_store(one.election.session, kind.url.store_path, epoch=1)
    await store.commit([("key", b"value")])

    def walk(path: str) -> list[str]:
        return [path, *(name for child in other.get_children(path) for name in walk(f"{path}/{child}"))]

    found = await asyncio.to_thread(walk, kind.url.path)
    assert len(found) == 1 + 1 + 1 + 1 + 256 + 1  # path, candidate, above the store, fence, buckets, value
    for path in found:
        acl, _ = other.get_acls(path)
        assert {(entry.perms, entry.id.scheme, entry.id.id.partition(":")[0]) for entry in acl} == {
            (31, "digest", "koinon"),
            (1, "world", "anyone"),
        }
    await one.election.close()


async def test_a_wrong_password_is_told_and_not_shown(kind: InZooKeeper, zookeeper: ZooKeeper) -> None:
    right = candidate(kind.url, 1)
    await right.elected()
    wrong = candidate(parse_url(f"zk://koinon:guessed@{zookeeper.hosts}{kind.url.path}"), 2)
    reason = await wrong.lost()
    assert "check user and password" in reason
    assert "guessed" not in reason
    session = Session(wrong.election.session.url, 4.0, on_state=lambda state: None)
    session.start()
    await (await open_store(right.election.session, kind.url.store_path, epoch=1)).close()
    with pytest.raises(StoreError, match="check user and password"):
        await open_store(session, kind.url.store_path, epoch=2)
    await session.close()
    for one in (wrong, right):
        await one.election.close()


async def test_a_path_that_may_not_be_read_ends_detection(zookeeper: ZooKeeper, other: KazooClient) -> None:
    url = parse_url(zookeeper.url())
    other.create(url.path, acl=[ACL(31, Id("digest", "somebody:else"))])
    detector = Detector(url)
    with pytest.raises(DetectionError, match="may not be read by us"):
        await following(detector, None)
    await detector.close()


# ── sessions ──────────────────────────────────────────────────────────────────────────────────────
async def test_servers_decide_how_long_a_session_is(zookeeper: ZooKeeper) -> None:
    made = asyncio.Event()
    session = Session(parse_url(zookeeper.url()), 0.1, on_state=lambda state: made.set())
    session.start()
    await asyncio.wait_for(made.wait(), WAIT_S)
    assert session.granted_timeout_s == SESSION_S
    await session.close()


async def test_a_leader_whose_session_expires_is_deposed_and_the_next_one_leads(
    kind: InZooKeeper, zookeeper: ZooKeeper
) -> None:
    first = candidate(kind.url, 1)
    epoch = await first.elected()
    second = candidate(kind.url, 2)
    await joined(second)
    await asyncio.to_thread(expire, first.election.session, zookeeper.hosts)
    assert await first.lost()
    assert not first.election.held()
    assert await second.elected() > epoch
    for one in (first, second):
        await one.election.close()


async def test_a_standby_whose_session_expires_stands_again(kind: InZooKeeper, zookeeper: ZooKeeper) -> None:
    first, second = candidate(kind.url, 1), None
    await first.elected()
    second = candidate(kind.url, 2)
    await joined(second)
    await asyncio.to_thread(expire, second.election.session, zookeeper.hosts)
    third = candidate(kind.url, 3)
    await joined(third)
    await first.election.close()
    elected = [asyncio.create_task(one.elected()) for one in (second, third)]
    await asyncio.wait(elected, return_when=asyncio.FIRST_COMPLETED)
    leader, waits = (second, third) if second.epoch is not None else (third, second)
    await leader.election.close()
    await waits.elected()
    assert second.deposed is None
    for task in elected:
        task.cancel()
    await waits.election.close()


async def test_a_leader_whose_znode_somebody_deletes_is_deposed(kind: InZooKeeper) -> None:
    one = candidate(kind.url, 1)
    await one.elected()
    begun_s = clock_s()
    janitor = await kind.session()
    await janitor.commit(_deletion(janitor, f"{kind.url.path}/json.info_0000000000"))
    assert await one.lost() == "somebody has removed us from the election"
    assert clock_s() - begun_s < 2.0  # it does not wait for its lease to end
    await one.election.close()


def _deletion(session: Session, path: str) -> object:
    deletion = session.transaction()
    deletion.delete(path)
    return deletion


async def test_a_connection_that_breaks_deposes_nobody(kind: InZooKeeper) -> None:
    one = candidate(kind.url, 1)
    await one.elected()
    for n in range(40):
        one.election._look_soon()  # what is being read just then was not removed by anybody
        await asyncio.sleep(n * 0.0001)
        one.election.session.change_server()
        await asyncio.sleep(0.1)
    before_s = one.election._candidate.lease_end_s
    async with asyncio.timeout(WAIT_S):
        while one.election._candidate.lease_end_s == before_s:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert one.election.held()
    assert one.deposed is None
    await one.election.close()


# ── servers that fail ─────────────────────────────────────────────────────────────────────────────
async def test_a_leader_without_zookeeper_steps_down_before_its_session_can_have_ended(
    new_ensemble: Callable[[int], ZooKeeper],
) -> None:
    ensemble = await asyncio.to_thread(new_ensemble, 1)
    one = candidate(parse_url(ensemble.url()), 1)
    await one.elected()
    frozen_s = clock_s()
    ensemble.servers[0].freeze()
    reason = await one.lost()
    assert clock_s() - frozen_s < 4.0
    assert reason.startswith("not heard by ZooKeeper for 3.6")
    assert not one.election.held()
    ensemble.servers[0].thaw()
    await one.election.close()


async def test_an_ensemble_that_loses_one_server_keeps_its_leader(
    new_ensemble: Callable[[int], ZooKeeper],
) -> None:
    ensemble = await asyncio.to_thread(new_ensemble, 3)
    url = parse_url(ensemble.url())
    one = candidate(url, 1, session_s=8.0)
    epoch = await one.elected()
    store = await open_store(one.election.session, url.store_path, epoch=epoch)
    for server in list(ensemble.servers):
        writes = [store.commit([(f"{server.number}/{n}", b"x" * 500)]) for n in range(50)]
        await asyncio.to_thread(server.kill)
        writes += [store.commit([("last", b"%d" % server.number)])]
        await asyncio.wait_for(asyncio.gather(*writes), WAIT_S)
        await asyncio.to_thread(ensemble.start)
    assert one.election.held()
    assert one.deposed is None
    assert len((await open_store(one.election.session, url.store_path, epoch=epoch)).load()) == 151
    await one.election.close()


@pytest.mark.parametrize("mode", ["follower", "leader"])
async def test_a_server_that_hangs_costs_the_leader_nothing(
    new_ensemble: Callable[[int], ZooKeeper], mode: str
) -> None:
    """It may be the one that we are connected with, or the one that leads the others."""
    ensemble = await asyncio.to_thread(new_ensemble, 3)
    one = candidate(parse_url(ensemble.url()), 1, session_s=10.0)
    await one.elected()
    next(server for server in ensemble.servers if server.mode() == mode).freeze()
    frozen_s = clock_s()
    async with asyncio.timeout(WAIT_S):
        while one.election._candidate.lease_end_s < frozen_s + 7.5:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert one.election.held()
    assert one.deposed is None
    await one.election.close()


async def test_without_a_quorum_nobody_leads_and_with_it_somebody_does(
    new_ensemble: Callable[[int], ZooKeeper],
) -> None:
    ensemble = await asyncio.to_thread(new_ensemble, 3)
    url = parse_url(ensemble.url())
    first, second = (candidate(url, number, session_s=2.0) for number in (1, 2))
    await asyncio.wait(
        [asyncio.create_task(one.elected()) for one in (first, second)], return_when=asyncio.FIRST_COMPLETED
    )
    leader, standby = (first, second) if first.epoch is not None else (second, first)
    for server in ensemble.servers[:2]:
        await asyncio.to_thread(server.kill)
    assert await leader.lost()
    ending = asyncio.create_task(leader.election.close())  # as its process would
    assert standby.epoch is None
    await asyncio.to_thread(ensemble.start)
    assert await standby.elected() > (leader.epoch or 0)
    await ending
    await standby.election.close()


async def test_when_all_data_of_zookeeper_is_lost_candidates_stand_again(
    new_ensemble: Callable[[int], ZooKeeper],
) -> None:
    """Servers refuse who has seen more than they know."""
    ensemble = await asyncio.to_thread(new_ensemble, 1)
    url = parse_url(ensemble.url())
    first = candidate(url, 1, session_s=SESSION_S)
    await first.elected()
    second = candidate(url, 2, session_s=SESSION_S)
    await joined(second)
    for number in range(20):
        await second.election.session.create(f"{url.path}/{number}")
    (server,) = ensemble.servers
    server.kill()
    shutil.rmtree(server.folder / "data" / "version-2")
    await first.lost()
    await asyncio.to_thread(ensemble.start)
    await second.elected()
    await second.election.close()
    await first.election.close()


# ── the store ─────────────────────────────────────────────────────────────────────────────────────
async def test_the_leader_before_can_write_nothing_once_the_next_one_has_begun(kind: InZooKeeper) -> None:
    path = kind.url.store_path
    old = await open_store(await kind.session(), path, epoch=7)
    await old.commit([("a", b"old")])
    new = await open_store(await kind.session(), path, epoch=9)
    assert new.load() == {"a": b"old"}
    with pytest.raises(Fenced, match="epoch 9"):
        await old.commit([("a", b"late"), ("b", b"late")])
    with pytest.raises(Fenced):
        await old.commit([("c", b"later")])
    await new.commit([("a", b"new")])
    again = await open_store(await kind.session(), path, epoch=9)
    assert again.load() == {"a": b"new"}


async def test_who_led_before_cannot_even_open_the_store(kind: InZooKeeper) -> None:
    path = kind.url.store_path
    await open_store(await kind.session(), path, epoch=9)
    with pytest.raises(Fenced, match="belongs to epoch 9, ours is 7"):
        await open_store(await kind.session(), path, epoch=7)


async def test_commits_under_way_when_connections_break_are_done_once_and_in_order(kind: InZooKeeper) -> None:
    session = await kind.session()
    store = await open_store(session, kind.url.store_path, epoch=1)
    expected: dict[str, bytes] = {}
    waiting = []
    for n in range(400):
        changes = [(f"k{n % 7}", b"%d" % n), (f"k{(n + 3) % 11}", None)]
        for key, value in changes:
            expected.pop(key, None)
            if value is not None:
                expected[key] = value
        waiting.append(store.commit(changes))
        if n % 3 == 0:
            await asyncio.sleep(0)
        if n % 20 == 10:
            session.change_server()
            await asyncio.sleep(0.01)
    await asyncio.wait_for(asyncio.gather(*waiting), WAIT_S)
    assert store.load() == dict(sorted(expected.items()))
    again = await open_store(await kind.session(), kind.url.store_path, epoch=1)
    assert again.load() == dict(sorted(expected.items()))


async def test_a_change_too_large_for_zookeeper_fails_alone(kind: InZooKeeper) -> None:
    store = await open_store(await kind.session(), kind.url.store_path, epoch=1)
    before, large, after = (
        store.commit([("before", b"1")]),
        store.commit([("large", bytes(1_000_000)), ("with it", b"")]),
        store.commit([("after", b"2")]),
    )
    with pytest.raises(StoreError, match="too large"):
        await large
    await asyncio.gather(before, after)
    assert store.load() == {"before": b"1", "after": b"2"}
    await store.commit([(f"{n}", bytes(90_000)) for n in range(10)])


async def test_what_is_none_of_ours_is_not_written_to(kind: InZooKeeper) -> None:
    session, path = await kind.session(), kind.url.store_path
    await session.ensure(path.rpartition("/")[0])
    await session.create(path, b"somebody's")
    with pytest.raises(StoreError, match="none of ours"):
        await open_store(session, path, epoch=1)
    await session.set(path, b'{"layout":2,"epoch":1}', -1)
    with pytest.raises(StoreError, match="its layout is 2"):
        await open_store(session, path, epoch=1)


async def test_many_values_are_read_also_from_servers_that_read_one_at_a_time(kind: InZooKeeper) -> None:
    path = kind.url.store_path
    store = await open_store(await kind.session(), path, epoch=1)
    entries = {f"agents/{n}": b"%d" % n for n in range(1000)}
    await store.commit(list(entries.items()))
    old = await kind.session()
    # A number that no server knows is what this request is to servers before 3.6.
    monkey = pytest.MonkeyPatch()
    monkey.setattr("koinon.coordination.zookeeper.reads.ReadMany.type", 122)
    try:
        assert (await open_store(old, path, epoch=1)).load() == dict(sorted(entries.items()))
    finally:
        monkey.undo()
    assert not old._reads_many
    assert (await open_store(await kind.session(), path, epoch=1)).load() == dict(sorted(entries.items()))


async def test_the_end_does_not_wait_for_a_zookeeper_that_is_gone(
    new_ensemble: Callable[[int], ZooKeeper],
) -> None:
    ensemble = await asyncio.to_thread(new_ensemble, 1)
    url, states = parse_url(ensemble.url()), []
    session = Session(url, 4.0, on_state=states.append)
    session.start()
    store = await open_store(session, url.store_path, epoch=1)
    await asyncio.to_thread(ensemble.stop)
    async with asyncio.timeout(WAIT_S):
        while states[-1] is not SessionState.SUSPENDED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    late = store.commit([("a", b"")])
    begun_s = clock_s()
    await store.close()
    await session.close()
    assert clock_s() - begun_s < 6.0
    with pytest.raises(StoreError, match="closed before"):
        await late
