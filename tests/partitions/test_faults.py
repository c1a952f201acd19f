"""Whatever fails, one leader acts, no resource is promised twice, and every task is accounted for.

Real processes in network namespaces: three ZooKeepers, three masters, five agents, a framework on the SDK and one on
pymesos. One round of each fault; `make faults` plays many, and writes what they took into the documentation. Most of a
round is waiting for time-outs, so two clusters are played side by side, each in a network of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.partitions import network, rounds
from tests.partitions.cluster import Cluster
from tests.partitions.faults import FAULTS, Fault

REASON = network.cannot_run()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.waiting,
    pytest.mark.timeout(180),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]


class Stage:
    """The cluster, for as long as nothing is broken; then another one."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._stack = ExitStack()
        self._cluster: Cluster | None = None

    def cluster(self) -> Cluster:
        if self._cluster is None:
            cluster = Cluster(self._factory.mktemp("partitions"), hurried=True)
            self._cluster = self._stack.enter_context(cluster.running())
        return self._cluster

    def clear(self) -> None:
        self._cluster = None
        self._stack.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    assert not network.missing_tools(), "these tests need iproute2, iptables and util-linux (nsenter)"
    one = Stage(tmp_path_factory)
    yield one
    one.clear()


@pytest.mark.parametrize("fault", FAULTS[::-1], ids=lambda fault: fault.key)  # the longest first
def test_nothing_is_lost_or_doubled(stage: Stage, fault: Fault) -> None:
    cluster = stage.cluster()
    try:
        measures = rounds.play(cluster, fault)
    except BaseException as error:
        error.add_note(cluster.logs())
        stage.clear()
        raise
    print(measures)
