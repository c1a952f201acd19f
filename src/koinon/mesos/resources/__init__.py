"""Resources and their arithmetic: exact, immutable, cheap.

Vocabulary:

    kind       what a resource is: name, type, reservations, disk, …; everything but how much
    quantity   how much of a kind: thousandths of a scalar, ranges, a set of items, or whole pieces
    resources  quantities by kind

Modules:

    quantities.py   ranges and thousandths
    kinds.py        kinds
    forms.py        resources as they stand in messages
    text.py         resources as people write them
    algebra.py      `Resources`
"""

from koinon.mesos.resources.algebra import Resources
from koinon.mesos.resources.forms import Form
from koinon.mesos.resources.kinds import Kind, Reservation
from koinon.mesos.resources.quantities import ResourceError
from koinon.mesos.resources.text import parse_resources

__all__ = ["Form", "Kind", "Reservation", "ResourceError", "Resources", "parse_resources"]
