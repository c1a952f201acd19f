"""`/v2/groups`."""

from tests.unit.marathon.api.conftest import APP, Api

IDLE = {**APP, "instances": 0}


def names(group):
    return {
        "id": group["id"],
        "apps": sorted(app["id"] for app in group.get("apps", [])),
        "groups": [names(one) for one in group.get("groups", [])],
    }


async def test_a_group_comes_with_all_that_is_in_it(api: Api) -> None:
    body = {
        "id": "team",
        "apps": [{**IDLE, "id": "web", "dependencies": ["../team/back/db"]}],
        "groups": [{"id": "back", "apps": [{**IDLE, "id": "db"}]}],
    }
    answer = await api.post("/v2/groups", body)
    assert (answer.status, answer.headers["Location"]) == (201, "/team")
    assert set(answer.json) == {"version", "deploymentId"}
    team = (await api.get("/v2/groups/team")).json
    assert names(team) == {
        "id": "/team",
        "apps": ["/team/web"],
        "groups": [{"id": "/team/back", "apps": ["/team/back/db"], "groups": []}],
    }
    assert (team["pods"], team["dependencies"]) == ([], [])
    assert "enforceRole" not in team
    assert "tasksRunning" not in team["apps"][0]
    root = (await api.get("/v2/groups")).json
    assert (root["id"], root["groups"]) == ("/", [team])
    assert (await api.get("/v2/groups//team")).json == team
    assert sorted(app["id"] for app in (await api.get("/v2/groups/team/apps")).json) == [
        "/team/back/db",
        "/team/web",
    ]
    assert len((await api.get("/v2/groups/apps")).json) == 2
    assert (await api.post("/v2/groups", body)).status == 409
    assert (await api.post("/v2/groups/team", {"id": "web"})).status == 409


async def test_only_what_is_named_is_embedded(api: Api) -> None:
    await api.create("/team/web")
    only = (await api.get("/v2/groups/team?embed=group.apps")).json
    assert set(only) == {"id", "version", "dependencies", "apps"}
    more = (await api.get("/v2/groups/team?embed=group.apps.counts&embed=group.apps.tasks")).json
    assert more["apps"][0]["tasksRunning"] == 1
    assert len(more["apps"][0]["tasks"]) == 1
    assert set((await api.get("/v2/groups/team?embed=group.groups")).json) == {
        "id",
        "version",
        "dependencies",
        "groups",
    }


async def test_put_makes_it_what_the_body_says(api: Api) -> None:
    await api.post("/v2/groups", {"id": "/team", "apps": [{**IDLE, "id": "a"}, {**IDLE, "id": "b"}]})
    before = (await api.get("/v2/apps/team/a")).json["app"]["version"]
    dry = await api.put("/v2/groups/team?dryRun=true", {"apps": [{**IDLE, "id": "a"}]})
    assert dry.json == {"steps": [{"actions": [{"action": "StopApplication", "app": "/team/b"}]}]}
    assert (await api.get("/v2/apps/team/b")).status == 200
    assert (await api.put("/v2/groups/team", {"apps": [{**IDLE, "id": "a"}]})).status == 200
    assert (await api.get("/v2/apps/team/b")).status == 404
    assert (await api.get("/v2/apps/team/a")).json["app"]["version"] == before
    created = await api.put("/v2/groups/new", {"groups": [{"id": "sub"}]})
    assert created.status == 200
    assert (await api.get("/v2/groups/new/sub")).status == 200


async def test_it_is_scaled_and_goes_back(api: Api) -> None:
    await api.post("/v2/groups", {"id": "/team", "apps": [{**APP, "id": "a", "instances": 3}]})
    api.world.settle()
    (first,) = (await api.get("/v2/groups/team/versions")).json
    assert (await api.put("/v2/groups/team", {"scaleBy": 1.5})).status == 200
    api.world.settle()
    assert (await api.get("/v2/apps/team/a")).json["app"]["instances"] == 5
    versions = (await api.get("/v2/groups/team/versions")).json
    assert (len(versions), versions[-1]) == (2, first)
    then = (await api.get(f"/v2/groups/team/versions/{first}")).json
    assert [app["instances"] for app in then["apps"]] == [3]
    assert (await api.put("/v2/groups/team", {"version": first})).status == 200
    api.world.settle()
    assert (await api.get("/v2/apps/team/a")).json["app"]["instances"] == 3
    # As one widely used client asks for it.
    assert (await api.put(f"/v2/groups//team/versions/{versions[0]}", "")).status == 200
    api.world.settle()
    assert (await api.get("/v2/apps/team/a")).json["app"]["instances"] == 5
    assert len((await api.get("/v2/groups/versions")).json) == 4


async def test_the_role_of_a_top_level_group_can_be_enforced(api: Api) -> None:
    await api.post("/v2/groups", {"id": "/team", "groups": [{"id": "sub"}]})
    answer = await api.patch("/v2/groups/team", {"enforceRole": True})
    assert (answer.status, answer.text) == (200, "")
    assert (await api.get("/v2/groups/team")).json["enforceRole"] is True
    assert (await api.patch("/v2/groups/team/sub", {"enforceRole": True})).status == 422


async def test_a_subtree_or_all_is_removed(api: Api) -> None:
    await api.create("/team/web", instances=0)
    await api.create("/other", instances=0)
    assert (await api.delete("/v2/groups/team")).status == 200
    assert [app["id"] for app in (await api.get("/v2/apps")).json["apps"]] == ["/other"]
    assert (await api.get("/v2/groups/team")).status == 404
    assert (await api.delete("/v2/groups")).status == 200
    assert names((await api.get("/v2/groups")).json) == {"id": "/", "apps": [], "groups": []}
