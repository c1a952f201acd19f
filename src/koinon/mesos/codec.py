"""Messages to bytes and back: JSON and protobuf are two encodings of the same structs.

JSON input is read as leniently as Apache Mesos reads it (numbers and booleans as strings, a single
value for a repeated field, `null` for absent, an unknown name of an optional enum dropped). The
lenient rules cost time, so a message is first read strictly and only walked when that fails.

What was read from one encoding can be written in the other: text that is not UTF-8 and numbers that JSON
cannot tell are refused.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec

from koinon.mesos.v1.base import Duration, Infinite, V1Message

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
RECORDIO = "application/recordio"

M = TypeVar("M", bound=V1Message)


class DecodeError(ValueError):
    """The bytes are not the message asked for; the text says what is wrong and where."""


def encode(message: V1Message, content_type: str = JSON) -> bytes:
    """`message` in `content_type`, which is JSON or PROTOBUF."""
    if content_type != JSON:
        return _protobuf().encode(message)
    payload = _encode_json(message)
    return payload if payload.isascii() else _escaped(payload)


def decode(kind: type[M], body: bytes, content_type: str = JSON) -> M:
    """The message of type `kind` in `body`. Raises DecodeError."""
    if content_type != JSON:
        return _protobuf().decode(kind, body)
    try:
        try:
            return typing.cast(M, _json_decoder(kind).decode(body))
        except msgspec.ValidationError:
            return _decode_leniently(kind, body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"Failed to parse body into JSON: {error}") from error
    except RecursionError as error:
        raise DecodeError("Failed to parse body into JSON: it is nested too deep") from error


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────
_encode_json = msgspec.json.Encoder().encode


def _escaped(payload: bytes) -> bytes:
    """The same JSON in ASCII. Some clients count the bytes of a record in characters."""
    return _BEYOND_ASCII.sub(_escape, payload.decode()).encode()


_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


@cache
def _json_decoder(kind: type[V1Message]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def _decode_leniently(kind: type[M], body: bytes) -> M:
    try:
        return msgspec.convert(_normalise(msgspec.json.decode(body), kind), kind, strict=False)
    except msgspec.ValidationError as error:
        raise DecodeError(f"Failed to convert JSON into {kind.__name__}: {error}") from error


class _Field(msgspec.Struct, frozen=True):
    """A field's type, taken apart."""

    kind: Any
    required: bool
    repeated: bool = False
    mapped: bool = False
    #: A double that may be infinite.
    infinite: bool = False


@cache
def fields_of(kind: type[V1Message]) -> dict[str, _Field]:
    """The fields of a message type by name."""
    hints = typing.get_type_hints(kind)
    return {
        field.name: _take_apart(hints[field.name], field.required) for field in msgspec.structs.fields(kind)
    }


def _take_apart(hint: Any, required: bool) -> _Field:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return _Field(arguments[0], required, repeated=True)
    if origin is dict:
        return _Field(arguments[1], required, mapped=True)
    if origin in (types.UnionType, typing.Union):
        first, *others = (argument for argument in arguments if argument is not types.NoneType)
        return _Field(first, required, infinite=Infinite in others)
    return _Field(hint, required)


def _is_message(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, V1Message)


def _normalise(value: Any, kind: type[V1Message]) -> Any:
    """The value as the strict reader wants it."""
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for name, field in fields_of(kind).items():
        if (item := value.get(name)) is None:
            continue
        if field.repeated:
            items = item if isinstance(item, list) else [item]
            result[name] = [
                _normalise_one(element, field)
                for element in items
                if not _is_unknown_name(element, field.kind)
            ]
        elif field.mapped and isinstance(item, dict):
            result[name] = {key: _normalise_one(element, field) for key, element in item.items()}
        elif field.required or not _is_unknown_name(item, field.kind):
            result[name] = _normalise_one(item, field)
    return result


def _normalise_one(value: Any, field: _Field) -> Any:
    return _normalise(value, field.kind) if _is_message(field.kind) else value


def _is_unknown_name(value: Any, kind: Any) -> bool:
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return False
    return isinstance(value, str) and value not in kind.__members__


