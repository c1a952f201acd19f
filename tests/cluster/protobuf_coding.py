"""The v1 messages by the protobuf runtime, with classes that protoc makes of `proto/` on the spot: nothing of ours.

coding = ProtobufCoding(compile_protos(directory))
Framework(master, coding=coding)
"""

from __future__ import annotations

import base64
import importlib
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from grpc_tools import protoc

from tests.cluster.raw import EXECUTOR, OPERATOR, SCHEDULER, Coding

SOURCES = Path(__file__).parents[2] / "proto"
#: Messages of these types were made for one moment.
_PACKAGES = {SCHEDULER: "scheduler", EXECUTOR: "executor"}


def compile_protos(directory: Path) -> dict[str, Any]:
    """Compile and import; modules by the package they hold: `scheduler`, `executor`, `master`, `agent`."""
    names = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    status = protoc.main(["protoc", f"-I{SOURCES}", f"-I{well_known}", f"--python_out={directory}", *names])
    assert status == 0
    sys.path.insert(0, str(directory))
    try:
        return {
            name: importlib.import_module(f"mesos.v1.{name}.{name}_pb2")
            for name in ("scheduler", "executor", "master", "agent")
        }
    finally:
        sys.path.remove(str(directory))


class ProtobufCoding(Coding):
    """`operator` says whose operator API is meant: master or agent."""

    content_type = "application/x-protobuf"

    def __init__(self, modules: dict[str, Any], operator: str = "master") -> None:
        self._modules, self._operator = modules, operator

    def kind(self, path: str, name: str) -> type[Message]:
        """Call, Event or Response of the API at `path`."""
        package = self._operator if path == OPERATOR else _PACKAGES[path]
        found: type[Message] = getattr(self._modules[package], name)
        return found

    def encode(self, path: str, message: dict[str, Any]) -> bytes:
        return json_format.ParseDict(message, self.kind(path, "Call")()).SerializeToString()

    def decode(self, path: str, data: bytes, name: str = "Event") -> dict[str, Any]:
        return plain(self.kind(path, name).FromString(data))

    def normal(self, path: str, message: dict[str, Any], name: str = "Event") -> dict[str, Any]:
        """What came as JSON in the form of `decode`; fails if it says what no message can hold."""
        return plain(json_format.ParseDict(_without_ghosts(message), self.kind(path, name)()))


def _without_ghosts(message: Any) -> Any:
    """In JSON lists of agents say `checkpoint`, as they always did; the message has no such field any more."""
    if isinstance(message, list):
        return [_without_ghosts(one) for one in message]
    if not isinstance(message, dict):
        return message
    found = {name: _without_ghosts(value) for name, value in message.items()}
    if "agent_info" in found:
        found["agent_info"].pop("checkpoint", None)
    return found


def plain(message: Message) -> dict[str, Any]:
    """The message as JSON would have it; a field with a declared default is there even when it is not set."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if value:
                found[field.name] = {
                    key: _value(field.message_type.fields[1], value[key]) for key in sorted(value)
                }
        elif field.is_repeated:
            if value:
                found[field.name] = [_value(field, one) for one in value]
        elif message.HasField(field.name) or (field.has_default_value and not field.GetOptions().deprecated):
            found[field.name] = _value(field, value)
    return found


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
