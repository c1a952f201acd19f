"""`/v2/pods`."""

from koinon.mesos.v1 import TaskState
from tests.unit.marathon.api.conftest import Api

ONE = {
    "name": "one",
    "resources": {"cpus": 0.1, "mem": 16},
    "exec": {"command": {"shell": "sleep 1000"}},
    "endpoints": [{"name": "http", "hostPort": 0}],
}
POD = {"id": "/pod", "containers": [ONE, {**ONE, "name": "two", "endpoints": []}]}


async def create(api: Api, **more):
    answer = await api.post("/v2/pods", {**POD, **more})
    assert answer.status == 201, answer.text
    api.world.settle()
    return answer


async def test_a_pod_is_created_shown_changed_and_removed(api: Api) -> None:
    answer = await create(api)
    pod = answer.json
    assert answer.headers["Location"] == "/v2/pods/pod"
    assert answer.headers["Marathon-Deployment-Id"]
    assert (await api.get("/v2/pods/pod")).json == pod
    assert (await api.get("/v2/pods")).json == [pod]
    head = await api.ask("HEAD", "/v2/pods")
    assert (head.status, head.text) == (200, "")
    assert (await api.post("/v2/pods", POD)).status == 409
    changed = await api.put("/v2/pods/pod", {**POD, "scaling": {"kind": "fixed", "instances": 2}})
    assert (changed.status, changed.json["scaling"]["instances"]) == (200, 2)
    assert changed.headers["Marathon-Deployment-Id"]
    api.world.settle()
    versions = (await api.get("/v2/pods/pod::versions")).json
    assert versions == [changed.json["version"], pod["version"]]
    assert (await api.get(f"/v2/pods/pod::versions/{pod['version']}")).json == pod
    assert (await api.get("/v2/pods/pod::versions/2020-01-01T00:00:00.000Z")).status == 404
    group = (await api.get("/v2/groups")).json
    assert [one["id"] for one in group["pods"]] == ["/pod"]
    removed = await api.delete("/v2/pods/pod")
    assert (removed.status, removed.text) == (202, "")
    deployment = removed.headers["Marathon-Deployment-Id"]
    assert removed.headers["Location"] == f"/v2/deployments/{deployment}"
    assert (await api.get("/v2/deployments")).json[0]["affectedPods"] == ["/pod"]
    assert (await api.get("/v2/pods/pod")).status == 404
    created = await api.put("/v2/pods/pod", POD)
    assert created.status == 409  # its end is still under way
    api.world.settle()
    assert (await api.put("/v2/pods/pod", POD)).status == 200


async def test_the_status_tells_of_each_container(api: Api) -> None:
    pod = (await create(api)).json
    status = (await api.get("/v2/pods/pod::status")).json
    assert (status["id"], status["spec"], status["status"]) == ("/pod", pod, "STABLE")
    (instance,) = status["instances"]
    assert (instance["status"], instance["role"]) == ("STABLE", "*")
    assert instance["resources"] == {"cpus": 0.3, "mem": 64, "disk": 10, "gpus": 0}
    assert instance["specReference"] == f"/v2/pods/pod::versions/{pod['version']}"
    one, two = sorted(instance["containers"], key=lambda one: one["name"])
    assert (one["name"], one["status"], two["status"]) == ("one", "TASK_RUNNING", "TASK_RUNNING")
    assert one["endpoints"][0]["allocatedHostPort"] >= 31000
    assert one["containerId"] in api.world.tasks
    assert (await api.get("/v2/pods/::status")).json[0]["id"] == "/pod"


async def test_a_pod_with_fewer_instances_than_wanted_is_degraded(api: Api) -> None:
    await create(api, scaling={"kind": "fixed", "instances": 2})
    api.world.fail(next(iter(api.world.tasks.values())), TaskState.TASK_FAILED)
    api.world.run(0.2)
    status = (await api.get("/v2/pods/pod::status")).json
    assert status["status"] == "DEGRADED"
    assert len(status["terminationHistory"]) <= 1


async def test_instances_are_killed_and_replaced(api: Api) -> None:
    await create(api, scaling={"kind": "fixed", "instances": 2})
    first, second = (one["id"] for one in (await api.get("/v2/pods/pod::status")).json["instances"])
    answer = await api.delete(f"/v2/pods/pod::instances/{first}")
    assert (answer.status, answer.json["instanceId"]) == (200, first)
    assert answer.json["state"]["condition"] == "Running"
    answer = await api.delete("/v2/pods/pod::instances?wipe=true", [second, "pod.instance-none"])
    assert [one["instanceId"] for one in answer.json] == [second]
    api.world.run(30)
    now = {one["id"] for one in (await api.get("/v2/pods/pod::status")).json["instances"]}
    assert first in now
    assert second not in now
    assert len(now) == 2


async def test_an_app_that_had_the_id_before_is_no_part_of_the_pod(api: Api) -> None:
    api.world.dying_s = 100
    await api.create("/pod")
    await api.delete("/v2/apps/pod")
    answer = await api.ask("PUT", "/v2/pods/pod?force=true", POD)
    assert answer.status == 200
    status = (await api.get("/v2/pods/pod::status")).json
    assert (status["status"], status["instances"]) == ("DEGRADED", [])
    assert (await api.get("/v2/groups")).status == 200
