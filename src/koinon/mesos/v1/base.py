"""What all messages share.

Numbers are bounded so that whatever has been read can be written again, in either encoding.
"""

import math
import sys
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
#: One bit less than the wire has: the bounds themselves must fit into 64 bits with a sign.
UInt64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
#: Finite. JSON has no other numbers.
Double = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


class Infinite(float, Enum):
    """The floats without a number in JSON, under the names that they have there."""

    POSITIVE = math.inf, "Infinity"
    NEGATIVE = -math.inf, "-Infinity"

    def __new__(cls, number: float, name: str) -> "Infinite":
        member = float.__new__(cls, number)
        member._value_ = name
        return member

    __repr__ = float.__repr__


#: For the few fields where infinity has a meaning. The field must pass through `spelled`.
DoubleOrInfinite = float | Infinite


def spelled(number: float) -> float:
    """The same number, in a type that JSON can tell. Raises ValueError if it is none."""
    if -math.inf < number < math.inf:
        return number
    if math.isnan(number):
        raise ValueError("a number must not be NaN")
    return Infinite.POSITIVE if number > 0 else Infinite.NEGATIVE


class V1Enum(Enum):
    """An enum of the v1 API. Members are unique, so their addresses hash them, at a fraction of the cost."""

    __hash__ = object.__hash__


class V1Message(Struct, omit_defaults=True, gc=False):
    """A message of the v1 API.

    Unset fields and empty lists are left out of JSON. A field whose default is made by a
    factory is always written: those are the fields for which the API declares a default.
    Messages never form cycles, so the garbage collector need not look at them.
    """


class Duration(V1Message, kw_only=True):
    """`google.protobuf.Duration`."""

    seconds: Int64 = 0
    nanos: Int32 = 0
