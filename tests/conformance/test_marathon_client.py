"""An unmodified third-party client: the PyPI package `marathon` against a real Marathon, master and agent.

Every method of its MarathonClient is called, but those for endpoints that Marathon itself removed (event
subscriptions), and `kill_tasks` in batches, in which the client breaks by itself on today's Python.
"""

import collections
import collections.abc
import contextlib
import queue
import threading
import warnings

import pytest
from requests.exceptions import ChunkedEncodingError

from tests.cluster.harness import eventually
from tests.cluster.marathons import Marathons

# The client looks there for what Python 3.10 has moved; the package itself is as it was published.
collections.Iterable = collections.abc.Iterable
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from marathon import MarathonClient
    from marathon.exceptions import ConflictError, MarathonHttpError, NotFoundError
    from marathon.models import MarathonApp, MarathonGroup, MarathonHealthCheck
    from marathon.models.app import PortDefinition

#: It leaves sockets to the garbage collector, and logs by names that are outdated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

COMMAND = "exec sleep 1000"


@pytest.fixture(scope="module")
def marathons(cluster):
    found = Marathons(cluster)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def client(marathons):
    """One whose apps and groups are removed at the end."""
    found = MarathonClient(f"http://{marathons.roles[0].address}")
    yield found
    marathons.ask("/v2/groups?force=true", "DELETE")
    marathons.wait_deployed()
    eventually(lambda: not found.list_tasks(), "all tasks have ended")


def sleeper(**more):
    return MarathonApp(**{"cmd": COMMAND, "cpus": 0.1, "mem": 16, "instances": 1, **more})


def create(client, app_id, **more):
    """An app of which all instances run."""
    created = client.create_app(app_id, sleeper(**more))
    deployed(client)
    return created


def deployed(client):
    eventually(lambda: client.list_deployments() == [], "no deployment runs", 20)


class Heard:
    """Events of a client's stream."""

    def __init__(self, client, **options):
        self._events = queue.Queue()
        threading.Thread(target=self._listen, args=(client, options), daemon=True).start()
        self.first = self._events.get(timeout=10)

    def _listen(self, client, options):
        with contextlib.suppress(ChunkedEncodingError):  # the server's end
            for event in client.event_stream(**options):
                self._events.put(event)

    def until(self, name):
        """All events up to one of this name, which comes last."""
        found = []
        while not found or type(found[-1]).__name__ != name:
            found.append(self._events.get(timeout=20))
        return found


# ── about the server ──────────────────────────────────────────────────────────────────────────────
def test_it_tells_about_itself(client, marathons):
    info = client.get_info()
    assert (info.name, info.elected, info.leader) == ("marathon", True, marathons.roles[0].address)
    assert eventually(lambda: client.get_info().framework_id, "a master has taken it in")
    assert info.marathon_config.checkpoint is True
    assert info.http_config.http_port == marathons.roles[0].port
    assert client.get_leader() == {"leader": marathons.roles[0].address}
    assert b"pong" in client.ping()
    assert {"version", "gauges", "counters", "histograms", "meters", "timers"} <= set(client.get_metrics())


def test_the_next_server_is_tried_when_one_is_away(marathons):
    client = MarathonClient(["http://127.0.0.1:1", f"http://{marathons.roles[0].address}"])
    assert client.list_apps() == []


