"""`koinon job`: files with jobs, the tree of a graph, and what is told when there is no Chronos."""

from __future__ import annotations

from pathlib import Path

import pytest

from koinon.cli import main
from koinon.cli.errors import Failure
from koinon.cli.jobs.command import _next_attempt, _says_something
from koinon.cli.jobs.documents import read
from koinon.cli.jobs.graph import tree


def written(path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [str(path)]


def test_parents_come_before_children_whatever_the_order(tmp_path: Path) -> None:
    """So that Chronos knows them; the rest stays in its order."""
    text = """
    jobs:
    - {name: d, parents: [b, c]}
    - {name: z}
    - {name: c, parents: [a]}
    - {name: b, parents: [a, elsewhere]}
    - {name: a}
    """
    found = [job["name"] for job in read(written(tmp_path / "jobs.yaml", text))]
    assert found == ["z", "a", "c", "b", "d"]


def test_circle_is_left_for_chronos_to_refuse(tmp_path: Path) -> None:
    """It says it better."""
    text = '[{"name": "a", "parents": ["b"]}, {"name": "b", "parents": ["a"]}]'
    assert len(read(written(tmp_path / "jobs.json", text))) == 2


def test_dates_of_yaml_stay_text(tmp_path: Path) -> None:
    """JSON has none."""
    [job] = read(written(tmp_path / "job.yaml", "name: a\ndescription: 2030-01-02\n"))
    assert job["description"] == "2030-01-02"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "defines nothing"),
        ("- 1\n", "which are objects with a name"),
        ("- command: x\n", "which are objects with a name"),
        ("{", "is no JSON"),
        ("a: [", "neither JSON nor YAML"),
        ("- name: a\n- name: a\n", "'a' is defined twice"),
    ],
)
def test_wrong_file_is_told(tmp_path: Path, text: str, told: str) -> None:
    """With its name, or with that of the job."""
    with pytest.raises(Failure, match=told):
        read(written(tmp_path / "jobs", text))


def test_tree_shows_each_job_below_its_parents() -> None:
    """What is below a job is drawn once."""
    lines = [
        "node,a,success,idle",
        "node,b,fresh,1 running",
        "node,c,fresh,idle",
        "node,d,failure,idle",
        "node,e,fresh,idle",
        "node,lone,fresh,idle",
        "link,a,b",
        "link,a,c",
        "link,b,d",
        "link,c,d",
        "link,d,e",
    ]
    assert list(tree(lines)) == [
        "a  (success)",
        "├─ b  (1 running)",
        "│  └─ d  (failure)",
        "│     └─ e",
        "└─ c",
        "   └─ d …",
        "lone",
    ]


def test_tree_of_a_long_chain() -> None:
    """Longer than Python's stack."""
    count = 5000
    lines = [f"node,{n},fresh,idle" for n in range(count)] + [f"link,{n},{n + 1}" for n in range(count - 1)]
    assert len(list(tree(lines))) == count


def test_next_attempt_is_of_the_same_run() -> None:
    """Also of jobs with digits and spaces in their names."""
    assert _next_attempt("ct:1893542430000:9:my job 1:") == "ct:1893542430000:10:my job 1:"


def test_no_chronos_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """And what to do."""
    assert main(["job", "list", "--chronos", "127.0.0.1:1"]) == 1
    assert "no Chronos at 127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name a file with jobs"),
        (("--schedule", "R//PT1H", "true"), "--name is missing"),
        (("--name", "a"), "the command of job 'a' is missing"),
    ],
)
def test_job_without_a_file_needs_name_and_command(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked before."""
    assert main(["job", "add", *arguments, "--chronos", "127.0.0.1:1"]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "is_shown"),
    [
        ("shell", False, True),
        ("shell", True, False),
        ("retries", 0, True),
        ("retries", 2, False),
        ("softError", False, False),
        ("softError", True, True),
        ("fetch", [], False),
        ("disabled", True, False),
    ],
)
def test_shown_is_what_is_not_usual(key: str, value: object, is_shown: bool) -> None:
    """Of a job's definition; the rest is told in other words."""
    assert _says_something(key, value) is is_shown
