"""Messages survive both encodings, and the protobuf project's own JSON reader understands ours."""

import math

import msgspec
import pytest
from google.protobuf import json_format, message_factory
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from koinon.mesos import codec, v1
from tests.unit.mesos.messages import KINDS, descriptor_of, messages

few = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("name", KINDS)
@few
@given(data=st.data())
def test_what_was_written_is_read_back(name, data):
    kind = KINDS[name]
    message = data.draw(messages(kind))
    for content_type in (codec.JSON, codec.PROTOBUF):
        assert codec.decode(kind, codec.encode(message, content_type), content_type) == message


def _holds_duration(descriptor, seen=()):
    if descriptor.full_name == "google.protobuf.Duration":
        return True
    return any(
        _holds_duration(field.message_type, (*seen, descriptor.full_name))
        for field in descriptor.fields
        if field.message_type is not None
        and field.message_type.full_name not in (*seen, descriptor.full_name)
    )


#: The protobuf project writes a Duration as text, Mesos as an object.
_COMMON = [name for name, kind in KINDS.items() if not _holds_duration(descriptor_of(kind))]


@pytest.mark.parametrize("name", _COMMON)
@few
@given(data=st.data())
def test_json_and_protobuf_say_the_same_to_an_independent_reader(name, data):
    kind = KINDS[name]
    message = data.draw(messages(kind))
    from_protobuf = message_factory.GetMessageClass(descriptor_of(kind))()
    from_protobuf.ParseFromString(codec.encode(message, codec.PROTOBUF))
    from_json = json_format.Parse(codec.encode(message), type(from_protobuf)())
    assert from_json == from_protobuf


@few
@example(v1.Value.Scalar(math.inf))
@example(v1.Value.Scalar(-math.inf))
@given(messages(v1.Value.Scalar))
def test_infinity_passes_through_any_writer_and_strict_reader(scalar):
    assert msgspec.json.decode(msgspec.json.encode(scalar), type=v1.Value.Scalar) == scalar
