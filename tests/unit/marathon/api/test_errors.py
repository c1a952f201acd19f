"""Status codes and bodies of what goes wrong (reference: error bodies and status codes)."""

import pytest

from tests.unit.marathon.api.conftest import APP, Api


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v2/apps", "{", 400),
        ("POST", "/v2/apps", "", 400),
        ("POST", "/v2/apps", "[" * 100_000, 400),
        ("POST", "/v2/apps", '{"id": "\xff"}'.encode("latin-1"), 400),
        ("POST", "/v2/apps", [], 422),
        ("POST", "/v2/apps", "7", 422),
        ("PUT", "/v2/apps", {}, 422),
        ("PUT", "/v2/apps", [7], 422),
        ("PUT", "/v2/apps/app", [], 422),
        ("PATCH", "/v2/apps/app", "null", 422),
        ("PUT", "/v2/groups", [], 422),
        ("POST", "/v2/groups", "7", 422),
        ("POST", "/v2/pods", [], 422),
        ("PUT", "/v2/pods/p", "7", 422),
        ("POST", "/v2/tasks/delete", [], 422),
        ("POST", "/v2/tasks/delete", {}, 422),
        ("POST", "/v2/tasks/delete", {"ids": "x"}, 422),
        ("POST", "/v2/tasks/delete", {"ids": ["nonsense"]}, 400),
        ("POST", "/v2/koinon/deploy", {"apps": 7}, 422),
        ("POST", "/v2/koinon/deploy", {"apps": {}}, 422),
        ("POST", "/v2/koinon/deploy", {"groups": [{"scaleBy": 2}]}, 422),
        ("POST", "/v2/koinon/deploy", {"groups": [{"version": "2020-01-01T00:00:00.000Z"}]}, 422),
        ("DELETE", "/v2/apps/there/tasks?scale=true&wipe=true", None, 400),
        ("DELETE", "/v2/apps/there/tasks?scale=yes", None, 422),
        ("DELETE", "/v2/apps/there?force=true&force=false", None, 422),
        ("DELETE", "/v2/apps/there?dryRun=true", None, 422),
        ("POST", "/v2/apps/there/restart?dryRun=true", None, 422),
        ("DELETE", "/v2/leader?backup", None, 422),
        ("DELETE", "/v2/leader?restore=file:///x", None, 422),
        ("PUT", "/v2/pods/p", {"id": "/other", "containers": [{"name": "a", "resources": {"cpus": 1, "mem": 1}}]}, 400),
        ("GET", "/v2/groups/nowhere", None, 404),
        ("GET", "/v2/groups/versions/2020-01-01T00:00:00.000Z", None, 404),
        ("GET", "/v2/groups/versions/x", None, 422),
        ("PUT", "/v2/groups", {"version": "2020-01-01T00:00:00.000Z"}, 422),
        ("PUT", "/v2/groups", {"version": "2020-01-01T00:00:00.000Z", "apps": []}, 422),
        ("PUT", "/v2/groups", {"scaleBy": 2, "id": "/x"}, 422),
        ("DELETE", "/v2/groups/nowhere", None, 404),
        ("PATCH", "/v2/groups/nowhere", {"enforceRole": True}, 404),
        ("GET", "/v2/pods/nowhere", None, 404),
        ("GET", "/v2/pods/nowhere::status", None, 404),
        ("GET", "/v2/pods/nowhere::versions", None, 404),
        ("DELETE", "/v2/pods/nowhere", None, 404),
        ("DELETE", "/v2/pods/nowhere::instances", [], 404),
        ("GET", "/v2/apps/nowhere/tasks", None, 404),
        ("DELETE", "/v2/apps/nowhere/tasks", None, 404),
        ("DELETE", "/v2/apps/there/tasks/there.instance-x._app.1", None, 404),
        ("DELETE", "/v2/apps/there/tasks/nonsense", None, 404),
        ("DELETE", "/v2/deployments/nowhere", None, 404),
        ("DELETE", "/v2/queue/nowhere/delay", None, 404),
        ("GET", "/v2/plugins/nowhere/x", None, 404),
        ("GET", "/v2/koinon/why/nowhere", None, 404),
        ("GET", "/v2/koinon/deployments/nowhere", None, 404),
        ("POST", "/v2/koinon/deployments/nowhere/continue", None, 404),
    ],
)  # fmt: skip
async def test_it_is_refused_with_a_message(
    api: Api, method: str, path: str, body: object, status: int
) -> None:
    await api.create("/there", instances=0)
    answer = await api.ask(method, path, body)
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.message


async def test_json_that_cannot_be_read_is_told_as_text(api: Api) -> None:
    answer = await api.post("/v2/apps", '{"id": ')
    assert (answer.message, type(answer.json["details"])) == ("Invalid JSON", str)


async def test_a_wrong_form_is_told_by_paths(api: Api) -> None:
    answer = await api.post("/v2/apps", {**APP, "instances": "two", "cpus": -1})
    assert answer.json["message"] == "Invalid JSON"
    assert {one["path"] for one in answer.json["details"]} == {"/instances", "/cpus"}


async def test_a_wrong_meaning_is_told_by_paths(api: Api) -> None:
    strategy = {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}
    app = {**APP, "args": ["x"], "dependencies": ["/app"], "upgradeStrategy": strategy}
    answer = await api.post("/v2/apps", app)
    assert (answer.status, answer.json["message"]) == (422, "Object is not valid")


@pytest.mark.parametrize("path", ["/v2/apps", "/v2/pods", "/v2/tasks/delete"])
async def test_a_body_of_another_type_is_refused(api: Api, path: str) -> None:
    answer = await api.ask("POST", path, "{}", Content_Type="application/x-www-form-urlencoded")
    assert answer.status == 415
    assert answer.message


async def test_groups_take_json_of_any_type(api: Api) -> None:
    answer = await api.ask("POST", "/v2/groups", '{"id": "/g"}', Content_Type="text/plain")
    assert answer.status == 201


@pytest.mark.parametrize(
    "path",
    ["/v2/apps/", "//v2/apps", "/v2//apps?id=a", "/v2/apps/app/tasks/", "/v2/apps//app/versions//", "/v2/groups//"],
)  # fmt: skip
async def test_slashes_more_than_needed_mean_nothing(api: Api, path: str) -> None:
    await api.create("/app", instances=0)
    assert (await api.get(path)).text == (await api.get("/" + "/".join(path.strip("/").split("//")))).text
    assert (await api.get(path)).status == 200


async def test_a_body_that_is_sent_to_such_a_path_arrives(api: Api) -> None:
    assert (await api.post("/v2/apps/", APP)).status == 201
    assert (await api.put("/v2/apps//app/?force=true", {"instances": 0})).status == 200
    assert (await api.post("/v2/apps/app/restart/")).status == 200


async def test_a_deployment_can_be_looked_at(api: Api) -> None:
    answer = await api.post("/v2/apps", APP)
    name = answer.json["deployments"][0]["id"]
    assert (await api.get(f"/v2/deployments/{name}")).json == (await api.get("/v2/deployments")).json[0]
    api.world.settle()
    assert (await api.get(f"/v2/deployments/{name}")).status == 404


async def test_before_any_change_the_root_has_a_version_that_can_be_read(api: Api) -> None:
    assert (await api.get("/v2/groups")).json["version"] == "1970-01-01T00:00:00.000Z"
