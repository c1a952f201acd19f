"""Frameworks that do not play by the rules: the master bears it, and others hardly notice."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, NewCluster, Role, eventually
from tests.cluster.raw import PARTITION_AWARE, SCHEDULER, Framework, Stream, frames, request, scalars, task

#: What one framework may leave unread.
BACKLOG_BYTES_MAX = 16 * 1024 * 1024


def memory_mb(role: Role, which: str = "VmRSS") -> float:
    lines = Path(f"/proc/{role.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:")) / 1024


def forget_peak(role: Role) -> None:
    Path(f"/proc/{role.pid}/clear_refs").write_text("5")


def descriptors(role: Role) -> int:
    return len(list(Path(f"/proc/{role.pid}/fd").iterdir()))


def health_ms(cluster: Cluster) -> float:
    begun_s = time.perf_counter()
    assert request(cluster.master_address, "GET", "/health").status == 200
    return (time.perf_counter() - begun_s) * 1000


def run_one(framework: Framework, task_id: str) -> float:
    """Seconds from the launch of a task to its end, as its framework sees it."""
    offer = framework.take_offer()
    begun_s = time.perf_counter()
    framework.accept([offer], [task(task_id, "true", resources=scalars(cpus=0.1, mem=1))])
    assert framework.wait_end(task_id)["state"] == "TASK_FINISHED"
    return time.perf_counter() - begun_s


@contextmanager
def guest(cluster: Cluster, **info: Any) -> Iterator[Framework]:
    """A framework that is gone without trace at the end."""
    with Framework(cluster.master_address, **{**PARTITION_AWARE, **info}) as framework:
        yield framework
        if not framework.stream.ended:
            framework.do("TEARDOWN")


def test_a_framework_that_does_not_read_is_cut_off_and_told_why(cluster: Cluster) -> None:
    deaf = Framework(cluster.master_address, reads=False, failover_timeout=60)
    deaf.subscribe()
    first = json.loads(next(frames(deaf.stream.pieces())))
    deaf.info["id"] = first["subscribed"]["framework_id"]
    before_mb = memory_mb(cluster.master)
    forget_peak(cluster.master)
    questions = [{"task_id": {"value": f"unknown-{number}"}} for number in range(5_000)]
    statuses = Counter(deaf.call("RECONCILE", reconcile={"tasks": questions}).status for _ in range(60))
    # A MB and more of answers to each: none is read, and after some the rest is refused.
    assert set(statuses) == {202, 403}
    assert memory_mb(cluster.master, "VmHWM") - before_mb < 100
    reason = f"the subscriber left more than {BACKLOG_BYTES_MAX} bytes unread"
    assert reason in cluster.master.log.read_text()
    told = cluster.master.get("/why", framework_id=deaf.id)["decisions"]
    assert any(reason in decision["sentence"] for decision in told)
    deaf.reads = True
    deaf.subscribe_again()  # and it may come back
    deaf.rest()
    with guest(cluster) as other:
        run_one(other, "unaffected")
    deaf.do("TEARDOWN")
    deaf.disconnect()


@pytest.mark.slow
def test_a_framework_that_acknowledges_nothing_holds_up_only_itself(cluster: Cluster) -> None:
    with guest(cluster, acknowledges=False, checkpoint=True) as mute:
        offer = mute.launch(
            [task("first", "true", resources=scalars(cpus=4, mem=16)), task("second", "false")]
        )
        assert offer["hostname"] == "127.0.0.1"
        mute.wait_state("first", "TASK_STARTING")

        def used() -> float:
            cpus: float = cluster.master.get("/slaves")["slaves"][0]["used_resources"]["cpus"]
            return cpus

        # With the update that is sent again after 10 s the master hears that it is over, and gives the resources to
        # others; the framework still hears of the beginning only.
        eventually(lambda: used() == 0, "the task holds nothing any more", 20)
        mute.rest()
        with guest(cluster) as other:
            for number in range(3):
                assert run_one(other, f"t{number}") < 5
        assert mute.states("first") == ["TASK_STARTING"]
        assert mute.states("second") == ["TASK_ERROR"]  # the first took it all
        shown = cluster.tasks()["first"]
        assert shown["state"] == "TASK_FINISHED"
        for count in (1, 2, 3):
            mute.wait(lambda n=count: len(mute.updates["first"]) == n, "the next update")
            mute.acknowledge(mute.updates["first"][-1])
        assert mute.states("first") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


FLOOD = """
    import json, socket, sys, threading
    host, port, stream_id, framework_id = sys.argv[1:]
    body = json.dumps({"type": "REVIVE", "framework_id": {"value": framework_id}})
    one = (
        f"POST /api/v1/scheduler HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n"
        f"Mesos-Stream-Id: {stream_id}\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n{body}"
    ).encode()
    def flood():
        with socket.create_connection((host, int(port))) as connection:
            for _ in range(1_000_000):
                connection.sendall(one * 1000)
                left = 1000
                while left > 0:
                    left -= connection.recv(1 << 20).count(b"HTTP/1.1 202")
    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    [thread.start() for thread in threads]
    print("flooding", flush=True)
    threads[0].join()
