"""All message types of the v1 API, their protobuf descriptors, and strategies that draw messages of them."""

from __future__ import annotations

import importlib
import pkgutil
import types
import typing
from collections.abc import Iterator
from enum import Enum
from importlib.resources import files
from typing import Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor
from hypothesis import strategies as st

from koinon.mesos import v1
from koinon.mesos.v1.base import Duration, Infinite, V1Message

for _module in pkgutil.iter_modules(v1.__path__, f"{v1.__name__}."):
    importlib.import_module(_module.name)


def _below(kind: type[V1Message]) -> Iterator[type[V1Message]]:
    for message in kind.__subclasses__():
        yield message
        yield from _below(message)


#: Every message type of the API, by a name that tells its package.
KINDS = {
    f"{kind.__module__.rsplit('.', 1)[1]}.{kind.__qualname__}": kind
    for kind in _below(V1Message)
    if kind.__module__.startswith(f"{v1.__name__}.")  # views derive some with a key more
}

DESCRIPTORS = descriptor_pb2.FileDescriptorSet.FromString(
    files("koinon.mesos.v1").joinpath("messages.desc").read_bytes()
)

POOL = descriptor_pool.DescriptorPool()
for _file in DESCRIPTORS.file:
    POOL.Add(_file)

_PACKAGES = {file.package.removeprefix("mesos.v1.") for file in DESCRIPTORS.file}


def full_name(kind: type) -> str:
    """The name of a message type or enum in protobuf."""
    if kind is Duration:
        return "google.protobuf.Duration"
    module = kind.__module__.rsplit(".", 1)[1]
    return (
        f"mesos.v1.{module}.{kind.__qualname__}" if module in _PACKAGES else f"mesos.v1.{kind.__qualname__}"
    )


def descriptor_of(kind: type[V1Message]) -> Descriptor:
    """What the `.proto` files say of a message type."""
    return POOL.FindMessageTypeByName(full_name(kind))


_TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
_PLAIN = {str: _TEXT, bytes: st.binary(max_size=5), bool: st.booleans()}

#: Below this many levels only required fields are drawn.
_DEPTH_MAX = 2


def messages(kind: type[V1Message], depth: int = 0) -> st.SearchStrategy[Any]:
    """Draws messages of a type; any optional field may be set or not, but one at most of a oneof."""
    hints = typing.get_type_hints(kind, include_extras=True)
    required, optional = {}, {}
    for field in msgspec.structs.fields(kind):
        if field.required:
            required[field.name] = _values(hints[field.name], depth + 1)
        elif depth < _DEPTH_MAX:
            optional[field.name] = _values(hints[field.name], depth + 1)
    oneofs = [[field.name for field in oneof.fields] for oneof in descriptor_of(kind).oneofs]

    def make(fields: dict[str, Any]) -> Any:
        for names in oneofs:
            for name in [name for name in names if name in fields][1:]:
                del fields[name]
        return kind(**fields)

    return st.fixed_dictionaries(required, optional=optional).map(make)


def _values(hint: Any, depth: int) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return st.lists(_values(arguments[0], depth), max_size=2)
    if origin is dict:
        return st.dictionaries(_TEXT, _values(arguments[1], depth), max_size=2)
    if origin in (types.UnionType, typing.Union):
        if Infinite in arguments:
            return st.floats(allow_nan=False)
        (hint,) = (argument for argument in arguments if argument is not types.NoneType)
        return _values(hint, depth)
    if origin is typing.Annotated:
        bounds = hint.__metadata__[0]
        if arguments[0] is int:
            return st.integers(bounds.ge, bounds.le)
        return st.floats(bounds.ge, bounds.le)
    if issubclass(hint, V1Message):
        return messages(hint, depth)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return _PLAIN[hint]