# ── apps ──────────────────────────────────────────────────────────────────────────────────────────
def test_an_app_is_created_and_comes_back_as_it_was_sent(client):
    app = sleeper(
        env={"KEY": "value"},
        labels={"tier": "back"},
        constraints=[("hostname", "LIKE", ".*")],
        port_definitions=[PortDefinition(port=0, protocol="tcp", name="http")],
        health_checks=[
            MarathonHealthCheck(protocol="COMMAND", command="true", interval_seconds=1, delay_seconds=0)
        ],
        fetch=[],
        upgrade_strategy=None,
    )
    created = client.create_app("/team/db", app)
    assert created.id == "/team/db"
    assert len(created.deployments) == 1
    deployed(client)
    found = client.get_app("/team/db", embed_readiness=True, embed_task_stats=True)
    assert (found.cmd, found.cpus, found.mem, found.instances) == (COMMAND, 0.1, 16, 1)
    assert (found.env, found.labels) == ({"KEY": "value"}, {"tier": "back"})
    assert found.constraints[0].json_repr() == ["hostname", "LIKE", ".*"]
    assert found.port_definitions[0].name == "http"
    assert found.port_definitions[0].port >= 10000
    assert found.health_checks[0].command == {"value": "true"}
    assert (found.tasks_running, len(found.tasks), found.deployments) == (1, 1, [])
    assert found.tasks[0].state == "TASK_RUNNING"
    assert found.task_stats.total_summary.stats.counts.running == 1
    eventually(lambda: client.get_app("/team/db").tasks_healthy == 1, "it is healthy")
    with pytest.raises(ConflictError):
        client.create_app("/team/db", app)


def test_apps_are_listed_and_filtered(client):
    create(client, "/web", labels={"env": "prod"})
    client.create_app("/db", sleeper(cmd="exec sleep 2000", instances=0))
    assert {app.id for app in client.list_apps()} == {"/web", "/db"}
    assert [app.id for app in client.list_apps(cmd="SLEEP 2000")] == ["/db"]
    assert [app.id for app in client.list_apps(app_id="we")] == ["/web"]
    assert [app.id for app in client.list_apps(label="env==prod")] == ["/web"]
    assert [app.id for app in client.list_apps(instances=0)] == ["/db"]
    embeds = ("tasks", "counts", "deployments", "readiness", "last_task_failure", "failures", "task_stats")
    (web,) = client.list_apps(app_id="web", **{f"embed_{name}": True for name in embeds})
    assert (len(web.tasks), web.tasks_running) == (1, 1)
    with pytest.raises(MarathonHttpError) as refused:
        client.list_apps(label="env = prod")
    assert refused.value.status_code == 422
    with pytest.raises(NotFoundError):
        client.get_app("/nowhere")


def test_apps_are_scaled_updated_and_restarted(client):
    create(client, "/web")
    (first,) = client.list_tasks("/web")
    answer = client.scale_app("/web", delta=1)
    assert set(answer) == {"version", "deploymentId"}
    deployed(client)
    assert len(client.list_tasks("/web")) == 2
    client.scale_app("/web", instances=1)
    deployed(client)
    client.update_app("/web", MarathonApp(env={"A": "b"}, mem=17))
    deployed(client)
    web = client.get_app("/web")
    assert (web.env, web.mem, web.cpus, web.instances) == ({"A": "b"}, 17, 0.1, 1)
    assert first.id not in {task.id for task in web.tasks if task.state == "TASK_RUNNING"}
    before = web.version_info
    client.restart_app("/web")
    deployed(client)
    after = client.get_app("/web").version_info
    assert after.last_config_change_at > before.last_config_change_at
    assert after.last_scaling_at == before.last_scaling_at
    assert client.scale_app("/nowhere", instances=1) is None


def test_several_apps_are_updated_at_once(client):
    create(client, "/a")
    answer = client.update_apps([MarathonApp(id="/a", instances=2), sleeper(id="/b")])
    assert set(answer) == {"version", "deploymentId"}
    deployed(client)
    assert {app.id: app.tasks_running for app in client.list_apps()} == {"/a": 2, "/b": 1}


def test_an_app_goes_back_to_an_earlier_version(client):
    create(client, "/versioned")
    first = client.get_app("/versioned").version
    client.update_app("/versioned", MarathonApp(mem=17))
    deployed(client)
    second = client.get_app("/versioned").version
    assert client.list_versions("/versioned") == [second, first]
    assert client.get_version("/versioned", first).mem == 16
    client.rollback_app("/versioned", first)
    deployed(client)
    assert client.get_app("/versioned").mem == 16
    with pytest.raises(NotFoundError):
        client.get_version("/versioned", "2020-01-01T00:00:00.000Z")


def test_an_app_is_deleted(client):
    create(client, "/web")
    assert set(client.delete_app("/web")) == {"version", "deploymentId"}
    with pytest.raises(NotFoundError):
        client.get_app("/web")
    with pytest.raises(NotFoundError):
        client.delete_app("/web", force=True)


