"""The registry in ZooKeeper, and the lease: what a leader waits for, and what it asks before everything it does.

One server of ZooKeeper, on this machine, which flushes to disk: an ensemble adds the network. Entries have 1,000
bytes, as much as an agent has in the registry.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import uvloop

from bench import figures
from bench.figures import Figure
from bench.processes import started_zookeeper
from koinon.coordination.zookeeper import Url, parse_url
from koinon.coordination.zookeeper.election import Election
from koinon.coordination.zookeeper.store import open_store

VALUE = bytes(1000)
ALONE = 100
#: 50,000 entries are more than what `koinon up` gives to its ZooKeeper.
HEAP = "-Xmx512m"


def measure(given: argparse.Namespace) -> Iterator[Figure]:
    """Fresh servers for each size."""
    os.environ["_JAVA_OPTIONS"] = HEAP
    for entries in (100,) if given.quick else (10_000, 50_000):
        with tempfile.TemporaryDirectory() as directory, started_zookeeper(Path(directory)) as (url, _):
            yield from uvloop.run(_registry(parse_url(url), entries))


async def _registry(url: Url, entries: int) -> list[Figure]:
    election = Election(url, timeout_s=10.0)
    elected: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    election.stand(b"{}", on_elected=elected.set_result, on_deposed=_fail, on_leader=lambda leader: None)
    epoch = await elected
    store = await open_store(election.session, url.store_path, epoch=epoch)

    begun_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(store.commit([(f"agents/{n}", VALUE)]) for n in range(entries)))
    written_s, written_cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s

    begun_s, cpu_s = time.perf_counter(), time.process_time()
    again = await open_store(election.session, url.store_path, epoch=epoch)
    read_s, read_cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    assert len(again.load()) == entries

    alone_s = []
    for n in range(ALONE):
        begun_s = time.perf_counter()
        await again.commit([(f"agents/{n}", VALUE)])
        alone_s.append(time.perf_counter() - begun_s)

    begun_s = time.perf_counter()
    for _ in range(100_000):
        assert election.held()
    asked_s = (time.perf_counter() - begun_s) / 100_000

    await again.close()
    await election.close()
    size = f"{entries:,} entries"
    return [
        Figure(f"{size}: committed one by one, none awaited", written_s * 1000, "ms"),
        Figure(f"{size}: committed, CPU of the master", written_cpu_s * 1000, "ms"),
        Figure(f"{size}: fenced and read by a new leader", read_s * 1000, "ms"),
        Figure(f"{size}: read, CPU of the master", read_cpu_s * 1000, "ms"),
        Figure(f"{size}: one more commit, median", median(alone_s) * 1000, "ms"),
        Figure(f"{size}: asking for the lease", asked_s * 1e6, "µs"),
    ]


def _fail(reason: str) -> None:
    raise RuntimeError(reason)


if __name__ == "__main__":
    figures.run("coordination", __doc__, measure)
