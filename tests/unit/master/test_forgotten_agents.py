"""Agents that the registry forgets: those that went too long ago, or of whom there are too many."""

from koinon.master.core import events as m
from koinon.mesos import v1
from koinon.mesos.v1 import TaskState
from koinon.mesos.v1.scheduler import Call
from tests.unit.master.cluster import Cluster, framework_info, statuses, task_info
from tests.unit.master.test_agents import lose


def test_the_registry_forgets_unreachable_agents_after_two_weeks():
    cluster = Cluster(allocation_interval_s=3600.0)
    cluster.join()
    lose(cluster)
    cluster.tick(14 * 86400 - 3600)
    assert list(cluster.master.state.unreachable_agents) == ["M-S0"]
    cluster.tick(2 * 3600)
    cluster.store()
    assert cluster.stored_agents == []
    assert cluster.master.state.unreachable_agents == {}


def test_of_tasks_of_a_forgotten_agent_nothing_is_known():
    working = Cluster(registry_max_agent_age_s=1000.0)
    working.subscribe(framework_info(checkpoint=True, capabilities="PARTITION_AWARE"))
    working.join()
    working.tick()
    working.launch("stream-1", task_info())
    lose(working)
    working.tick(1000 + 900)
    working.store()
    assert working.framework.unreachable_tasks == {}
    assert working.master.state.lost_tasks == {}
    asked = Call.Reconcile(tasks=[Call.Reconcile.Task(task_id=v1.TaskID("t"), agent_id=v1.AgentID("M-S0"))])
    (answer,) = statuses(working.call("stream-1", "RECONCILE", asked))
    assert answer.state is TaskState.TASK_UNKNOWN


def test_the_registry_keeps_the_youngest_of_too_many(cluster):
    cluster = Cluster(registry_max_agent_count=1)
    for number in (1, 2):
        cluster.join()
        cluster.tick(1)
        cluster.do(m.AgentGoneRequested(f"M-S{number - 1}"))
        cluster.store()
    cluster.tick(900)
    cluster.store()
    assert cluster.stored_agents == ["M-S1"]
