"""The reference page of jobs says what is read and shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

from koinon.chronos.model import Container, Job
from koinon.chronos.model.job import BOOKKEEPING, Fetch, NetworkInfo, PortMapping, Volume
from koinon.chronos.reading.fields import PLAIN
from koinon.chronos.rendering import render_job
from tests.unit.chronos.asking import ask, dependent, named, scheduled

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "chronos-jobs.md").read_text()
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_every_field_is_on_the_page() -> None:
    names = dict(zip(Job.__struct_fields__, Job.__struct_encode_fields__, strict=True))
    read = {names[attribute] for attribute in PLAIN}
    everything = (
        scheduled(
            container={"image": "i"},
            retryDelaySeconds=1,
            lostAfterSeconds=1,
            cron="0 9 * * *",
            schedule=None,
            owner="a@b.c",
        ),
        dependent("c", "a"),
    )
    shown = {field for job in everything for field in render_job(job, "2.x")}
    assert {field for field in read | shown if f"`{field}`" not in PAGE} == set()


def test_every_field_of_its_parts_is_on_the_page() -> None:
    parts = (Container, Volume, NetworkInfo, PortMapping, Fetch)
    fields = {field for part in parts for field in part.__struct_encode_fields__}
    assert {field for field in fields if re.search(rf"\b{field}\b", PAGE) is None} == set()


def test_what_is_kept_is_only_what_the_page_says() -> None:
    assert {
        "success_count",
        "error_count",
        "errors_since_last_success",
        "last_success",
        "last_error",
    } == BOOKKEEPING - {"created_ms", "latest_slot_ms", "latest_due_ms"}  # which are never shown


def test_the_jobs_on_the_page_are_taken() -> None:
    first, second = BLOCKS[0].split("\n{")
    extract = ask(json.loads(first))
    report = ask(json.loads("{" + second), named(extract, scheduled("left"), scheduled("right")))
    assert (extract.name, report.parents) == ("extract", ("left", "right"))