"""


@pytest.mark.slow
def test_a_flood_of_calls_leaves_others_their_turn(cluster: Cluster) -> None:
    def calls() -> float:
        snapshot = cluster.master.get("/metrics/snapshot")
        return sum(value for name, value in snapshot.items() if name.endswith(f"{flooder.id}/calls/revive"))

    with guest(cluster) as flooder, guest(cluster) as other:
        flooder.do("SUPPRESS")
        for offer in list(flooder.offers.values()):
            flooder.decline(offer)
        host, _, port = cluster.master_address.partition(":")
        argv = [sys.executable, "-c", textwrap.dedent(FLOOD), host, port, flooder.stream_id, flooder.id]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "flooding\n"
                eventually(lambda: calls() > 5_000, "the flood comes", 30)
                waits_ms = []
                for number in range(10):
                    for offer in list(flooder.offers.values()):  # it revives all the time
                        flooder.decline(offer, 0)
                    waits_ms.append(health_ms(cluster))
                    if number % 5 == 0:
                        run_one(other, f"t{number}")
                assert statistics.median(waits_ms) < 500
            finally:
                process.kill()
        assert calls() > 10_000
    assert memory_mb(cluster.master) < 300


@pytest.mark.slow
def test_a_framework_that_subscribes_a_thousand_times_leaves_nothing_behind(cluster: Cluster) -> None:
    with guest(cluster, failover_timeout=60) as restless:
        open_before, before_mb = descriptors(cluster.master), memory_mb(cluster.master)
        call = {
            "type": "SUBSCRIBE",
            "framework_id": restless.info["id"],
            "subscribe": {"framework_info": restless.info},
        }
        streams = [Stream(cluster.master_address, SCHEDULER, call) for _ in range(1000)]
        restless.wait(lambda: restless.stream.ended, "the first is replaced")
        assert restless.events[-1]["type"] == "ERROR"
        shown = cluster.master.get("/frameworks")["frameworks"]
        assert [one["connected"] for one in shown if one["id"] == restless.id] == [True]
        for stream in streams:
            stream.close()
        eventually(lambda: descriptors(cluster.master) <= open_before, "all connections are closed")
        restless.subscribe_again()
        run_one(restless, "still-works")
        assert memory_mb(cluster.master) - before_mb < 50


@pytest.mark.slow
def test_a_thousand_frameworks_that_come_and_go_are_soon_forgotten(cluster: Cluster) -> None:
    open_before, before_mb = descriptors(cluster.master), memory_mb(cluster.master)
    for number in range(1000):
        info = {"user": "root", "name": f"fleeting-{number}"}
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        Stream(cluster.master_address, SCHEDULER, call).close()
    eventually(lambda: descriptors(cluster.master) <= open_before, "all connections are closed")
    eventually(lambda: not cluster.master.get("/frameworks")["frameworks"], "all are removed")
    assert len(cluster.master.get("/frameworks")["completed_frameworks"]) == 50
    assert memory_mb(cluster.master) - before_mb < 50


@pytest.mark.slow
def test_ten_thousand_tasks_in_one_call_are_all_answered(cluster: Cluster) -> None:
    count, fitting = 10_000, 40  # each takes a hundredth of the agent's CPUs
    tasks = [task(f"t{n}", "true", resources=scalars(cpus=0.1, mem=1)) for n in range(count)]
    with guest(cluster) as greedy:
        greedy.launch(tasks)
        assert health_ms(cluster) < 10_000
        for one in tasks:
            greedy.wait_end(one["task_id"]["value"], 60)
        ends = Counter(
            (end["state"], end.get("reason")) for one in tasks for end in greedy.ends(one["task_id"]["value"])
        )
        assert ends == {
            ("TASK_FINISHED", None): fitting,
            ("TASK_ERROR", "REASON_TASK_INVALID"): count - fitting,
        }
        run_one(greedy, "next")


def test_task_data_of_five_megabytes_is_carried(cluster: Cluster) -> None:
    before_mb = memory_mb(cluster.master), memory_mb(cluster.agents[0])
    with guest(cluster, checkpoint=True) as heavy:
        for number in range(4):
            heavy.launch([task(f"heavy-{number}", "true", data="QUJD" * (5 * 1024 * 1024 // 4))])
            assert heavy.wait_end(f"heavy-{number}", 30)["state"] == "TASK_FINISHED"
        eventually(lambda: cluster.tasks()["heavy-3"]["state"] == "TASK_FINISHED", "the master knows")
        assert len(request(cluster.master_address, "GET", "/state").body) < 1_000_000
    # Its ends are remembered, its data is not.
    assert memory_mb(cluster.master) - before_mb[0] < 150
    assert memory_mb(cluster.agents[0]) - before_mb[1] < 150


def test_hoarded_offers_are_taken_back(new_cluster: NewCluster) -> None:
    cluster = new_cluster(master_flags={"offer_timeout": "500ms"})
    with guest(cluster) as hoarder:
        offer = hoarder.take_offer()
        with guest(cluster) as other:
            assert run_one(other, "after-all") < 10
        hoarder.wait(
            lambda: any(
                event["type"] == "RESCIND" and event["rescind"]["offer_id"] == offer["id"]
                for event in hoarder.events
            ),
            "it hears that it has lost its offer",
        )
        hoarder.accept([offer], [task("late", "true")])
        end = hoarder.wait_end("late")
        assert (end["state"], end["reason"]) == ("TASK_DROPPED", "REASON_INVALID_OFFERS")
        told = cluster.master.get("/why", framework_id=hoarder.id)["decisions"]
        assert any("was not answered within 0.5 s" in decision["sentence"] for decision in told)
