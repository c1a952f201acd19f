"""The collector looks at young objects only, until memory has doubled."""

import gc
import weakref

import pytest

from koinon.edge import collector as module
from koinon.edge.collector import Collector


class Node:
    """Something that can refer to itself."""

    def __init__(self):
        self.me = self


@pytest.fixture
def collector():
    made = Collector()
    made.install()
    yield made
    made.remove()


def test_young_cycle_is_collected(collector):
    node = weakref.ref(Node())
    gc.collect()
    assert node() is None


def test_survivors_are_not_looked_at_again(collector):
    keep = [Node() for _ in range(1000)]
    gc.collect()
    assert not any(isinstance(found, Node) for found in gc.get_objects())
    assert keep


def test_old_cycle_is_collected_once_memory_has_grown(collector, monkeypatch):
    node = Node()
    gc.collect()
    node, old = None, weakref.ref(node)
    gc.collect()
    assert old() is not None
    resident = module._resident_bytes()
    monkeypatch.setattr(module, "_resident_bytes", lambda: 3 * resident + module._GROWTH_BYTES)
    gc.collect()
    assert old() is None
