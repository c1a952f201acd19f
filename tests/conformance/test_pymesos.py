"""An unmodified third-party client: pymesos' drivers against a real master and a real agent."""

import json
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymesos import (
    MesosOperatorAgentDriver,
    MesosOperatorMasterDriver,
    OperatorMaster,
    decode_data,
    encode_data,
)

from tests.conformance.pymesos_framework import Framework, Waiting, scalars

EXECUTOR = Path(__file__).with_name("pymesos_executor.py")
LIFE = ("TASK_STARTING", "TASK_RUNNING")


@pytest.fixture
def framework(cluster):
    with Framework(cluster.master_address) as framework:
        yield framework


def get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return json.load(answer)


def executor(name="worker"):
    """An ExecutorInfo that runs our executor on pymesos' executor driver."""
    return {
        "executor_id": {"value": name},
        "name": name,
        "command": {"value": f"exec {sys.executable} {EXECUTOR}"},
        "resources": scalars(cpus=0.1, mem=32),
    }


def test_a_command_runs_to_its_end(framework):
    task_id = framework.launch("true")
    last = framework.wait_states(task_id, *LIFE, "TASK_FINISHED")
    assert last["source"] == "SOURCE_EXECUTOR"
    assert last["agent_id"]["value"]


def test_a_command_that_fails_says_with_which_status(framework):
    task_id = framework.launch("exit 3")
    last = framework.wait_states(task_id, *LIFE, "TASK_FAILED")
    assert "3" in last["message"]


def test_a_killed_task_ends_killed(framework):
    task_id = framework.launch("sleep 1000")
    framework.wait_states(task_id, *LIFE)
    framework.driver.killTask({"value": task_id})
    framework.wait_states(task_id, *LIFE, "TASK_KILLED")


def test_an_invalid_task_is_an_error(framework):
    task_id = framework.launch("true", resources=scalars(cpus=-1))
    last = framework.wait_states(task_id, "TASK_ERROR")
    assert last["reason"] == "REASON_TASK_INVALID"


def test_a_declined_offer_comes_again_after_its_filter(framework):
    declined = framework.take_offer()
    framework.driver.declineOffer(declined["id"], {"refuse_seconds": 0.1})
    again = framework.take_offer()
    assert again["id"] != declined["id"]
    assert again["agent_id"] == declined["agent_id"]


def test_a_suppressed_framework_gets_offers_again_after_revive(framework):
    offer = framework.take_offer()
    framework.driver.suppressOffers()
    framework.driver.declineOffer(offer["id"], {"refuse_seconds": 3600})
    framework.driver.reviveOffers()
    assert framework.take_offer()["agent_id"] == offer["agent_id"]


def test_reconciliation_tells_of_known_and_unknown_tasks(framework):
    task_id = framework.launch("sleep 1000")
    framework.wait_states(task_id, *LIFE)
    framework.driver.reconcileTasks([{"task_id": {"value": task_id}}, {"task_id": {"value": "never-was"}}])
    known = framework.wait_states(task_id, *LIFE, "TASK_RUNNING")
    assert known["reason"] == "REASON_RECONCILIATION"
    assert "uuid" not in known
    unknown = framework.wait_states("never-was", "TASK_LOST")
    assert unknown["reason"] == "REASON_RECONCILIATION"


def test_implicit_reconciliation_lists_what_runs(framework):
    task_id = framework.launch("sleep 1000")
    framework.wait_states(task_id, *LIFE)
    framework.driver.reconcileTasks([])
    assert framework.wait_states(task_id, *LIFE, "TASK_RUNNING")["reason"] == "REASON_RECONCILIATION"