# ── protobuf ──────────────────────────────────────────────────────────────────────────────────────
class _Protobuf:
    """Walks between structs and messages of the protobuf runtime, by field name."""

    def __init__(self) -> None:
        # Imported late: only who speaks protobuf pays for it.
        from importlib.resources import files

        from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

        self._pool = descriptor_pool.DescriptorPool()
        self._class_of = message_factory.GetMessageClass
        self._error = message.DecodeError
        described = descriptor_pb2.FileDescriptorSet()
        described.ParseFromString(files("koinon.mesos.v1").joinpath("messages.desc").read_bytes())
        for file in described.file:
            self._pool.Add(file)
        self._classes: dict[type[V1Message], Any] = {}
        self._readers: dict[type[V1Message], dict[str, Callable[[Any], Any]]] = {}

    def message_class(self, kind: type[V1Message]) -> Any:
        """The protobuf runtime's class for `kind`."""
        if (found := self._classes.get(kind)) is None:
            if kind is Duration:
                name = "google.protobuf.Duration"
            else:
                part = kind.__module__.rsplit(".", 1)[1]
                package = f"mesos.v1.{part}" if part in _PACKAGES else "mesos.v1"
                name = f"{package}.{kind.__qualname__}"
            found = self._classes[kind] = self._class_of(self._pool.FindMessageTypeByName(name))
        return found

    def encode(self, message: V1Message) -> bytes:
        kind = type(message)
        # The runtime makes messages of what JSON is made of: all in C, without a step of ours per field.
        fields = msgspec.to_builtins(message, builtin_types=(bytes,))
        try:
            target = self.message_class(kind)(**fields)
        except TypeError:
            target = self._made(kind, fields)
        return typing.cast(bytes, target.SerializeToString())

    def _made(self, kind: type[V1Message], fields: dict[str, Any]) -> Any:
        """The message, from fields that the runtime does not take so: infinities as text, maps of messages."""
        known = fields_of(kind)
        return self.message_class(kind)(
            **{name: self._made_value(value, known[name]) for name, value in fields.items()}
        )

    def _made_value(self, value: Any, field: _Field) -> Any:
        if not _is_message(field.kind):
            return float(value) if field.infinite else value
        if field.repeated:
            return [self._made(field.kind, one) for one in value]
        if field.mapped:
            return {key: self._made(field.kind, one) for key, one in value.items()}
        return self._made(field.kind, value)

    def decode(self, kind: type[M], body: bytes) -> M:
        source = self.message_class(kind)()
        try:
            source.ParseFromString(body)
        except self._error as error:
            raise DecodeError(f"Failed to parse body into {kind.__name__} protobuf: {error}") from error
        if not source.IsInitialized():
            missing = ", ".join(source.FindInitializationErrors())
            raise DecodeError(f"Failed to parse body into {kind.__name__} protobuf: missing {missing}")
        try:
            return typing.cast(M, self._reader(kind)(source))
        except ValueError as error:
            raise DecodeError(f"Failed to parse body into {kind.__name__} protobuf: {error}") from error

    def _reader(self, kind: type[V1Message]) -> Callable[[Any], V1Message]:
        def read(source: Any) -> V1Message:
            readers = self._readers.get(kind)
            if readers is None:
                descriptor = self.message_class(kind).DESCRIPTOR
                readers = self._readers[kind] = {
                    name: self._field_reader(field, descriptor.fields_by_name[name])
                    for name, field in fields_of(kind).items()
                }
            return kind(**{found.name: readers[found.name](value) for found, value in source.ListFields()})

        return read

    def _field_reader(self, field: _Field, descriptor: Any) -> Callable[[Any], Any]:
        one = self._value_reader(field, descriptor)
        if field.repeated:
            return lambda values: [one(value) for value in values]
        if field.mapped:
            return lambda values: {_text(key): one(value) for key, value in values.items()}
        return one

    def _value_reader(self, field: _Field, descriptor: Any) -> Callable[[Any], Any]:
        if _is_message(field.kind):
            return self._reader(field.kind)
        if descriptor.enum_type is not None:
            by_number = {value.number: field.kind[value.name] for value in descriptor.enum_type.values}
            return by_number.__getitem__
        if field.kind is str:
            return _text
        if field.kind is float and not field.infinite:
            return _finite
        return _bounded if descriptor.type == descriptor.TYPE_UINT64 else _same


#: Modules of `koinon.mesos.v1` that are packages of their own in protobuf.
_PACKAGES = frozenset(
    ("scheduler", "executor", "master", "agent", "maintenance", "quota", "allocator", "resource_provider")
)


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    # The runtime hands out the bytes of a string that is not UTF-8.
    if value.__class__ is not str:
        raise ValueError(f"a string that is not UTF-8: {value!r}")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a number must be finite, not {value}")
    return value


def _bounded(value: int) -> int:
    if value >= 2**63:
        raise ValueError(f"a number must be less than 2^63, not {value}")
    return value


@cache
def _protobuf() -> _Protobuf:
    return _Protobuf()
