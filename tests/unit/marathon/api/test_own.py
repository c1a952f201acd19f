"""`/v2/koinon/…`: reasons, plans, progress, canaries."""

from koinon.mesos.v1 import TaskState
from tests.unit.marathon.api.conftest import APP, Api
from tests.unit.marathon.api.test_pods import POD


async def why(api: Api, path: str = "app"):
    found = (await api.get(f"/v2/koinon/why/{path}")).json
    return found, {one["code"]: one["sentence"] for one in found["reasons"]}


async def test_it_says_what_an_offer_lacks(api: Api) -> None:
    await api.post("/v2/apps", {**APP, "cpus": 999, "constraints": [["rack", "LIKE", "a"]]})
    api.world.run(2)
    found, reasons = await why(api)
    assert (found["kind"], found["status"], found["waiting"]) == ("app", "Deploying", 1)
    assert "3 offers were looked at" in reasons["Waiting"]
    assert reasons["UnfulfilledConstraint"].startswith("on 3 agents")
    await api.patch("/v2/apps/app?force=true", {"constraints": []})
    api.world.run(10)
    _, reasons = await why(api)
    assert "999 cpus needed, 16 offered: 983 missing" in reasons["InsufficientCpus"]


async def test_it_says_that_nobody_offers_anything(api: Api) -> None:
    api.world.disconnect()
    await api.post("/v2/apps", APP)
    _, reasons = await why(api)
    assert "not connected to a master" in reasons["Disconnected"]
    assert "no agent has offered anything yet" in reasons["NoOffers"]


async def test_it_says_that_tasks_fail_and_how_long_it_waits(api: Api) -> None:
    await api.create(backoffSeconds=100)
    (task,) = api.world.tasks.values()
    api.world.fail(task, TaskState.TASK_FAILED)
    api.world.run(1)
    found, reasons = await why(api)
    assert found["status"] == "Delayed"
    assert "because its tasks have failed" in reasons["Delayed"]
    assert "ended as FAILED" in reasons["LastTaskFailure"]


async def test_it_says_who_is_waited_for(api: Api) -> None:
    apps = [{**APP, "id": "db", "cpus": 999}, {**APP, "id": "web", "dependencies": ["db"]}]
    await api.post("/v2/groups", {"id": "/team", "apps": apps})
    _, reasons = await why(api, "team/web")
    assert "is about /team/db; its own turn is another step's" in reasons["WaitsForOthers"]


async def test_what_is_well_or_suspended_has_no_complaints(api: Api) -> None:
    await api.create()
    found, reasons = await why(api)
    assert (found["status"], found["running"], reasons) == ("Running", 1, {})
    await api.patch("/v2/apps/app", {"instances": 0})
    api.world.settle()
    found, reasons = await why(api)
    assert (found["status"], reasons) == ("Suspended", {"Suspended": "It is to have no instances."})


async def test_sick_instances_are_told_with_the_cause(api: Api) -> None:
    check = {"protocol": "HTTP", "path": "/", "intervalSeconds": 1, "gracePeriodSeconds": 0, "maxConsecutiveFailures": 0}  # fmt: skip
    await api.create(healthChecks=[check])
    api.world.probe = lambda probe: False
    api.world.run(5)
    _, reasons = await why(api)
    assert "1 instance is not healthy" in reasons["Unhealthy"]


async def test_apps_groups_and_pods_are_deployed_at_once_and_planned_before(api: Api) -> None:
    await api.create("/old", mem=16)
    body = {
        "apps": [{**APP, "id": "/old", "mem": 17}, {**APP, "id": "/new"}],
        "groups": [{"id": "/team", "apps": [{**APP, "id": "a"}]}],
        "pods": [POD],
    }
    planned = await api.post("/v2/koinon/deploy?dryRun=true", body)
    changes = {one["id"]: one for one in planned.json["changes"]}
    assert {path: one["change"] for path, one in changes.items()} == {
        "/old": "update",
        "/new": "create",
        "/team/a": "create",
        "/pod": "create",
    }
    assert (changes["/old"]["before"]["mem"], changes["/old"]["after"]["mem"]) == (16, 17)
    assert (changes["/new"]["before"], changes["/pod"]["kind"]) == (None, "pod")
    assert planned.json["lockedBy"] == []
    assert (await api.get("/v2/apps/new")).status == 404
    done = await api.post("/v2/koinon/deploy", body)
    assert done.json["steps"] == planned.json["steps"]
    assert len((await api.get("/v2/deployments")).json) == 1
    again = await api.post("/v2/koinon/deploy?dryRun=true", {"apps": [{**APP, "id": "/new", "mem": 99}]})
    assert again.json["lockedBy"] == [done.json["deploymentId"]]
    api.world.settle()
    assert (await api.post("/v2/koinon/deploy?dryRun=true", body)).json["changes"] == []
    scaled = await api.post(
        "/v2/koinon/deploy?dryRun=true", {"apps": [{**APP, "id": "/new", "instances": 2}]}
    )
    assert [one["change"] for one in scaled.json["changes"]] == ["scale"]


async def test_progress_is_told_and_how_it_ended(api: Api) -> None:
    await api.create(instances=2)
    api.world.starting_s = 5
    name = (await api.put("/v2/apps/app", {"mem": 17})).json["deploymentId"]
    api.world.run(1)
    told = (await api.get(f"/v2/koinon/deployments/{name}")).json
    assert (told["state"], told["step"], told["steps"]) == ("running", 1, 1)
    (action,) = told["actions"]
    assert {
        key: action[key] for key in ("action", "id", "instances", "launched", "running", "ready", "old")
    } == {
        "action": "RestartApplication",
        "id": "/app",
        "instances": 2,
        "launched": 2,
        "running": 0,
        "ready": 0,
        "old": 2,
    }
    api.world.settle()
    told = (await api.get(f"/v2/koinon/deployments/{name}")).json
    assert (told["state"], "reason" in told) == ("succeeded", False)
    name = (await api.put("/v2/apps/app", {"cpus": 999})).json["deploymentId"]
    await api.delete(f"/v2/deployments/{name}")
    told = (await api.get(f"/v2/koinon/deployments/{name}")).json
    assert (told["state"], "cancelled" in told["reason"]) == ("failed", True)


async def test_a_canary_waits_for_a_word(api: Api) -> None:
    await api.create(instances=3, labels={"koinon.canary": "1"})
    name = (await api.put("/v2/apps/app", {"mem": 17})).json["deploymentId"]
    api.world.run(60)
    told = (await api.get(f"/v2/koinon/deployments/{name}")).json
    assert list(told["canaries"]) == ["/app"]
    assert told["actions"][0]["ready"] == 1
    _, reasons = await why(api)
    assert "koinon app go /app" in reasons["Canary"]
    assert (await api.post(f"/v2/koinon/deployments/{name}/continue")).status == 200
    api.world.settle()
    assert (await api.get("/v2/apps/app")).json["app"]["tasksRunning"] == 3
