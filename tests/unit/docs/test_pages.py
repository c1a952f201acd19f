"""What the pages promise holds: links lead somewhere, code that they show is the code, paths are served."""

import re
from pathlib import Path
from typing import Any

import pytest

from koinon.mesos.v1 import agent, executor, master, scheduler

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
HTTP_API = (ROOT / "docs/reference/http-api.md").read_text()


def heading_anchors(page: Path) -> set[str]:
    """Anchors of a page, made from its headings as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in heading_anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_said_to_be_a_file_is_that_file(page: Path) -> None:
    for name, shown in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", page.read_text(), re.DOTALL):
        assert shown == (ROOT / name).read_text(), name


def paths_in(*sources: str) -> set[str]:
    return {
        path
        for source in sources
        for path in re.findall(r'server\.route\(\s*"(/[^"]+)"', (ROOT / "src/koinon" / source).read_text())
    }


def section(title: str) -> str:
    """The part of the page about the API under a heading."""
    parts = re.split(r"^## (.+)$", HTTP_API, flags=re.MULTILINE)
    return parts[parts.index(title) + 1]


COMMON = ("edge/system.py", "edge/metrics.py", "edge/files.py")


def test_page_lists_every_path_that_the_master_serves() -> None:
    served = paths_in("master/server.py", "master/endpoints.py", *COMMON)
    assert {path for path in served if f"`{path}`" not in section("Master")} == set()
    assert "/state" in served


def test_page_lists_every_path_that_the_agent_serves() -> None:
    served = paths_in("agent/server.py", *COMMON)
    assert {path for path in served if f"`{path}`" not in section("Agent")} == set()
    assert "/containers" in served


def test_page_lists_every_path_that_marathon_serves() -> None:
    routes = "".join(path.read_text() for path in (ROOT / "src/koinon/marathon/api").glob("*.py"))
    served = {
        re.sub(r"\{(\w+):[^}]*(\{[^}]*\})?[^}]*\}", r"{\1}", path)
        for path in re.findall(r'web\.(?:get|put|post|patch|delete|head)\(\s*"(/[^"]+)"', routes)
    }
    assert {path for path in served if f"`{path}`" not in section("Marathon")} == set()
    assert "/v2/apps/{id}/restart" in served


@pytest.mark.parametrize(
    ("calls", "title"),
    [(scheduler.Call, "Master"), (master.Call, "Master"), (executor.Call, "Agent"), (agent.Call, "Agent")],
)
def test_page_names_every_call_of_the_api(calls: type[Any], title: str) -> None:
    names = {call.name for call in calls.Type} - {"UNKNOWN"}
    assert {name for name in names if f"`{name}`" not in section(title)} == set()


def test_architecture_names_only_functions_that_exist() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src/koinon").rglob("*.py"))
    defined = set(re.findall(r"^\s*(?:class|(?:async )?def) (\w+)", source, re.MULTILINE))
    flow = (ROOT / "docs/architecture.md").read_text().split("## One task through the house")[1]
    table = flow[: flow.index("## Master and agent")]
    named = {name for code in re.findall(r"`([A-Za-z_.]+)`", table) for name in code.split(".")}
    unknown = named - defined - {path.stem for path in (ROOT / "src/koinon").rglob("*")}
    assert unknown == {"UPDATE", "execve"}
