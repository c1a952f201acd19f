"""Who is offered what: hierarchical weighted fair shares, refusals, constraints. Pure.

sorter.py       the tree of roles and clients, and whose turn it is
agents.py       what is free, used and refused on an agent
filters.py      refusals
frameworks.py   what frameworks can and want to be offered
constraints.py  offer constraints
allocator.py    `Allocator`: everything together
decisions.py    why something was not offered; explain.py finds out
"""

from koinon.allocator.allocator import Allocator, AllocatorConfig
from koinon.allocator.constraints import ConstraintError, RoleConstraints, compile_constraints
from koinon.allocator.decisions import Decision, Reason
from koinon.allocator.frameworks import Minimum, minimum_from_v1, parse_minimum
from koinon.allocator.stages import Allocation

__all__ = [
    "Allocation",
    "Allocator",
    "AllocatorConfig",
    "ConstraintError",
    "Decision",
    "Minimum",
    "Reason",
    "RoleConstraints",
    "compile_constraints",
    "minimum_from_v1",
    "parse_minimum",
]
