"""Fixtures for all tests."""

from tests.cluster.harness import cluster, new_cluster, pytest_runtest_makereport

__all__ = ["cluster", "new_cluster", "pytest_runtest_makereport"]
