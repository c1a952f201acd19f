"""Tasks: listed as JSON and as text, killed."""

from koinon.mesos.v1 import TaskState
from tests.unit.marathon.api.conftest import APP, Api

CHECK = {"protocol": "HTTP", "path": "/", "intervalSeconds": 1, "gracePeriodSeconds": 5}


async def tasks_of(api: Api, path: str = "/v2/apps/app/tasks"):
    return (await api.get(path)).json["tasks"]


async def test_a_task_says_where_it_runs_and_how_it_is(api: Api) -> None:
    app = await api.create(healthChecks=[CHECK])
    (task,) = await tasks_of(api)
    assert task["appId"] == "/app"
    assert task["id"].startswith("app.instance-")
    assert task["id"].endswith("._app.1")
    assert (task["state"], task["role"], task["version"]) == ("TASK_RUNNING", "*", app["version"])
    assert len(task["ports"]) == 1
    assert task["stagedAt"] <= task["startedAt"]
    (result,) = task["healthCheckResults"]
    assert (result["alive"], result["consecutiveFailures"]) == (True, 0)
    assert result["instanceId"] == task["id"].removesuffix("._app.1")
    assert "servicePorts" not in task
    (same,) = await tasks_of(api, "/v2/tasks")
    assert same == {**task, "servicePorts": [app["portDefinitions"][0]["port"]]}


async def test_what_no_agent_has_yet_is_no_task(api: Api) -> None:
    await api.post("/v2/apps", {**APP, "cpus": 999})
    assert await tasks_of(api) == []


async def test_tasks_are_filtered_by_status(api: Api) -> None:
    await api.create("/one")
    api.world.starting_s = 100
    await api.post("/v2/apps", {**APP, "id": "/two"})
    api.world.run(1)

    async def of(query: str):
        return sorted(task["appId"] for task in await tasks_of(api, f"/v2/tasks{query}"))

    assert await of("") == ["/one", "/two"]
    assert await of("?status=running") == ["/one"]
    assert await of("?status=staging") == ["/two"]
    assert await of("?status[]=running&status[]=staging") == ["/one", "/two"]
    assert await of("?status=nonsense") == ["/one", "/two"]
    group = (await api.get("/v2/apps/*/tasks")).json["tasks"]
    assert len(group) == 2


async def test_load_balancers_read_lines(api: Api) -> None:
    app = await api.create("/team/web", instances=2)
    await api.create("/none", portDefinitions=[])
    tasks = await tasks_of(api, "/v2/apps/team/web/tasks")
    answer = await api.get("/v2/tasks", Accept="text/plain")
    assert answer.headers["Content-Type"].startswith("text/plain")
    port = app["portDefinitions"][0]["port"]
    places = "\t".join(f"{task['host']}:{task['ports'][0]}" for task in tasks)
    (host,) = [task["host"] for task in await tasks_of(api, "/v2/apps/none/tasks")]
    assert sorted(answer.text.splitlines()) == [f"none\t \t{host}\t", f"team_web\t{port}\t{places}\t"]
    assert (await api.get("/v2/apps/team/web/tasks", Accept="text/plain")).text.startswith("team_web\t")
    assert (await api.get("/v2/tasks", Accept="*/*")).json["tasks"]
    assert (await api.get("/v2/tasks", Accept="text/plain, */*")).json["tasks"]


async def test_killed_tasks_are_told_and_replaced_in_place(api: Api) -> None:
    await api.create(instances=2)
    first, second = await tasks_of(api)
    answer = await api.delete(f"/v2/apps/app/tasks/{first['id']}")
    assert answer.json["task"]["id"] == first["id"]
    api.world.run(30)
    after = {task["id"] for task in await tasks_of(api)}
    assert after == {first["id"].removesuffix(".1") + ".2", second["id"]}
    answer = await api.delete("/v2/apps/app/tasks")
    assert {task["id"] for task in answer.json["tasks"]} == after
    api.world.run(30)
    assert not after & {task["id"] for task in await tasks_of(api)}
    assert (await api.get("/v2/apps/app")).json["app"]["instances"] == 2


async def test_wiped_tasks_are_replaced_by_new_instances(api: Api) -> None:
    await api.create()
    (task,) = await tasks_of(api)
    await api.delete(f"/v2/apps/app/tasks/{task['id']}?wipe=true")
    api.world.run(30)
    (new,) = await tasks_of(api)
    assert new["id"].endswith("._app.1")
    assert new["id"] != task["id"]


async def test_tasks_on_a_host_are_killed(api: Api) -> None:
    await api.create(instances=3, constraints=[["hostname", "UNIQUE"]])
    tasks = await tasks_of(api)
    assert len({task["host"] for task in tasks}) == 3
    answer = await api.delete(f"/v2/apps/app/tasks?host={tasks[0]['host']}")
    assert [task["id"] for task in answer.json["tasks"]] == [tasks[0]["id"]]
    assert (await api.delete("/v2/apps/app/tasks?host=elsewhere")).json == {"tasks": []}


async def test_who_kills_and_scales_chooses_who_goes(api: Api) -> None:
    await api.create(instances=3)
    tasks = await tasks_of(api)
    answer = await api.delete(f"/v2/apps/app/tasks/{tasks[0]['id']}?scale=true")
    assert set(answer.json) == {"version", "deploymentId"}
    api.world.settle()
    assert {task["id"] for task in await tasks_of(api)} == {task["id"] for task in tasks[1:]}
    body = {"ids": [tasks[1]["id"], "app.instance-unknown._app.1"]}
    assert (await api.post("/v2/tasks/delete?scale=True", body)).status == 200
    api.world.settle()
    assert [task["id"] for task in await tasks_of(api)] == [tasks[2]["id"]]
    assert (await api.get("/v2/apps/app")).json["app"]["instances"] == 1


async def test_tasks_are_killed_by_their_ids_with_or_without_incarnation(api: Api) -> None:
    await api.create("/one")
    await api.create("/two")
    (one,), (two,) = await tasks_of(api, "/v2/apps/one/tasks"), await tasks_of(api, "/v2/apps/two/tasks")
    ids = [one["id"], two["id"].removesuffix(".1"), "gone.instance-x._app.1"]
    answer = await api.post("/v2/tasks/delete", {"ids": ids})
    assert {task["id"] for task in answer.json["tasks"]} == {one["id"], two["id"]}


async def test_the_last_failure_is_shown(api: Api) -> None:
    await api.create(backoffSeconds=100)
    (task,) = api.world.tasks.values()
    api.world.fail(task, TaskState.TASK_FAILED)
    api.world.run(1)
    app = (await api.get("/v2/apps/app")).json["app"]
    failure = app["lastTaskFailure"]
    assert (failure["appId"], failure["taskId"], failure["state"]) == ("/app", task.id, "TASK_FAILED")
    assert failure["timestamp"] > app["version"]
