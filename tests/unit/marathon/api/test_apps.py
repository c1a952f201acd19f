"""`/v2/apps`."""

from tests.unit.marathon.api.conftest import APP, Api


def ids(answer):
    return sorted(app["id"] for app in answer.json["apps"])


async def test_what_is_created_is_answered_with_its_service_ports_and_deployment(api: Api) -> None:
    answer = await api.post("/v2/apps", {**APP, "id": "team/db"})
    assert (answer.status, answer.headers["Location"]) == (201, "/team/db")
    app = answer.json
    (deployment,) = app["deployments"]
    assert answer.headers["Marathon-Deployment-Id"] == deployment["id"]
    assert app["id"] == "/team/db"
    assert app["portDefinitions"][0]["port"] >= 10000
    assert [app[f"tasks{kind}"] for kind in ("Staged", "Running", "Healthy", "Unhealthy")] == [0] * 4
    assert app["version"] == app["versionInfo"]["lastConfigChangeAt"]
    assert "container" not in app


async def test_one_app_is_shown_with_its_tasks(api: Api) -> None:
    await api.create(instances=2)
    app = (await api.get("/v2/apps/app")).json["app"]
    assert (app["tasksRunning"], len(app["tasks"]), app["deployments"]) == (2, 2, [])
    assert "lastTaskFailure" not in app
    assert "taskStats" not in app
    for path in ("/v2/apps//app", "/v2/apps/%2Fapp"):
        assert (await api.get(path)).json["app"] == app
    more = (await api.get("/v2/apps/app?embed=app.taskStats&embed=apps.readiness&embed=nonsense")).json["app"]
    assert more["readinessCheckResults"] == []
    assert more["taskStats"]["totalSummary"]["stats"]["counts"]["running"] == 2
    assert "withOutdatedConfig" not in more["taskStats"]
    assert (await api.get("/v2/apps/nowhere")).status == 404


async def test_lists_hold_what_passes_all_filters(api: Api) -> None:
    await api.create("/web", instances=0, labels={"env": "prod", "tier": "front"})
    await api.create("/team/db", instances=0, cmd="exec postgres", labels={"env": "dev"})
    await api.create("/team/args", instances=0, cmd=None, args=["true"])
    assert ids(await api.get("/v2/apps")) == ["/team/args", "/team/db", "/web"]
    assert ids(await api.get("/v2/apps?cmd=POSTGRES")) == ["/team/db"]
    assert ids(await api.get("/v2/apps?id=TEAM")) == ["/team/args", "/team/db"]
    assert ids(await api.get("/v2/apps?label=env")) == ["/team/db", "/web"]
    assert ids(await api.get("/v2/apps?label=env%3D%3Dprod")) == ["/web"]
    assert ids(await api.get("/v2/apps?label=env!%3Dprod")) == ["/team/db"]
    assert ids(await api.get("/v2/apps?label=env in (prod, test),tier")) == ["/web"]
    assert ids(await api.get("/v2/apps?label=env notin (prod)&id=team")) == ["/team/db"]
    bad = await api.get("/v2/apps?label=env = x")
    assert (bad.status, set(bad.json)) == (422, {"message"})


async def test_lists_embed_counts_and_deployments_always_and_tasks_when_asked(api: Api) -> None:
    await api.create()
    (app,) = (await api.get("/v2/apps")).json["apps"]
    assert (app["tasksRunning"], app["deployments"]) == (1, [])
    assert "tasks" not in app
    for embed in ("apps.tasks", "app.tasks", "group.apps.tasks", "apps.failures"):
        (app,) = (await api.get(f"/v2/apps?embed={embed}")).json["apps"]
        assert [task["state"] for task in app["tasks"]] == ["TASK_RUNNING"]


async def test_a_group_of_apps_is_listed_under_a_star(api: Api) -> None:
    for path in ("/web", "/team/db", "/team/sub/cache", "/teamwork"):
        await api.create(path, instances=0)
    assert sorted(app["id"] for app in (await api.get("/v2/apps/team/*")).json["*"]) == [
        "/team/db",
        "/team/sub/cache",
    ]
    assert len((await api.get("/v2/apps/*")).json["*"]) == 4


async def test_put_changes_what_it_names_or_all_or_creates(api: Api) -> None:
    await api.create(instances=0, env={"A": "1"}, labels={"x": "y"})
    answer = await api.put("/v2/apps/app", {"env": {"B": "2"}})
    assert (answer.status, set(answer.json)) == (200, {"version", "deploymentId"})
    assert answer.headers["Marathon-Deployment-Id"] == answer.json["deploymentId"]
    app = (await api.get("/v2/apps/app")).json["app"]
    assert (app["env"], app["labels"], app["version"]) == ({"B": "2"}, {"x": "y"}, answer.json["version"])
    await api.put("/v2/apps/app?partialUpdate=false", {"cmd": "sleep 2", "instances": 0})
    app = (await api.get("/v2/apps/app")).json["app"]
    assert ("env" in app, app["labels"], app["cpus"]) == (False, {}, 1)
    await api.put("/v2/apps/app", {"labels": {"a": "b"}})
    await api.put("/v2/apps/app", {"labels": None})
    assert (await api.get("/v2/apps/app")).json["app"]["labels"] == {}
    created = await api.put("/v2/apps/new", {"cmd": "sleep 1", "instances": 0})
    assert (created.status, created.headers["Location"]) == (201, "/new")


