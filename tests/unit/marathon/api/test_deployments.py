"""Deployments, the queue, and what is about the process."""

from koinon.mesos.v1 import TaskState
from tests.unit.marathon.api.conftest import APP, Api

HUGE = {**APP, "cpus": 999}


async def test_a_deployment_shows_where_it_is(api: Api) -> None:
    assert (await api.get("/v2/deployments")).json == []
    app = (await api.post("/v2/apps", HUGE)).json
    (deployment,) = (await api.get("/v2/deployments")).json
    assert deployment == {
        "id": app["deployments"][0]["id"],
        "version": app["version"],
        "affectedApps": ["/app"],
        "affectedPods": [],
        "steps": [
            {"actions": [{"action": "StartApplication", "app": "/app"}]},
            {"actions": [{"action": "ScaleApplication", "app": "/app"}]},
        ],
        "currentActions": [{"action": "ScaleApplication", "app": "/app", "readinessCheckResults": []}],
        "currentStep": 2,
        "totalSteps": 2,
    }


async def test_readiness_is_shown_with_the_deployment(api: Api) -> None:
    api.world.probe = lambda probe: False
    check = {"name": "ready", "portName": "http", "intervalSeconds": 2, "timeoutSeconds": 1}
    check["preserveLastResponse"] = True
    ports = [{"port": 0, "name": "http"}]
    await api.post("/v2/apps", {**APP, "portDefinitions": ports, "readinessChecks": [check]})
    api.world.run(5)
    (deployment,) = (await api.get("/v2/deployments")).json
    (result,) = deployment["currentActions"][0]["readinessCheckResults"]
    assert (result["name"], result["ready"], result["lastResponse"]["status"]) == ("ready", False, 500)
    app = (await api.get("/v2/apps/app?embed=app.readiness")).json["app"]
    assert app["readinessCheckResults"] == [result]


async def test_it_is_undone_or_just_stopped(api: Api) -> None:
    await api.create(instances=1)
    identifier = (await api.put("/v2/apps/app", {"cpus": 999})).json["deploymentId"]
    answer = await api.delete(f"/v2/deployments/{identifier}")
    assert (answer.status, set(answer.json)) == (200, {"version", "deploymentId"})
    assert (await api.get("/v2/apps/app")).json["app"]["cpus"] == 0.1
    api.world.settle()
    identifier = (await api.put("/v2/apps/app", {"cpus": 999})).json["deploymentId"]
    answer = await api.delete(f"/v2/deployments/{identifier}?force=true")
    assert (answer.status, answer.text) == (202, "")
    assert (await api.get("/v2/deployments")).json == []
    assert (await api.get("/v2/apps/app")).json["app"]["cpus"] == 999


async def test_what_waits_is_in_the_queue_with_the_reasons(api: Api) -> None:
    assert (await api.get("/v2/queue")).json == {"queue": []}
    await api.post("/v2/apps", {**HUGE, "instances": 2})
    api.world.run(1)
    (entry,) = (await api.get("/v2/queue")).json["queue"]
    assert (entry["app"]["id"], entry["count"]) == ("/app", 2)
    assert entry["delay"] == {"timeLeftSeconds": 0, "overdue": True}
    assert "role" not in entry
    assert "lastUnusedOffers" not in entry
    summary = entry["processedOffersSummary"]
    assert summary["unusedOffersCount"] == summary["processedOffersCount"] == 3
    assert summary["lastUnusedOfferAt"]
    for rows in (summary["rejectSummaryLastOffers"], summary["rejectSummaryLaunchAttempt"]):
        assert len(rows) == 10
        assert [row for row in rows if row["declined"]] == [
            {"reason": "InsufficientCpus", "declined": 3, "processed": 3}
        ]
    (entry,) = (await api.get("/v2/queue?embed=lastUnusedOffers")).json["queue"]
    unused = entry["lastUnusedOffers"][0]
    assert unused["reason"] == ["InsufficientCpus"]
    assert {"name": "cpus", "role": "*", "scalar": 16.0} in unused["offer"]["resources"]
    assert {"id", "hostname", "agentId", "resources", "attributes"} == set(unused["offer"])


async def test_what_failed_waits_until_its_delay_is_over_or_reset(api: Api) -> None:
    await api.create(backoffSeconds=100)
    (task,) = api.world.tasks.values()
    api.world.fail(task, TaskState.TASK_FAILED)
    api.world.run(1)
    (entry,) = (await api.get("/v2/queue")).json["queue"]
    assert entry["delay"]["overdue"] is False
    assert 95 < entry["delay"]["timeLeftSeconds"] <= 100
    answer = await api.delete("/v2/queue/app/delay")
    assert (answer.status, answer.text) == (204, "")
    api.world.run(5)
    assert (await api.get("/v2/queue")).json == {"queue": []}
    assert (await api.get("/v2/apps/app")).json["app"]["tasksRunning"] == 1
    assert (await api.delete("/v2/queue/app/delay")).status == 404


async def test_the_process_tells_about_itself(api: Api) -> None:
    assert (await api.get("/v2/info")).json == {"name": "marathon"}
    assert (await api.get("/v2/leader")).json == {"leader": "127.0.0.1:8080"}
    assert (await api.get("/v2/plugins")).json == {"plugins": []}
    assert (await api.delete("/v2/leader?backup=file:///x")).status == 422
    assert (await api.delete("/v2/leader")).json == {"message": "Leadership abdicated"}
    assert api.runtime.abdications == 1
    api.runtime.leads = ""
    assert (await api.get("/v2/leader")).status == 404
