"""Why nothing was placed: the truth about what agents have and what is free."""

from typing import Any

import pytest

from koinon.cli.placement import no_place


def agent(
    name: str,
    cpus: float = 4,
    mem: float = 1024,
    *,
    used: float = 0,
    reserved: dict[str, Any] | None = None,
    active: bool = True,
) -> dict[str, Any]:
    return {
        "id": name,
        "hostname": f"host-{name}",
        "active": active,
        "unreserved_resources": {"cpus": cpus, "mem": mem, "disk": 0, "gpus": 0},
        "reserved_resources": reserved or {},
        "used_resources": {"cpus": used, "mem": 0, "disk": 0, "gpus": 0},
    }


@pytest.mark.parametrize(
    ("wanted", "agents", "sentence"),
    [
        ({"cpus": 1}, [], "no agent is registered"),
        ({"cpus": 1}, [agent("a", active=False)], "no agent is connected"),
        (
            {"cpus": 64.0, "mem": 32.0},
            [agent("a"), agent("b", cpus=8)],
            "no agent has 64 cpus: the largest has 8 (agent b on host-b)",
        ),
        (
            {"cpus": 64, "mem": 9000},
            [agent("a")],
            "no agent has 64 cpus: the largest has 4 (agent a on host-a);"
            " no agent has 9000 MB mem: the largest has 1024 (agent a on host-a)",
        ),
        ({"gpus": 1}, [agent("a")], "no agent has gpus"),
        (
            {"cpus": 8, "mem": 1024},
            [agent("a"), agent("b", cpus=8, mem=512)],
            "no agent has 8 cpus and 1024 MB mem together: agent a on host-a has 4 cpus and 1024 MB mem",
        ),
        (
            {"cpus": 3},
            [agent("a", used=3.9), agent("b", used=2.5), agent("small", cpus=2)],
            "no agent has 3 cpus free now: agent b on host-b has 1.5 cpus free of 4 cpus",
        ),
        ({"cpus": 3}, [agent("a", used=4), agent("b", used=1)], None),
        (
            {"cpus": 6},
            [agent("a", reserved={"other": {"cpus": 4}})],
            "no agent has 6 cpus: the largest has 4 (agent a on host-a)",
        ),
        ({"cpus": 6}, [agent("a", reserved={"team": {"cpus": 4}})], None),
    ],
)
def test_the_reason_is_what_agents_have(wanted: Any, agents: Any, sentence: str | None) -> None:
    assert no_place(wanted, "team/x", agents) == sentence
