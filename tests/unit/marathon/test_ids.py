"""Ids of apps, instances and tasks."""

import pytest

from koinon.marathon.model import ids

UUID = "8f6e0d2e-1b1f-11ee-9c5a-0242ac110002"


@pytest.mark.parametrize(
    ("path", "base", "absolute"),
    [
        ("a", "/", "/a"),
        ("/a/", "/x", "/a"),
        ("../b", "/x/y", "/x/b"),
        ("./b", "/x", "/x/b"),
        ("../../..", "/x", "/"),
    ],
)
def test_paths_are_resolved(path: str, base: str, absolute: str) -> None:
    assert ids.resolve(path, base) == absolute


@pytest.mark.parametrize(
    ("task", "place"),
    [
        (f"team_db.instance-{UUID}._app.3", (f"team_db.instance-{UUID}", "/team/db", None, 3)),
        (f"team_db.instance-{UUID}._app", (f"team_db.instance-{UUID}", "/team/db", None, 1)),
        (f"team_db.instance-{UUID}", (f"team_db.instance-{UUID}", "/team/db", None, 1)),
        (f"p.instance-{UUID}.side-car.2", (f"p.instance-{UUID}", "/p", "side-car", 2)),
        (f"p.instance-{UUID}.instance-x.2", (f"p.instance-{UUID}", "/p", "instance-x", 2)),
        (f"a.instance-b.instance-{UUID}._app.1", (f"a.instance-b.instance-{UUID}", "/a.instance-b", None, 1)),
        (f"v1.2_x.marathon-{UUID}._app.1", (f"v1.2_x.marathon-{UUID}", "/v1.2/x", None, 1)),
        (f"team_db.{UUID}", (f"team_db.marathon-{UUID}", "/team/db", None, 1)),
        (f"team_db.{UUID}.4", (f"team_db.marathon-{UUID}", "/team/db", None, 4)),
    ],
)
def test_task_ids_say_where_they_belong(task: str, place: tuple[str, str, str | None, int]) -> None:
    assert ids.parse_task(task) == place


@pytest.mark.parametrize("text", ["", "x", "team_db", ".instance-x", "team_db._app.1"])
def test_other_texts_are_no_task_ids(text: str) -> None:
    with pytest.raises(ValueError, match="no task id"):
        ids.parse_task(text)


def test_what_is_made_can_be_read() -> None:
    instance = ids.instance_id("/team/v1.2/db", UUID)
    assert ids.parse_task(ids.task_id(instance, 7, "c")) == (instance, "/team/v1.2/db", "c", 7)
