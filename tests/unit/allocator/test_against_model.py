"""Any history of calls: the books balance, and every allocation is the one that plain rules ask for.

The model keeps everything in dicts and lists, sorts clients anew for each allocation, and looks at every
refusal each time. It has no order of agents of its own (that is random), so it follows the allocator's answer
and checks, step by step, that the taker is right, gets the right part, and that nobody is forgotten.
"""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from koinon.allocator import Allocator, AllocatorConfig
from koinon.mesos.resources import Resources

#: These stay, so that the tree keeps its shape and with it the counts of its inner nodes.
RESIDENTS = {"resident-1": ("*", "a"), "resident-2": ("a/b", "c")}
ROLES = ["*", "a", "a/b", "c"]
PARENTS = {"*": ["*"], "a": ["a", "a/."], "a/b": ["a", "a/b"], "c": ["c"]}
TOTALS = [
    "cpus:4;mem:512;ports:[1-100]",
    "cpus:8;mem:64",
    "cpus:4;mem:512;cpus(a):2;cpus(a/b):1;mem(c):128",
    "mem(a):512;gpus:1;cpus:1",
    "disk:100;ports:[5-9]",
]


class Clusters(RuleBasedStateMachine):
    agents = Bundle("agents")
    frameworks = Bundle("frameworks")
    holdings = Bundle("holdings")

    def __init__(self) -> None:
        super().__init__()
        self.allocator = Allocator(AllocatorConfig(), Random(3))
        self.now = 1000.0
        self.batch_s = float("-inf")
        self.made = 0
        self.totals: dict[str, Resources] = {}
        self.offline: set[str] = set()
        self.roles: dict[str, list[str]] = {}
        self.suppressed: dict[str, set[str]] = {}
        self.gpu_aware: set[str] = set()
        self.held: list[tuple[str, str, str, Resources]] = []  # framework, role, agent, unallocated
        self.refused: list[tuple[str, str, str, Resources, float]] = []
        self.counts: dict[tuple[str, ...], int] = {}
        self.weights: dict[str, float] = {}
        for framework_id, roles in RESIDENTS.items():
            self.enter(framework_id, list(roles), gpu_aware=True)

    # ── what happens ──────────────────────────────────────────────────────────────────────────────

    def enter(self, framework_id: str, roles: list[str], gpu_aware: bool) -> None:
        self.roles[framework_id] = roles
        self.suppressed[framework_id] = set()
        if gpu_aware:
            self.gpu_aware.add(framework_id)
        self.allocator.add_framework(
            framework_id,
            roles,
            capabilities=["GPU_RESOURCES", "RESERVATION_REFINEMENT"] if gpu_aware else [],
        )

    @rule(target=frameworks, roles=st.lists(st.sampled_from(ROLES), unique=True), gpu_aware=st.booleans())
    def add_framework(self, roles, gpu_aware):
        self.made += 1
        framework_id = f"F{self.made}"
        self.enter(framework_id, roles, gpu_aware)
        return framework_id

    @rule(framework_id=consumes(frameworks))
    def remove_framework(self, framework_id):
        self.allocator.remove_framework(framework_id)
        del self.roles[framework_id]
        self.held = [one for one in self.held if one[0] != framework_id]
        self.refused = [one for one in self.refused if one[0] != framework_id]
        self.counts = {path: count for path, count in self.counts.items() if path[0] != framework_id}

    @rule(target=agents, total=st.sampled_from(TOTALS))
    def add_agent(self, total):
        self.made += 1
        agent_id = f"S{self.made}"
        self.totals[agent_id] = Resources.parse(total)
        self.allocator.add_agent(agent_id, hostname=agent_id, total=self.totals[agent_id])
        return agent_id

    @rule(agent_id=consumes(agents))
    def remove_agent(self, agent_id):
        self.allocator.remove_agent(agent_id)
        del self.totals[agent_id]
        self.offline.discard(agent_id)
        self.held = [one for one in self.held if one[2] != agent_id]
        self.refused = [one for one in self.refused if one[2] != agent_id]

    @rule(agent_id=agents)
    def toggle_agent(self, agent_id):
        if agent_id in self.offline:
            self.allocator.activate_agent(agent_id)
        else:
            self.allocator.deactivate_agent(agent_id)
        self.offline ^= {agent_id}

    @rule(framework_id=frameworks | st.sampled_from(list(RESIDENTS)), role=st.sampled_from(ROLES))
    def suppress(self, framework_id, role):
        if framework_id in self.roles and role in self.roles[framework_id]:
            self.allocator.suppress(framework_id, [role])
            self.suppressed[framework_id].add(role)

    @rule(framework_id=frameworks | st.sampled_from(list(RESIDENTS)))
    def revive(self, framework_id):
        if framework_id in self.roles:
            self.allocator.revive(framework_id)
            self.suppressed[framework_id].clear()
            self.refused = [one for one in self.refused if one[0] != framework_id]

    @rule(role=st.sampled_from(ROLES), weight=st.sampled_from([0.5, 1.0, 2.0, 5.0]))
    def set_weight(self, role, weight):
        self.allocator.set_weight(role, weight)
        self.weights[role] = weight

    @precondition(lambda self: self.held)
    @rule(data=st.data(), refuse_s=st.sampled_from([None, None, 0.0, 2.0, 60.0]), whole=st.booleans())
    def recover(self, data, refuse_s, whole):
        index = data.draw(st.integers(0, len(self.held) - 1))
        framework_id, role, agent_id, held = self.held.pop(index)
        task = Resources.parse("cpus:1;mem:16")
        part = held if whole or not held.contains(task) else held - task
        if rest := held - part:
            self.held.append((framework_id, role, agent_id, rest))
        if part:
            self.give_back(framework_id, role, agent_id, part, refuse_s)

    def give_back(self, framework_id, role, agent_id, part, refuse_s):
        self.allocator.recover(framework_id, agent_id, part.allocated(role), refuse_s=refuse_s, now=self.now)
        if refuse_s is not None and role not in self.suppressed[framework_id]:
            until_s = self.now + max(refuse_s, 1.0) if refuse_s else max(self.now, self.batch_s)
            self.refused.append((framework_id, role, agent_id, part, until_s))

    @precondition(lambda self: self.held)
    @rule(refuse_s=st.sampled_from([0.0, 2.0, 60.0]))
    def decline_all_until_nobody_wants_any_more(self, refuse_s):
        rounds = 0
        while self.held:
            assert (rounds := rounds + 1) < 1000, "refused resources are offered over and over"
            for framework_id, role, agent_id, held in self.held:
                self.give_back(framework_id, role, agent_id, held, refuse_s)
            self.held = []
            self.allocate(0.0)

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 100.0]))
    def allocate(self, seconds):
        self.now += seconds
        if self.now >= self.batch_s:
            self.batch_s = self.now + 1.0
        self.refused = [one for one in self.refused if one[4] > self.now]
        before = {agent_id: self.free(agent_id) for agent_id in self.totals}
        for made in self.allocator.allocate(self.now):
            framework_id, role, part = self.taker(made.agent_id)
            assert (made.framework_id, made.role, made.resources) == (
                framework_id,
                role,
                part.allocated(role),
            )
            self.held.append((framework_id, role, made.agent_id, part))
            for path in [*((node,) for node in PARENTS[role]), (framework_id, role)]:
                self.counts[path] = self.counts.get(path, 0) + 1
        assert before.keys() == self.totals.keys()
        for agent_id in self.totals:
            assert self.taker(agent_id) is None, "somebody was forgotten"

    # ── the rules, plainly ────────────────────────────────────────────────────────────────────────

    def free(self, agent_id: str) -> Resources:
        return self.totals[agent_id] - Resources.sum(
            held for _, _, agent, held in self.held if agent == agent_id
        )

    def taker(self, agent_id: str) -> tuple[str, str, Resources] | None:
        """Who has to get something on the agent next, and what."""
        for framework_id, role in self.order():
            part = self.free(agent_id).allocatable_to(role)
            if framework_id not in self.gpu_aware:
                part = part.without_reservation_refinements()
            if (
                agent_id not in self.offline
                and (part.cpus >= 0.01 or part.mem >= 32)
                and (framework_id in self.gpu_aware or not self.totals[agent_id].gpus)
                and not any(
                    one[:3] == (framework_id, role, agent_id) and one[3].contains(part)
                    for one in self.refused
                )
            ):
                return framework_id, role, part
        return None

    def order(self) -> list[tuple[str, str]]:
        clients = [
            (framework_id, role)
            for framework_id, roles in self.roles.items()
            for role in roles
            if role not in self.suppressed[framework_id]
        ]
        return sorted(clients, key=self.rank)

    def rank(self, client: tuple[str, str]) -> list[tuple[float, int, str]]:
        framework_id, role = client
        nodes = [
            (self.share(lambda other, node=node: node in PARENTS[other[1]]) / self.weights.get(node, 1.0),
             self.counts.get((node,), 0), node)
            for node in PARENTS[role]
        ]  # fmt: skip
        return [*nodes, (self.share(lambda other: other == client), self.counts.get(client, 0), framework_id)]

    def share(self, counts_in) -> float:
        cluster = Resources.sum(self.totals.values()).scalars
        held = Resources.sum(one[3] for one in self.held if counts_in(one[:2])).scalars
        return max((quantity / cluster[name] for name, quantity in held.items()), default=0.0)

    # ── what always holds ─────────────────────────────────────────────────────────────────────────

    @invariant()
    def the_books_balance(self):
        assert dict(self.allocator.totals) == {
            **dict.fromkeys(self.allocator.totals, 0),
            **Resources.sum(self.totals.values()).scalars,
        }
        assert self.allocator.allocated == Resources.sum(one[3] for one in self.held).scalars

    @invariant()
    def shares_and_order_are_those_worked_out_anew(self):
        assert self.allocator.order() == self.order()
        shares = self.allocator.shares()
        for role in ROLES:
            assert shares[role] == self.share(lambda other, role=role: role in PARENTS[other[1]])

    @invariant()
    def refusals_do_not_pile_up(self):
        standing = {one[:4] for one in self.refused}
        assert sum(self.allocator.refusals_by_role.values()) == len(standing)


Clusters.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstModel = Clusters.TestCase