def test_another_instance_takes_over_and_the_task_goes_on(cluster):
    first = Framework(cluster.master_address, failover_timeout=60)
    with first:
        task_id = first.launch("sleep 1000")
        first.wait_states(task_id, *LIFE)
        with Framework(
            cluster.master_address, framework_id=first.seen.framework_id, failover_timeout=60
        ) as second:
            second.seen.wait(lambda seen: seen.reregistrations)
            first.seen.wait(lambda seen: seen.errors)
            first.driver.join()
            second.driver.reconcileTasks([])
            second.wait_states(task_id, "TASK_RUNNING")
            second.driver.killTask({"value": task_id})
            second.seen.wait(lambda seen: seen.states(task_id)[-1] == "TASK_KILLED")


def test_a_torn_down_framework_is_completed_and_its_tasks_are_gone(cluster):
    with Framework(cluster.master_address) as framework:
        task_id = framework.launch("sleep 1000")
        framework.wait_states(task_id, *LIFE)
        framework_id = framework.seen.framework_id
    state = get(cluster.master_address, "/state")
    assert framework_id not in [each["id"] for each in state["frameworks"]]
    (completed,) = [each for each in state["completed_frameworks"] if each["id"] == framework_id]
    assert [(task["id"], task["state"]) for task in completed["completed_tasks"]] == [
        (task_id, "TASK_KILLED")
    ]


def test_a_custom_executor_runs_tasks_and_talks_both_ways(framework):
    run = {"executor": executor(), "cpus": 0.1, "mem": 32}
    finished = framework.launch(data=encode_data(b"finish"), **run)
    framework.wait_states(finished, "TASK_RUNNING", "TASK_FINISHED")
    failed = framework.launch(data=encode_data(b"fail"), **run)
    assert framework.wait_states(failed, "TASK_RUNNING", "TASK_FAILED")["message"] == "asked to fail"
    waiting = framework.launch(data=encode_data(b"wait"), **run)
    running = framework.wait_states(waiting, "TASK_RUNNING")

    framework.driver.sendFrameworkMessage({"value": "worker"}, running["agent_id"], encode_data(b"hello"))
    framework.seen.wait(lambda seen: seen.messages)
    assert [(name, decode_data(data)) for name, data in framework.seen.messages] == [("worker", b"HELLO")]

    framework.driver.killTask({"value": waiting})
    framework.wait_states(waiting, "TASK_RUNNING", "TASK_KILLED")


def test_an_executor_that_dies_takes_its_task_with_it_and_is_reported(framework):
    dying = {**executor("dying"), "command": {"value": "exit 7"}}
    task_id = framework.launch(executor=dying, data=encode_data(b"wait"))
    last = framework.wait_states(task_id, "TASK_FAILED")
    assert last["reason"] == "REASON_EXECUTOR_TERMINATED"
    framework.seen.wait(lambda seen: seen.lost_executors)
    assert framework.seen.lost_executors == [("dying", 7 << 8)]


class _Operator(Waiting, OperatorMaster):
    """Remembers what the event stream told of tasks and frameworks."""

    def __init__(self):
        super().__init__()
        self.told = []

    def taskAdded(self, task):
        self._note(lambda: self.told.append(("task added", task["task_id"]["value"])))

    def taskUpdated(self, event):
        self._note(lambda: self.told.append((event["status"]["state"], event["status"]["task_id"]["value"])))

    def frameworkAdded(self, framework):
        self._note(lambda: self.told.append(("framework added", framework["framework_info"]["name"])))

    def frameworkUpdated(self, framework):
        self._note(lambda: self.told.append(("framework updated", framework["framework_info"]["name"])))

    def frameworkRemoved(self, framework_info):
        self._note(lambda: self.told.append(("framework removed", framework_info["name"])))


@contextmanager
def closed_in_the_end(driver):
    """Of an operator driver: it leaves its connection to the garbage collector."""
    yield driver
    driver._get_conn().close()


@pytest.fixture
def master(cluster):
    with closed_in_the_end(MesosOperatorMasterDriver(cluster.master_address)) as driver:
        yield driver