def test_a_wrong_definition_is_refused_with_all_that_is_wrong(client):
    with pytest.raises(MarathonHttpError) as refused:
        client.create_app("/web", MarathonApp(cpus=0.1, instances=-1))
    assert refused.value.status_code == 422
    assert refused.value.error_message == "Invalid JSON"
    assert [one["path"] for one in refused.value.error_details] == ["/instances"]


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────
def test_tasks_are_listed_with_where_they_are(client):
    create(client, "/web", instances=2, port_definitions=[PortDefinition(port=0), PortDefinition(port=0)])
    tasks = client.list_tasks("/web")
    assert {task.app_id for task in tasks} == {"/web"}
    assert {task.id for task in tasks} == {task.id for task in client.list_tasks()}
    endpoints = client.list_endpoints()
    service_ports = [one.port for one in client.get_app("/web").port_definitions]
    assert sorted((one.task_id, one.task_port, one.service_port) for one in endpoints) == sorted(
        (task.id, port, service_port)
        for task in tasks
        for port, service_port in zip(task.ports, service_ports, strict=True)
    )
    assert client.list_tasks("/web", state="TASK_FAILED") == []


def test_killed_tasks_are_replaced(client):
    create(client, "/web", instances=2)

    def running():
        return {task.id for task in client.list_tasks("/web") if task.state == "TASK_RUNNING"}

    def replaced(before):
        return eventually(
            lambda: found if len(found := running()) == 2 and not found & before else None, "replaced", 20
        )

    all_ = running()
    killed = client.kill_task("/web", min(all_))
    assert killed.id == min(all_)
    others = eventually(
        lambda: found if len(found := running()) == 2 and killed.id not in found else None, "replaced", 20
    )
    assert {task.id for task in client.kill_tasks("/web")} == others
    newer = replaced(others)
    assert client.kill_given_tasks(sorted(newer)) is True
    replaced(newer)
    assert client.kill_tasks("/web", host="elsewhere") == []
    with pytest.raises(NotFoundError):
        client.kill_task("/web", "web.instance-none._app.1")


def test_killed_tasks_are_not_replaced_when_the_app_is_scaled_down(client):
    create(client, "/web", instances=4)
    tasks = client.list_tasks("/web")
    answer = client.kill_task("/web", tasks[0].id, scale=True)
    assert set(answer) == {"version", "deploymentId"}
    deployed(client)
    assert client.get_app("/web").instances == 3
    assert client.kill_given_tasks([tasks[1].id], scale=True, force=True) is True
    deployed(client)
    left = {task.id for task in client.list_tasks("/web") if task.state == "TASK_RUNNING"}
    assert left == {tasks[2].id, tasks[3].id}
    client.kill_tasks("/web", scale=True)
    deployed(client)
    assert client.get_app("/web").instances == 0


# ── groups ────────────────────────────────────────────────────────────────────────────────────────
def test_a_group_is_created_scaled_changed_rolled_back_and_deleted(client):
    group = MarathonGroup(id="/team", apps=[sleeper(id="web"), sleeper(id="db", instances=2)])
    assert set(client.create_group(group)) == {"version", "deploymentId"}
    deployed(client)
    assert [one.id for one in client.list_groups()] == ["/team"]
    found = client.get_group("/team")
    assert {app.id: app.instances for app in found.apps} == {"/team/web": 1, "/team/db": 2}
    first = found.version
    client.scale_group("/team", 2)
    deployed(client)
    assert {app.id: app.instances for app in client.get_group("/team").apps} == {
        "/team/web": 2,
        "/team/db": 4,
    }
    client.update_group("/team", MarathonGroup(apps=[sleeper(id="web")]))
    deployed(client)
    assert [app.id for app in client.get_group("/team").apps] == ["/team/web"]
    client.rollback_group("/team", first)
    deployed(client)
    assert {app.id: app.instances for app in client.get_group("/team").apps} == {
        "/team/web": 1,
        "/team/db": 2,
    }
    assert set(client.delete_group("/team")) == {"version", "deploymentId"}
    with pytest.raises(NotFoundError):
        client.get_group("/team")


