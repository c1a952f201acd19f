"""What the tests of the allocator share: agents, frameworks and answers in few words."""

from random import Random

from koinon.allocator import Allocation, Allocator, AllocatorConfig, Reason, compile_constraints
from koinon.mesos.resources import Resources
from koinon.mesos.v1 import scheduler

ALL = "cpus:4;mem:4096;ports:[31000-32000]"


def R(text: str) -> Resources:
    return Resources.parse(text)


def make(**config) -> Allocator:
    return Allocator(AllocatorConfig(**config), Random(1))


def add_agents(allocator, *agent_ids, resources=ALL, **traits):
    for agent_id in agent_ids:
        allocator.add_agent(agent_id, hostname=f"{agent_id}.host", total=R(resources), **traits)


def takers(allocations: list[Allocation]) -> dict[str, str]:
    """Who got each agent, when each went to one taker."""
    assert len({made.agent_id for made in allocations}) == len(allocations)
    return {made.agent_id: made.framework_id for made in allocations}


def decline(allocator, allocations, now, refuse_s=5.0):
    for made in allocations:
        allocator.recover(made.framework_id, made.agent_id, made.resources, refuse_s=refuse_s, now=now)


def reasons(allocator, framework_id, now=0.0) -> list[Reason]:
    return [decision.reason for decision in allocator.why(framework_id, now)]


def hostname_is(role, *names):
    selector = scheduler.AttributeConstraint.Selector
    predicate = scheduler.AttributeConstraint.Predicate
    group = scheduler.OfferConstraints.RoleConstraints.Group
    groups = [
        group(
            attribute_constraints=[
                scheduler.AttributeConstraint(
                    selector=selector(pseudoattribute_type=selector.PseudoattributeType.HOSTNAME),
                    predicate=predicate(text_equals=predicate.TextEquals(name)),
                )
            ]
        )
        for name in names
    ]
    message = scheduler.OfferConstraints(
        role_constraints={role: scheduler.OfferConstraints.RoleConstraints(groups=groups)}
    )
    return compile_constraints(message, [role])
