import pytest

from tests.unit.master_views import cluster


@pytest.fixture
async def master():
    """A running master without agents and frameworks."""
    async with cluster.running_master(cluster="test") as running:
        yield running