# ── deployments and the queue ─────────────────────────────────────────────────────────────────────
def test_what_cannot_be_placed_waits_in_the_queue_and_its_deployment_can_be_cancelled(client):
    client.create_app("/huge", sleeper(cpus=64))
    (item,) = eventually(
        lambda: [one for one in client.list_queue() if one.processed_offers_summary["unusedOffersCount"]],
        "an offer was of no use",
    )
    assert (item.app.id, item.count, item.delay.overdue) == ("/huge", 1, True)
    declined = {
        one["reason"]: one["declined"] for one in item.processed_offers_summary["rejectSummaryLastOffers"]
    }
    assert len(declined) == 10
    assert declined["InsufficientCpus"] == 1
    (item,) = client.list_queue(embed_last_unused_offers=True)
    assert item.last_unused_offers[0]["reason"] == ["InsufficientCpus"]
    client.reset_delay("/huge")
    with pytest.raises(NotFoundError):
        client.reset_delay("/nowhere")

    (deployment,) = client.list_deployments()
    assert (deployment.affected_apps, deployment.current_step, deployment.total_steps) == (["/huge"], 2, 2)
    assert [one.actions[0].action for one in deployment.steps] == ["StartApplication", "ScaleApplication"]
    with pytest.raises(ConflictError) as locked:
        client.update_app("/huge", MarathonApp(instances=2))
    assert "locked" in locked.value.error_message
    client.update_app("/huge", MarathonApp(instances=2), force=True)
    (forced,) = client.list_deployments()
    assert client.delete_deployment(forced.id, force=True) == {}
    assert client.list_deployments() == []
    client.update_app("/huge", MarathonApp(instances=3))
    (deployment,) = client.list_deployments()
    answer = client.delete_deployment(deployment.id)
    assert set(answer) == {"version", "deploymentId"}
    assert client.get_app("/huge").instances == 2
    with pytest.raises(NotFoundError):
        client.delete_deployment("no-such-deployment")


# ── events ────────────────────────────────────────────────────────────────────────────────────────
def test_the_event_stream_tells_the_life_of_an_app(client):
    heard = Heard(client)
    assert type(heard.first).__name__ == "MarathonEventStreamAttached"
    assert heard.first.remote_address == "127.0.0.1"
    client.create_app("/web", sleeper())
    created = heard.until("MarathonDeploymentSuccess")
    names = [type(event).__name__ for event in created]
    (posted,) = [event for event in created if type(event).__name__ == "MarathonApiPostEvent"]
    assert (posted.app_definition["id"], posted.uri, posted.client_ip) == ("/web", "/v2/apps", "127.0.0.1")
    assert names.count("MarathonDeploymentStepSuccess") == 2
    (info, *_) = [event for event in created if type(event).__name__ == "MarathonDeploymentInfo"]
    assert [step.actions[0].action for step in info.plan.steps] == ["StartApplication", "ScaleApplication"]
    running = [event for event in created if getattr(event, "task_status", "") == "TASK_RUNNING"]
    assert [event.app_id for event in running] == ["/web"]
    conditions = [
        event.condition for event in created if type(event).__name__ == "MarathonInstanceChangedEvent"
    ]
    assert conditions[0] == "Scheduled"
    assert conditions[-1] == "Running"
    client.delete_app("/web")
    ended = heard.until("MarathonAppTerminatedEvent")
    assert ended[-1].app_id == "/web"
    assert "TASK_KILLED" in [getattr(event, "task_status", "") for event in ended]


def test_the_event_stream_can_be_filtered_and_raw(client):
    heard = Heard(client, raw=True, event_types=["event_stream_attached", "group_change_success"])
    assert '"event_stream_attached"' in heard.first
    other = Heard(client, event_types=["event_stream_attached"])
    client.create_app("/web", sleeper(instances=0))
    assert '"event_stream_attached"' in heard._events.get(timeout=10)
    assert '"group_change_success"' in heard._events.get(timeout=10)
    assert other._events.empty()
