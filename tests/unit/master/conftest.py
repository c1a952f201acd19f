import pytest

from tests.unit.master.cluster import Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()
