"""The laws of the state, to be checked in tests: each index says what the instances and definitions say."""

from __future__ import annotations

from collections import Counter

from koinon.marathon.core.context import Core
from koinon.marathon.core.state import State


def check(core: Core) -> None:
    """Raises AssertionError if a law does not hold. Slow."""
    state = core.state
    _check_instances(state)
    _check_deployments(core)
    ports = Counter(port for app in state.root.apps.values() for port in app.service_ports)
    assert +state.service_ports == ports, f"service ports {+state.service_ports} are {ports}"
    for spec in state.root.run_specs():
        assert spec.version in state.history.get(spec.id, {}), f"{spec.id} has no version {spec.version}"
        assert spec.version <= state.root.version, f"{spec.id} is newer than the root"
    assert not core.touched, f"not settled: {list(core.touched)}"
    killed = {*state.kills_waiting, *state.kills_sent}
    assert killed <= state.instances.keys(), "somebody is killed who is no more"
    for path in state.scheduled:
        for instance_id in state.scheduled[path]:
            assert instance_id not in killed, f"{instance_id} is killed before it is launched"


def _check_instances(state: State) -> None:
    rebuilt = State(root=state.root, history=state.history, health=state.health)
    for instance in state.instances.values():
        rebuilt.put(instance)
        assert instance.goal == "Running" or instance.condition != "Scheduled", f"{instance.id} waits in vain"
        assert instance.incarnation or instance.condition == "Scheduled", f"{instance.id} was never launched"
    assert rebuilt.tasks == state.tasks
    assert rebuilt.counts == state.counts, f"counted {state.counts}, there are {rebuilt.counts}"
    assert rebuilt.meant == state.meant
    assert {path: set(of) for path, of in rebuilt.by_spec.items()} == {
        path: set(of) for path, of in state.by_spec.items()
    }
    assert {path: set(of) for path, of in rebuilt.scheduled.items()} == {
        path: set(of) for path, of in state.scheduled.items()
    }
    assert state.health.keys() <= state.instances.keys()
    assert state.readiness.keys() <= state.instances.keys()
    for path, number in state.meant.items():
        spec = state.root.run_spec(path)
        if spec is not None and path not in state.locks:
            assert number == spec.instances, f"{path} has {number} instances, not {spec.instances}"


def _check_deployments(core: Core) -> None:
    state = core.state
    locks = {path: one.id for one in state.deployments.values() for path in one.affected}
    assert locks == state.locks, f"locked {state.locks}, should be {locks}"
    assert core.pending.keys() == state.deployments.keys()
    for deployment in state.deployments.values():
        step = deployment.steps[deployment.current_step]
        assert core.pending[deployment.id], f"{deployment.id} has ended its step"
        assert core.pending[deployment.id] <= {action.run_spec for action in step.actions}