async def test_what_changes_nothing_restarts_nothing(api: Api) -> None:
    await api.create()
    before = (await api.get("/v2/apps/app")).json["app"]
    answer = await api.put("/v2/apps/app", {"cpus": 0.1})
    assert answer.status == 200
    assert answer.json["deploymentId"]
    assert (await api.get("/v2/deployments")).json == []
    assert (await api.get("/v2/apps/app")).json["app"] == before


async def test_patch_is_for_apps_that_are_there(api: Api) -> None:
    await api.create(instances=0)
    assert (await api.patch("/v2/apps/app", {"mem": 17})).status == 200
    assert (await api.patch("/v2/apps/nowhere", {"mem": 17})).status == 404
    both = [{"id": "/app", "mem": 18}, {"id": "/nowhere", "mem": 18}]
    assert (await api.patch("/v2/apps", both)).status == 404
    assert (await api.get("/v2/apps/app")).json["app"]["mem"] == 17
    assert (await api.put("/v2/apps", [both[0], {**APP, "id": "/two", "instances": 0}])).status == 200
    assert ids(await api.get("/v2/apps")) == ["/app", "/two"]


async def test_versions_come_newest_first_and_can_be_gone_back_to(api: Api) -> None:
    first = (await api.create(instances=0))["version"]
    second = (await api.put("/v2/apps/app", {"mem": 17})).json["version"]
    assert (await api.get("/v2/apps/app/versions")).json == {"versions": [second, first]}
    then = await api.get(f"/v2/apps/app/versions/{first}")
    assert (then.json["mem"], then.json["version"]) == (16, first)
    assert "tasksRunning" not in then.json
    assert (await api.get("/v2/apps/app/versions/2020-01-01T00:00:00.000Z")).status == 404
    assert (await api.get("/v2/apps/app/versions/yesterday")).status == 422
    assert (await api.get("/v2/apps/nowhere/versions")).status == 404
    assert (await api.put("/v2/apps/app", {"version": first})).status == 200
    assert (await api.get("/v2/apps/app")).json["app"]["mem"] == 16
    assert (await api.put("/v2/apps/app", {"version": first, "mem": 20})).status == 422
    assert (await api.put("/v2/apps/app", {"version": "2020-01-01T00:00:00.000Z"})).status == 404
    assert (await api.put("/v2/apps/app", {"id": "/app", "version": second})).status == 200


async def test_restart_replaces_all_and_delete_removes(api: Api) -> None:
    await api.create(instances=2)
    before = {task["id"] for task in (await api.get("/v2/apps/app/tasks")).json["tasks"]}
    assert (await api.post("/v2/apps/app/restart")).status == 200
    api.world.settle()
    after = {task["id"] for task in (await api.get("/v2/apps/app/tasks")).json["tasks"]}
    assert len(after) == 2
    assert not before & after
    assert (await api.post("/v2/apps/nowhere/restart")).status == 404
    assert (await api.delete("/v2/apps/app")).status == 200
    assert (await api.get("/v2/apps/app")).status == 404
    assert (await api.delete("/v2/apps/app")).status == 404


async def test_what_is_being_deployed_is_locked_unless_forced(api: Api) -> None:
    (deployment,) = (await api.post("/v2/apps", {**APP, "cpus": 999})).json["deployments"]
    for method, path, body in (
        ("PUT", "/v2/apps/app", {"mem": 17}),
        ("PATCH", "/v2/apps/app", {"mem": 17}),
        ("PUT", "/v2/apps", [{"id": "/app", "mem": 17}]),
        ("POST", "/v2/apps/app/restart", None),
        ("DELETE", "/v2/apps/app?force=false", None),
        ("DELETE", "/v2/groups", None),
    ):
        locked = await api.ask(method, path, body)
        assert (locked.status, locked.json["deployments"]) == (409, [deployment]), (method, path)
    forced = await api.ask("PUT", "/v2/apps/app?force=True", {"mem": 17})
    assert forced.status == 200
    assert (await api.delete("/v2/apps/app")).status == 200  # force is meant here
    exists = await api.create("/other", instances=0)
    again = await api.post("/v2/apps", {**APP, "id": exists["id"]})
    assert (again.status, "deployments" in again.json) == (409, False)


async def test_a_dry_run_tells_the_steps_and_does_nothing(api: Api) -> None:
    for path in ("/v2/apps?dryRun", "/v2/apps?dryRun=true"):
        answer = await api.post(path, APP)
        assert answer.status == 200
        assert answer.json == {
            "steps": [
                {"actions": [{"action": "StartApplication", "app": "/app"}]},
                {"actions": [{"action": "ScaleApplication", "app": "/app"}]},
            ]
        }
    assert (await api.get("/v2/apps")).json == {"apps": []}
    await api.create()
    answer = await api.put("/v2/apps/app?dryRun=true", {"cmd": "sleep 2"})
    assert answer.json == {"steps": [{"actions": [{"action": "RestartApplication", "app": "/app"}]}]}
    assert (await api.get("/v2/apps/app")).json["app"]["cmd"] == "sleep 1000"
    refused = await api.post("/v2/apps?dryRun", {**APP, "id": "/other", "labels": {"koinon.canary": "many"}})
    assert refused.status == 422
