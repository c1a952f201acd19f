import pytest

from koinon.allocator import Allocator
from tests.unit.allocator.situations import make


@pytest.fixture
def allocator() -> Allocator:
    return make()
