"""Whose turn is it: the tree of roles, ordered by weighted dominant resource fairness (DRF).

    root ─┬─ eng ─┬─ eng/.   ── clients: the frameworks subscribed to eng
          │       └─ eng/ads ── clients
          └─ ops ── clients

- *Client*: one framework in one role, the leaf that resources are allocated to.
- *Role node*: a component of role names. A role with both frameworks and sub-roles lets its frameworks
  compete as one *virtual leaf* `.` beside the sub-roles.
- *Share* of a node: the largest part that it (with all below it) holds of any scalar resource in the
  cluster, divided by its weight.

Among siblings the smaller share goes first, then the smaller number of allocations ever made, then the path.
Sums are exact integers (thousandths) and follow every allocation up the tree at once; each node keeps its
active children sorted, so an allocation costs one re-insertion per level, and nobody else is looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Quantities = Mapping[str, int]  #: scalar amounts by resource name, in thousandths
Entry = tuple[float, int, str, Any]  #: share, allocation count, path, node: what siblings are sorted by

VIRTUAL_LEAF = "."


class Node:
    """A node of the tree: what it holds, and its active children in order."""

    __slots__ = ("children", "count", "entry", "held", "mask", "order", "parent", "path", "share", "weight")

    def __init__(self, path: str, parent: Node | None, weight: float = 1.0) -> None:
        self.path = path
        self.parent = parent
        self.weight = weight
        self.held: dict[str, int] = {}  #: allocated to this node and all below it
        self.count = 0  #: allocations ever made here or below
        self.share = 0.0  #: before division by weight
        self.mask = 0  #: bits of the active clients here and below
        self.children: dict[str, Node] = {}
        self.order: list[Entry] = []  #: entries of active children, next one first
        self.entry: Entry = (0.0, 0, path, self)

    def __repr__(self) -> str:
        return f"<{self.path or 'root'} share={self.share:.4f}/{self.weight} count={self.count}>"


class Client(Node):
    """One framework in one role. What it wants is the affair of those who allocate."""

    __slots__ = ("bit", "framework_id", "refused_on", "role", "wants")

    def __init__(self, framework_id: str, role: str, bit: int, parent: Node) -> None:
        super().__init__(framework_id, parent)
        self.framework_id = framework_id
        self.role = role
        self.bit = bit
        self.wants: Any = None
        #: Ids of the agents on which it may have refusals, kept by the allocator; None: too many to list.
        self.refused_on: dict[str, None] | None = {}


class RoleTree:
    """All roles and clients, in the order in which they are to be offered something.

    Clients are numbered by bits, so that sets of them are plain integers (*masks*).
    """

    def __init__(self, excluded_resource_names: Collection[str] = ()) -> None:
        self.root = Node("", None)
        self.totals: dict[str, int] = {}  #: of the cluster
        self._rated: dict[str, int] = {}  #: those of them that count for shares
        self._excluded = frozenset(excluded_resource_names)
        self._weights: dict[str, float] = {}
        self._clients: list[Client | None] = []  #: by number of their bit
        self._stale = False  #: totals or weights changed since the shares were computed

    # ── members ───────────────────────────────────────────────────────────────────────────────────

    def add_client(self, framework_id: str, role: str) -> Client:
        """Add an inactive client that holds nothing."""
        leaf = self._leaf(role)
        number = self._clients.index(None) if None in self._clients else len(self._clients)
        client = Client(framework_id, role, 1 << number, leaf)
        self._clients[number : number + 1] = [client]
        leaf.children[framework_id] = client
        return client

    def remove_client(self, client: Client) -> None:
        """Remove a client that holds nothing; its role goes too when nobody else needs it."""
        assert not any(client.held.values()), f"{client} is removed while it holds {client.held}"
        self.deactivate(client)
        self._clients[client.bit.bit_length() - 1] = None
        node: Node = client
        while (parent := node.parent) is not None and not node.children:
            del parent.children[_name(node)]
            node = parent
        if list(node.children) == [VIRTUAL_LEAF]:
            self._merge(node)

    def activate(self, client: Client) -> None:
        """Let the client take part."""
        if self.is_active(client):
            return
        self.refresh()
        node: Node = client
        while (parent := node.parent) is not None:
            if not node.mask or node is client:
                insort(parent.order, node.entry)
            node.mask |= client.bit
            node = parent
        node.mask |= client.bit

    def deactivate(self, client: Client) -> None:
        """Leave the client out, as if it were not there; what it holds still counts for its role."""
        if not self.is_active(client):
            return
        self.refresh()
        node: Node = client
        while (parent := node.parent) is not None:
            node.mask &= ~client.bit
            if not node.mask:
                del parent.order[bisect_left(parent.order, node.entry)]
            node = parent
        node.mask &= ~client.bit

    def is_active(self, client: Client) -> bool:
        """Say whether the client takes part."""
        return client.mask != 0

    def clients(self, mask: int) -> Iterator[Client]:
        """Yield the clients whose bits are set."""
        while mask:
            low = mask & -mask
            client = self._clients[low.bit_length() - 1]
            if client is not None:
                yield client
            mask ^= low

    # ── what changes shares ───────────────────────────────────────────────────────────────────────

    def add_total(self, quantities: Quantities, sign: int = 1) -> None:
        """Add (sign 1) or take away (sign -1) what the cluster has in all."""
        for name, quantity in quantities.items():
            self.totals[name] = self.totals.get(name, 0) + sign * quantity
        self._rated = {
            name: total for name, total in self.totals.items() if total and name not in self._excluded
        }
        self._stale = True

    def set_weight(self, role: str, weight: float) -> None:
        """Set the weight of a role, present or to come."""
        self._weights[role] = weight
        if (node := self.find(role)) is not None:
            node.weight = weight
            self._stale = True

    def allocated(self, client: Client, quantities: Quantities) -> None:
        """Note that the client was given something (one allocation)."""
        if self._stale:
            self.refresh()
        totals = self._rated
        node: Node = client
        parent = client.parent
        while parent is not None:
            held, share = node.held, node.share
            for name, quantity in quantities.items():
                held[name] = amount = held.get(name, 0) + quantity
                if name in totals and (part := amount / totals[name]) > share:
                    share = part
            node.share = share
            node.count = count = node.count + 1
            entry = (share / node.weight, count, node.path, node)
            if node.mask:
                order = parent.order
                if len(order) == 1:
                    order[0] = entry
                else:
                    del order[0 if order[0] is node.entry else bisect_left(order, node.entry)]
                    insort(order, entry)
            node.entry = entry
            node = parent
            parent = node.parent

    def recovered(self, client: Client, quantities: Quantities) -> None:
        """Note that the client gave something back."""
        if self._stale:
            self.refresh()
        node: Node = client
        while (parent := node.parent) is not None:
            held = node.held
            for name, quantity in quantities.items():
                left = held.get(name, 0) - quantity
                assert left >= 0, f"{node} gives back {quantity} of {name} but held {held.get(name, 0)}"
                if left:
                    held[name] = left
                else:
                    held.pop(name, None)
            old = node.entry
            self._rate(node)
            if node.mask:
                order = parent.order
                if len(order) == 1:
                    order[0] = node.entry
                else:
                    del order[bisect_left(order, old)]
                    insort(order, node.entry)
            node = parent

    # ── the order ─────────────────────────────────────────────────────────────────────────────────

    def first(self, mask: int) -> Client:
        """Return the client that goes first among those of `mask`, of which one at least must be active."""
        node = self.root
        while True:
            if not node.mask & ~mask:  # all of them: the usual case
                node = node.order[0][3]
            elif isinstance(node.order[0][3], Client) and (few := self._few(node, mask)):
                node = few
            else:
                node = next(entry[3] for entry in node.order if entry[3].mask & mask)
            if isinstance(node, Client):
                return node

    def _few(self, node: Node, mask: int) -> Client | None:
        """Find the first of `mask` by looking at each of them, if they are fewer than the walk is long."""
        mask &= node.mask
        wanted = mask.bit_count()
        if wanted * wanted > len(node.order):
            return None
        return min(self.clients(mask), key=_entry)

    def in_order(self, node: Node | None = None) -> Iterator[Client]:
        """Yield the active clients, the one whose turn it is first."""
        self.refresh()
        for entry in (node or self.root).order:
            child = entry[3]
            if isinstance(child, Client):
                yield child
            else:
                yield from self.in_order(child)

    def roles(self, node: Node | None = None) -> Iterator[Node]:
        """Yield all role nodes, parents before their children, virtual leaves left out."""
        for child in (node or self.root).children.values():
            if not isinstance(child, Client) and _name(child) != VIRTUAL_LEAF:
                yield child
                yield from self.roles(child)

    def allocated_totals(self) -> dict[str, int]:
        """Return what all roles hold together."""
        held: dict[str, int] = {}
        for node in self.root.children.values():
            for name, quantity in node.held.items():
                held[name] = held.get(name, 0) + quantity
        return held

    def find(self, role: str) -> Node | None:
        """Return the node of a role, if anybody is in it or below it."""
        node: Node | None = self.root
        for name in role.split("/"):
            child = node.children.get(name) if node else None
            node = None if isinstance(child, Client) else child
        return node

    def refresh(self) -> None:
        """Bring shares and order up to date with totals and weights."""
        if self._stale:
            self._stale = False
            self._refresh(self.root)

    def _refresh(self, node: Node) -> None:
        for child in node.children.values():
            self._rate(child)
            self._refresh(child)
        node.order = sorted(child.entry for child in node.children.values() if child.mask)

    def _rate(self, node: Node) -> None:
        totals, share = self._rated, 0.0
        for name, held in node.held.items():
            if name in totals and (part := held / totals[name]) > share:
                share = part
        node.share = share
        node.entry = (share / node.weight, node.count, node.path, node)

    # ── the shape of the tree ─────────────────────────────────────────────────────────────────────

    def _leaf(self, role: str) -> Node:
        """Return the node that the clients of a role hang on, made if need be."""
        node = self.root
        for name in role.split("/"):
            if name not in node.children or isinstance(node.children[name], Client):
                if _holds_clients(node):
                    self._split(node)
                path = f"{node.path}/{name}" if node.path else name
                node.children[name] = Node(path, node, self._weights.get(path, 1.0))
            node = node.children[name]
        if not node.children or _holds_clients(node):
            return node
        return self._virtual_leaf(node)

    def _virtual_leaf(self, node: Node) -> Node:
        if VIRTUAL_LEAF not in node.children:
            node.children[VIRTUAL_LEAF] = Node(f"{node.path}/{VIRTUAL_LEAF}", node)
        return node.children[VIRTUAL_LEAF]

    def _split(self, node: Node) -> None:
        """Move a role's clients to a virtual leaf, because a sub-role appears beside them."""
        self.refresh()
        clients, order = node.children, node.order
        node.children, node.order = {}, []
        leaf = self._virtual_leaf(node)
        leaf.children, leaf.order = clients, order
        leaf.held, leaf.count, leaf.mask = dict(node.held), node.count, node.mask
        for client in clients.values():
            client.parent = leaf
        self._rate(leaf)
        if leaf.mask:
            node.order = [leaf.entry]

    def _merge(self, node: Node) -> None:
        """Let a role's clients hang on the role itself again, because its last sub-role is gone."""
        leaf = node.children[VIRTUAL_LEAF]
        node.children, node.order = leaf.children, leaf.order
        for client in node.children.values():
            client.parent = node


def _name(node: Node) -> str:
    return node.path if isinstance(node, Client) else node.path.rpartition("/")[2]


def _holds_clients(node: Node) -> bool:
    return isinstance(next(iter(node.children.values()), None), Client)


def _entry(node: Node) -> Entry:
    return node.entry
