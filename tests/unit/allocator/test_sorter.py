"""Whose turn it is: shares, weights, ties and the tree of roles."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.allocator.sorter import Client, RoleTree


def tree_of(*clients: tuple[str, str], totals: dict[str, int] | None = None) -> tuple[RoleTree, list[Client]]:
    """A tree with these active (framework, role) pairs."""
    tree = RoleTree()
    tree.add_total(totals or {"cpus": 100, "mem": 1000})
    made = [tree.add_client(framework_id, role) for framework_id, role in clients]
    for client in made:
        tree.activate(client)
    return tree, made


def order(tree: RoleTree) -> list[str]:
    return [f"{client.framework_id}@{client.role}" for client in tree.in_order()]


def test_the_paper_s_example_gives_three_tasks_to_a_and_two_to_b():
    """9 CPUs and 18 GB; A's tasks need <1 CPU, 4 GB>, B's <3 CPUs, 1 GB>."""
    tree, (a, b) = tree_of(("A", "*"), ("B", "*"), totals={"cpus": 9000, "mem": 18000})
    demands = {a: {"cpus": 1000, "mem": 4000}, b: {"cpus": 3000, "mem": 1000}}
    left = {"cpus": 9000, "mem": 18000}
    tasks = {a: 0, b: 0}
    while True:
        client = next(tree.in_order())
        left = {name: left[name] - demands[client][name] for name in left}
        if min(left.values()) < 0:
            break
        tree.allocated(client, demands[client])
        tasks[client] += 1
    assert tasks == {a: 3, b: 2}
    assert (a.share, b.share) == (12 / 18, 6 / 9)


def test_the_smaller_dominant_share_goes_first():
    tree, (a, b, _) = tree_of(("A", "*"), ("B", "*"), ("C", "*"))
    tree.allocated(a, {"cpus": 50, "mem": 1})
    tree.allocated(b, {"cpus": 1, "mem": 400})
    assert order(tree) == ["C@*", "B@*", "A@*"]


def test_equal_shares_go_by_number_of_allocations_and_then_by_path():
    tree, (a, b, _, _) = tree_of(("A", "*"), ("B", "*"), ("D", "*"), ("C", "*"))
    for client, times in ((a, 2), (b, 1)):
        for _ in range(times):
            tree.allocated(client, {"cpus": 10 // times})
    assert order(tree) == ["C@*", "D@*", "B@*", "A@*"]
    tree.recovered(a, {"cpus": 10})
    assert order(tree) == ["C@*", "D@*", "A@*", "B@*"]  # giving back does not undo the count


def test_a_role_of_double_weight_may_hold_twice_as_much():
    tree, (light, heavy) = tree_of(("A", "light"), ("A", "heavy"))
    tree.set_weight("heavy", 2.0)
    given_to = {light: 0, heavy: 0}
    for _ in range(30):
        client = next(tree.in_order())
        tree.allocated(client, {"cpus": 1})
        given_to[client] += 1
    assert given_to == {light: 10, heavy: 20}


def test_a_weight_set_before_its_role_has_members_counts():
    tree = RoleTree()
    tree.add_total({"cpus": 100})
    tree.set_weight("heavy", 4.0)
    light, heavy = tree.add_client("A", "light"), tree.add_client("A", "heavy")
    for client in (light, heavy):
        tree.activate(client)
        tree.allocated(client, {"cpus": 10})
    assert order(tree) == ["A@heavy", "A@light"]


def test_siblings_compete_by_what_their_subtrees_hold():
    tree, (a, ab, ac, _) = tree_of(("F", "a"), ("F", "a/b"), ("F", "a/c"), ("F", "d"))
    tree.allocated(ab, {"cpus": 10})
    assert order(tree) == ["F@d", "F@a", "F@a/c", "F@a/b"]
    tree.allocated(a, {"cpus": 20})
    tree.allocated(ac, {"cpus": 5})
    assert order(tree) == ["F@d", "F@a/c", "F@a/b", "F@a"]
    assert tree.find("a").held == {"cpus": 35}


def test_a_role_that_gains_and_loses_a_sub_role_keeps_its_clients_and_shares():
    tree, (a, other) = tree_of(("F", "a"), ("G", "a"))
    tree.allocated(a, {"cpus": 20})
    sub = tree.add_client("F", "a/b")
    tree.activate(sub)
    tree.allocated(sub, {"cpus": 1})
    assert order(tree) == ["F@a/b", "G@a", "F@a"]
    tree.recovered(sub, {"cpus": 1})
    tree.remove_client(sub)
    assert order(tree) == ["G@a", "F@a"]
    assert tree.find("a/b") is None
    assert tree.find("a").held == {"cpus": 20}
    tree.allocated(other, {"cpus": 30})
    assert order(tree) == ["F@a", "G@a"]


def test_a_framework_may_be_named_like_a_sub_role():
    tree, _ = tree_of(("b", "a"), ("x", "a/b"))
    assert sorted(order(tree)) == ["b@a", "x@a/b"]
    assert [node.path for node in tree.roles()] == ["a", "a/b"]


def test_inactive_clients_are_left_out_but_what_they_hold_counts_for_their_role():
    tree, (a, b, _) = tree_of(("A", "r"), ("B", "r"), ("C", "s"))
    tree.allocated(a, {"cpus": 10})
    tree.deactivate(a)
    assert order(tree) == ["C@s", "B@r"]
    tree.deactivate(b)
    assert order(tree) == ["C@s"]
    tree.activate(a)
    assert order(tree) == ["C@s", "A@r"]


def test_excluded_resources_do_not_count_for_shares():
    tree = RoleTree(excluded_resource_names=["gpus"])
    tree.add_total({"cpus": 100, "gpus": 2})
    client = tree.add_client("A", "*")
    tree.allocated(client, {"cpus": 10, "gpus": 2})
    assert client.share == 0.1


def test_shares_follow_the_size_of_the_cluster():
    tree, (a,) = tree_of(("A", "*"))
    tree.allocated(a, {"cpus": 50})
    tree.add_total({"cpus": 100})
    tree.refresh()
    assert a.share == 0.25
    tree.add_total({"cpus": 200, "mem": 1000}, -1)
    tree.refresh()
    assert a.share == 0.0  # nothing is left that it could have a part of


def test_first_respects_the_mask():
    tree, clients = tree_of(*((f"F{number:02}", "*") for number in range(40)))
    mask = clients[7].bit | clients[31].bit
    assert tree.first(mask) is clients[7]
    assert tree.first(mask & ~clients[7].bit) is clients[31]
    assert tree.first(sum(client.bit for client in clients[5:])) is clients[5]


def test_a_client_that_still_holds_something_cannot_be_removed():
    tree, (a,) = tree_of(("A", "*"))
    tree.allocated(a, {"cpus": 1})
    with pytest.raises(AssertionError, match="holds"):
        tree.remove_client(a)


# ── against a naive sorter ────────────────────────────────────────────────────────────────────────

ROLES = ("*", "a", "a/b", "a/b/c", "a/d", "e/f")
CLIENTS = [(f"F{number}", role) for role in ROLES for number in range(2)]
TOTALS = {"cpus": 300, "mem": 7000}


def naive_order(held, counts, weights, active):
    """Sort by the rule, everything computed from the leaves each time."""

    def lines(role):  # the path of a client in the tree, as a list of nodes
        parts = role.split("/")
        nodes = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        return [*nodes, f"{role}/."] if any(other.startswith(f"{role}/") for other in ROLES) else nodes

    def rank(client):
        path = [*lines(client[1]), client]
        keys = []
        for node in path:
            below = [other for other in CLIENTS if node in (*lines(other[1]), other)]
            share = max(
                sum(held[one].get(name, 0) for one in below) / total for name, total in TOTALS.items()
            )
            count = sum(counts[one] for one in below)
            keys.append((share / weights.get(node, 1.0), count, node if isinstance(node, str) else node[0]))
        return keys

    return sorted(active, key=rank)


steps = st.lists(
    st.tuples(
        st.sampled_from(CLIENTS),
        st.sampled_from(["allocate", "allocate", "recover", "toggle", "weigh"]),
        st.integers(1, 40),
        st.integers(1, 900),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=50)
@given(steps)
def test_order_and_shares_agree_with_a_naive_sorter_after_any_history(history):
    tree, made = tree_of(*CLIENTS, totals=TOTALS)
    clients = dict(zip(CLIENTS, made, strict=True))
    held = {client: {} for client in CLIENTS}
    counts = dict.fromkeys(CLIENTS, 0)
    weights: dict[str, float] = {}
    active = set(CLIENTS)
    for name, act, cpus, mem in history:
        match act:
            case "allocate":
                tree.allocated(clients[name], {"cpus": cpus, "mem": mem})
                held[name] = {"cpus": held[name].get("cpus", 0) + cpus, "mem": held[name].get("mem", 0) + mem}
                counts[name] += 1
            case "recover":
                part = {resource: min(quantity, cpus) for resource, quantity in held[name].items()}
                tree.recovered(clients[name], part)
                held[name] = {resource: held[name][resource] - part[resource] for resource in part}
            case "toggle":
                (tree.deactivate if name in active else tree.activate)(clients[name])
                active ^= {name}
            case "weigh":
                weights[name[1]] = cpus / 8
                tree.set_weight(name[1], cpus / 8)
        wanted = naive_order(held, counts, weights, active)
        assert [(client.framework_id, client.role) for client in tree.in_order()] == wanted
        for some in ({name}, set(CLIENTS[::3]), set(CLIENTS)):
            if some & active:
                mask = sum(clients[one].bit for one in some)
                assert tree.first(mask) is clients[next(one for one in wanted if one in some)]
