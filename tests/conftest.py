"""Fixtures for all tests."""

import os

from hypothesis import settings

from tests.cluster.harness import cluster, new_cluster, pytest_runtest_makereport
from tests.zookeeper import new_ensemble, zookeeper

# Every process that brings an HTTP client would read all authorities of the world; no test calls anybody out there.
os.environ["SSL_CERT_FILE"] = os.devnull

__all__ = ["cluster", "new_cluster", "new_ensemble", "pytest_runtest_makereport", "zookeeper"]

# A change is judged by the same examples each time; whoever works on the code searches on with fresh ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "fresh")