@pytest.fixture
def agent(cluster):
    with closed_in_the_end(MesosOperatorAgentDriver(cluster.agent_addresses[0])) as driver:
        yield driver


def test_the_operator_drivers_read_master_and_agent(framework, master, agent):
    task_id = framework.launch("sleep 1000")
    framework.wait_states(task_id, *LIFE)
    assert master.getHealth()["get_health"] == {"healthy": True}
    assert master.getVersion()["get_version"]["version_info"]["version"].count(".") == 2
    assert {flag["name"] for flag in master.getFlags()["get_flags"]["flags"]} >= {"work_dir", "port"}
    metrics = {
        metric["name"]: metric["value"]
        for metric in master.getMetrics(5_000_000_000)["get_metrics"]["metrics"]
    }
    assert metrics["master/elected"] == 1.0
    assert [task["task_id"]["value"] for task in master.getTasks()["get_tasks"]["tasks"]] == [task_id]
    assert len(master.getAgents()["get_agents"]["agents"]) == 1
    assert "pymesos" in [
        each["framework_info"]["name"] for each in master.getFrameworks()["get_frameworks"]["frameworks"]
    ]
    assert master.getMaster()["get_master"]["master_info"]["port"]
    assert master.getState()["get_state"]["get_tasks"]["tasks"]
    master.updateWeights([{"role": "web", "weight": 2.0}])
    assert {"role": "web", "weight": 2.0} in master.getWeights()["get_weights"]["weight_infos"]
    assert master.getRoles()["get_roles"]["roles"]

    assert agent.getHealth()["get_health"] == {"healthy": True}
    assert [task["task_id"]["value"] for task in agent.getTasks()["get_tasks"]["launched_tasks"]] == [task_id]
    assert agent.getContainers()["get_containers"]["containers"]
    assert agent.getState()["get_state"]["get_frameworks"]["frameworks"]


def test_the_agent_driver_launches_watches_and_ends_nested_containers(framework, agent):
    task_id = framework.launch("sleep 1000")
    running = framework.wait_states(task_id, *LIFE)
    parent = running["container_status"]["container_id"]

    def shown():
        found = agent.getContainers(show_nested=True, show_standalone=True)["get_containers"]["containers"]
        return {one["container_id"]["value"] for one in found}

    command = {"value": "sleep 1000"}
    agent.launchNestedContainer({"container_id": {"value": "inner", "parent": parent}, "command": command})
    assert {"inner", parent["value"]} <= shown()
    agent.killNestedContainer("inner", parent["value"])
    agent.waitNestedContainer("inner", parent["value"])
    agent.removeNestedContainer("inner", parent["value"])
    with pytest.raises(RuntimeError, match="404"):
        agent.waitNestedContainer("inner", parent["value"])
    agent.launchNestedContainerSession(
        {"container_id": {"value": "session", "parent": parent}, "command": {"value": "echo done"}}
    )
    with pytest.raises(RuntimeError, match="400"):  # the task has no terminal
        agent.attachContainerOutput(parent["value"])
    agent.pruneImages()
    assert parent["value"] in shown()
    assert shown().isdisjoint({"inner", "session"})


def test_the_operator_stream_tells_what_happens(cluster):
    operator = _Operator()
    stream = MesosOperatorMasterDriver(cluster.master_address, operator)
    stream.start()
    try:
        with Framework(cluster.master_address, name="observed") as framework:
            task_id = framework.launch("true")
            framework.wait_states(task_id, *LIFE, "TASK_FINISHED")
        operator.wait(lambda seen: ("framework removed", "observed") in seen.told)
    finally:
        stream.stop()
        stream.join()
    told = [each for each in operator.told if each[1] in (task_id, "observed")]
    assert told.index(("framework added", "observed")) < told.index(("task added", task_id))
    assert told.index(("task added", task_id)) < told.index(("TASK_RUNNING", task_id))
    assert told.index(("TASK_RUNNING", task_id)) < told.index(("TASK_FINISHED", task_id))
