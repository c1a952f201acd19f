"""What refusals have in common. Import both: `goes_on` watches over each test of the module that does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.harness import Cluster
from tests.cluster.raw import Answer, request


@pytest.fixture(autouse=True)
def goes_on(cluster: Cluster) -> Iterator[None]:
    """Whatever was sent, the same processes serve as before, and nothing failed inside."""
    pids = [role.pid for role in cluster.roles]
    ends = [role.log.stat().st_size for role in cluster.roles]
    yield
    assert [role.pid for role in cluster.roles if role.answers()] == pids
    assert [request(role.address, "GET", "/health").status for role in cluster.roles] == [200, 200]
    for role, end in zip(cluster.roles, ends, strict=True):
        said = role.log.read_bytes()[end:].decode()
        assert "Traceback" not in said
        assert "level=error" not in said


def refused(answer: Answer, status: int, *words: str) -> None:
    """It is that status, and one line of text that has the words."""
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (status, "text/plain"), answer
    assert answer.text.strip()
    assert "\n" not in answer.text.strip()
    for word in words:
        assert word in answer.text
