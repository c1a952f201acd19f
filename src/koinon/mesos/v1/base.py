"""What all messages share."""

from typing import Annotated

from msgspec import Meta, Struct

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
UInt64 = Annotated[int, Meta(ge=0)]


class V1Message(Struct, omit_defaults=True, gc=False):
    """A message of the v1 API.

    Unset fields and empty lists are left out of JSON. A field whose default is made by a
    factory is always written: those are the fields for which the API declares a default.
    Messages never form cycles, so the garbage collector need not look at them.
    """


class Duration(V1Message, kw_only=True):
    """`google.protobuf.Duration`."""

    seconds: int = 0
    nanos: Int32 = 0
