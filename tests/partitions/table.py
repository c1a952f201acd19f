"""The page of the documentation that tells of faults: what was measured is kept beside this file."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from tests.partitions import faults
from tests.partitions.cluster import AGENT_FLAGS, MASTER_FLAGS
from tests.partitions.rounds import Measures

PAGE = Path(__file__).parents[2] / "docs/reference/faults.md"
_MEASURED = Path(__file__).with_name("measured.json")

_COLUMNS = ("sdk", "pymesos", "agents", "tasks")
_TEXT = """\
# Faults: what you see, and for how long

<!-- Written by `make faults`; change tests/partitions/ instead. -->

Three ZooKeeper servers, three masters, five agents, a framework on Koinon's SDK and one on pymesos 0.3, which finds the
leader through `zk://`: each a process of its own in a network namespace of its own, so that links can be cut. Both
frameworks launch short tasks all the time, keep long ones running, and write down all that they hear. After each round the
test demands that

- every task is accounted for: one end, and the end that it really had;
- exactly one leader acted at any time: masters write down when they act, agents and frameworks whom they hear;
- no resource was offered twice or used twice;
- what frameworks were told of their tasks was true, in an order that is possible;
- no agent was given up that was there.

{rows}

Seconds, median and worst of {rounds} rounds, on {machine}. In all of them {tasks:,} tasks were launched.

*New work*: how long the framework started no new task (without any fault that is some {usual:.1f} s, its own pace); in rows
with ¹ the time from the mending of the fault until a new task ran. *Agents*: until the last agent that had lost its master
was with one again; ² counted from the mending. pymesos waits some seconds by itself before it calls again, and longer for the
answer of a leader that is frozen or cut off: here 10 s, as it was given `timeout=10`; by default a day.

The time-outs were short:

    {flags}

With the defaults (`--zk_session_timeout=10secs`, `--agent_ping_timeout=15secs`, `--max_agent_ping_timeouts=5`) another master
leads up to 10 s after a leader has died without a word, and an agent that is cut off is given up after 75 s. A leader that
is told to end (SIGTERM) hands over at once.
"""


def keep(took: dict[str, list[Measures]], machine: str) -> None:
    """Remember what was measured, and where."""
    kept = {
        key: {name: [round(one[name], 2) for one in many if name in one] for name in _COLUMNS}
        for key, many in took.items()
    }
    flags = [
        f"--{name}={value}" for name, value in {**MASTER_FLAGS, **AGENT_FLAGS}.items() if name != "resources"
    ]
    _MEASURED.write_text(json.dumps({"machine": machine, "flags": flags, "faults": kept}) + "\n")


def write_page() -> None:
    """Write the page from what is remembered."""
    PAGE.write_text(page())


def page() -> str:
    """The text of the page."""
    measured = json.loads(_MEASURED.read_text())
    found: dict[str, dict[str, list[float]]] = measured["faults"]
    rows = [
        "| fault | what a user sees | new work, SDK | new work, pymesos | agents |",
        "|---|---|---|---|---|",
    ]
    for fault in faults.FAULTS:
        took = found[fault.key]
        mark = " ¹" if fault.from_mended else ""
        agents = _shown(took["agents"]) + (" ²" if fault.agents_cut or fault.from_mended else "")
        rows.append(
            f"| {fault.name} | {fault.users_see} | {_shown(took['sdk'])}{mark} | {_shown(took['pymesos'])}{mark}"
            f" | {agents if took['agents'] else '–'} |"
        )
    quiet = found[next(fault.key for fault in faults.FAULTS if fault.users_see == "nothing")]
    return _TEXT.format(
        rows="\n".join(rows),
        rounds=min(len(took["sdk"]) for took in found.values()),
        machine=measured["machine"],
        tasks=round(sum(sum(took["tasks"]) for took in found.values())),
        usual=median(quiet["sdk"]),
        flags="\n    ".join(measured["flags"]),
    )


def _shown(values: list[float]) -> str:
    return f"{median(values):.1f} / {max(values):.1f}" if values else "–"
