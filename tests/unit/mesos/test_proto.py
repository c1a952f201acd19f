"""The structs and the `.proto` files describe the same messages, field by field, in both directions."""

import runpy
import types
import typing
from enum import Enum
from pathlib import Path

import msgspec
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

from koinon.mesos import codec
from koinon.mesos.v1.base import Double, DoubleOrInfinite, Int32, Int64, UInt32, UInt64
from tests.unit.mesos.messages import DESCRIPTORS, KINDS, descriptor_of, full_name

_HINTS = {
    FieldDescriptor.TYPE_BOOL: {bool},
    FieldDescriptor.TYPE_BYTES: {bytes},
    FieldDescriptor.TYPE_DOUBLE: {Double, DoubleOrInfinite},
    FieldDescriptor.TYPE_INT32: {Int32},
    FieldDescriptor.TYPE_INT64: {Int64},
    FieldDescriptor.TYPE_STRING: {str},
    FieldDescriptor.TYPE_UINT32: {UInt32},
    FieldDescriptor.TYPE_UINT64: {UInt64},
}

_OURS = {name: kind for name, kind in KINDS.items() if kind.__name__ != "Duration"}

_by_name = pytest.mark.parametrize("name", _OURS)


def _is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _without_none(hint):
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return hint
    arguments = tuple(argument for argument in typing.get_args(hint) if argument is not types.NoneType)
    return typing.Union[arguments]  # noqa: UP007


def _declared_default(field):
    """The default that the API declares and has not given up; None if there is none."""
    if not field.has_default_value or field.GetOptions().deprecated:
        return None
    if field.enum_type is not None:
        return field.enum_type.values_by_number[field.default_value].name
    return field.default_value


def test_the_descriptors_are_what_the_compiler_makes_of_the_proto_files():
    compiler = runpy.run_path(str(Path(__file__).parents[3] / "proto" / "compile.py"))
    compiled = descriptor_pb2.FileDescriptorSet.FromString(compiler["compile_descriptors"]())
    assert {file.name: file for file in compiled.file} == {file.name: file for file in DESCRIPTORS.file}


def test_every_message_and_enum_of_the_proto_files_has_its_type_and_no_type_is_more():
    in_proto = set()

    def collect(scope, messages, enums):
        in_proto.update(f"{scope}.{enum.name}" for enum in enums)
        for message in messages:
            if not message.options.map_entry:
                in_proto.add(f"{scope}.{message.name}")
                collect(f"{scope}.{message.name}", message.nested_type, message.enum_type)

    for file in DESCRIPTORS.file:
        collect(file.package, file.message_type, file.enum_type)
    modules = {
        typing.cast(types.ModuleType, __import__(kind.__module__, fromlist=["_"])) for kind in KINDS.values()
    }
    scopes = [*modules, *KINDS.values()]
    enums = {
        full_name(found)
        for scope in scopes
        for found in vars(scope).values()
        if isinstance(found, type) and issubclass(found, Enum) and found.__module__ != "koinon.mesos.v1.base"
        if found is not Enum
    }
    assert in_proto == {full_name(kind) for kind in KINDS.values()} | enums


@_by_name
def test_the_fields_have_the_same_names(name):
    kind = KINDS[name]
    assert set(kind.__struct_fields__) == {field.name for field in descriptor_of(kind).fields}


@_by_name
def test_the_fields_have_the_same_types(name):
    kind = KINDS[name]
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in descriptor_of(kind).fields:
        hint, described = hints[field.name], field
        if _is_map(field):
            key, hint = typing.get_args(hint)
            described = field.message_type.fields_by_name["value"]
            assert typing.get_origin(hints[field.name]) is dict
            assert key is str
        elif field.is_repeated:
            assert typing.get_origin(hint) is list, field.name
            (hint,) = typing.get_args(hint)
        hint = _without_none(hint)
        if described.message_type is not None:
            assert full_name(hint) == described.message_type.full_name
        elif described.enum_type is not None:
            assert full_name(hint) == described.enum_type.full_name
            assert [member.name for member in hint] == [value.name for value in described.enum_type.values]
            assert all(member.name == member.value for member in hint)
        else:
            assert hint in _HINTS[described.type], field.name


@_by_name
def test_the_fields_are_required_optional_and_preset_alike(name):
    kind = KINDS[name]
    described = descriptor_of(kind).fields_by_name
    for field in msgspec.structs.fields(kind):
        found = described[field.name]
        default = None if field.default is msgspec.NODEFAULT else field.default
        preset = None if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if found.is_repeated:
            assert preset == ({} if _is_map(found) else [])
        elif (declared := _declared_default(found)) is not None:
            assert (preset.name if isinstance(preset, Enum) else preset) == declared
        else:
            assert field.required is found.is_required, field.name
            assert default is None
            assert preset is None


@_by_name
def test_declared_defaults_are_written_although_unset(name):
    kind = KINDS[name]
    written = msgspec.json.decode(codec.encode(_least(kind)))
    for field in descriptor_of(kind).fields:
        if (declared := _declared_default(field)) is not None:
            assert written[field.name] == declared
        else:
            assert (field.name in written) is field.is_required


def _least(kind):
    """The message of which only what is required is set."""
    hints = typing.get_type_hints(kind)
    return kind(
        **{field.name: _some(hints[field.name]) for field in msgspec.structs.fields(kind) if field.required}
    )


def _some(hint):
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _least(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    return {str: "x", bytes: b"x", bool: True, int: 1}.get(hint, 1.0)
