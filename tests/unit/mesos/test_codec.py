"""How leniently JSON is read, what is written, and what is refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.mesos import codec, v1
from koinon.mesos.codec import JSON, PROTOBUF, DecodeError
from koinon.mesos.v1 import agent, master, scheduler
from tests.unit.mesos.messages import KINDS


def read(kind, text):
    return codec.decode(kind, text.encode())


def write(message):
    return codec.encode(message).decode()


# ── reading JSON ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (v1.Value.Scalar, '{"value":"5"}', v1.Value.Scalar(5.0)),
        (v1.Value.Scalar, '{"value":5}', v1.Value.Scalar(5.0)),
        (v1.Value.Scalar, '{"value":"1.5e3"}', v1.Value.Scalar(1500.0)),
        (v1.Value.Range, '{"begin":"5","end":"9"}', v1.Value.Range(begin=5, end=9)),
        (v1.TimeInfo, '{"nanoseconds":"-5"}', v1.TimeInfo(-5)),
        (v1.Address, '{"port":"80"}', v1.Address(port=80)),
    ],
)
def test_numbers_may_be_strings(kind, text, message):
    assert read(kind, text) == message


@pytest.mark.parametrize(("text", "value"), [("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_infinity_is_a_string(text, value):
    scalar = read(v1.Value.Scalar, f'{{"value":"{text}"}}')
    assert scalar.value == value
    assert write(scalar) == f'{{"value":"{text}"}}'


def test_booleans_may_be_strings():
    text = '{"user":"a","name":"b","checkpoint":"true"}'
    assert read(v1.FrameworkInfo, text).checkpoint is True
    assert read(v1.FrameworkInfo, text.replace("true", "false")).checkpoint is False


def test_numbers_stay_numbers_beside_other_leniency():
    text = '{"value":"id","parent":null,"unknown":{"x":[1,{}]}}'
    assert read(v1.ContainerID, text) == v1.ContainerID(value="id")


def test_a_bare_value_is_a_list_of_one():
    one = read(v1.Labels, '{"labels":{"key":"a"}}')
    assert one == v1.Labels(labels=[v1.Label(key="a")])
    assert read(v1.Value.Set, '{"item":"a"}') == v1.Value.Set(item=["a"])


def test_leniency_reaches_into_lists_and_maps():
    text = """{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"s"},
        "resources":{"name":"ports","type":"RANGES","ranges":{"range":{"begin":"1","end":"2"}}},
        "limits":{"cpus":{"value":"1.5"}}}"""
    task = read(v1.TaskInfo, text)
    assert task.resources[0].ranges == v1.Value.Ranges(range=[v1.Value.Range(begin=1, end=2)])
    assert task.limits == {"cpus": v1.Value.Scalar(1.5)}


def test_maps_do_not_take_bare_numbers_for_messages():
    with pytest.raises(DecodeError, match="limits"):
        read(
            v1.TaskInfo, '{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"s"},"limits":{"cpus":1.5}}'
        )


def test_unknown_fields_are_ignored():
    assert read(v1.TaskID, '{"value":"a","since":2031}') == v1.TaskID("a")


@pytest.mark.parametrize("text", ['{"key":"a","value":null}', '{"key":"a"}'])
def test_null_means_absent(text):
    assert read(v1.Label, text) == v1.Label(key="a")


def test_null_means_absent_for_lists_and_preset_fields_too():
    assert read(v1.Labels, '{"labels":null}') == v1.Labels()
    assert read(v1.Filters, '{"refuse_seconds":null}') == v1.Filters(refuse_seconds=5.0)


@pytest.mark.parametrize("text", ["{}", '{"key":null}', '{"value":"b"}'])
def test_a_required_field_must_be_there(text):
    with pytest.raises(DecodeError, match="missing required field `key`"):
        read(v1.Label, text)


def test_unknown_names_of_optional_enums_are_dropped():
    assert read(scheduler.Call, '{"type":"DANCE"}').type is None
    assert read(v1.FrameworkInfo.Capability, '{"type":"DANCE"}').type is None


def test_an_unknown_name_of_a_preset_enum_leaves_the_default():
    variable = read(v1.Environment.Variable, '{"name":"a","type":"DANCE"}')
    assert variable.type is v1.Environment.Variable.Type.VALUE


def test_unknown_names_in_lists_of_enums_are_dropped():
    capabilities = read(v1.CapabilityInfo, '{"capabilities":["CHOWN","DANCE","KILL"]}').capabilities
    assert [capability.name for capability in capabilities] == ["CHOWN", "KILL"]


def test_an_unknown_name_of_a_required_enum_is_refused():
    with pytest.raises(DecodeError, match="DANCE"):
        read(v1.Resource, '{"name":"cpus","type":"DANCE"}')


def test_numbers_of_enums_are_refused():
    with pytest.raises(DecodeError, match="type"):
        read(scheduler.Call, '{"type":1}')


def test_bytes_are_base64():
    assert read(v1.UUID, '{"value":"AAEC/w=="}') == v1.UUID(b"\0\1\2\xff")
    assert write(v1.UUID(b"\0\1\2\xff")) == '{"value":"AAEC/w=="}'
    with pytest.raises(DecodeError, match="base64"):
        read(v1.UUID, '{"value":"?"}')


def test_a_duration_is_an_object_and_not_a_text():
    text = '{"type":"DRAIN_AGENT","drain_agent":{"agent_id":{"value":"s"},"max_grace_period":%s}}'
    drain = read(master.Call, text % '{"seconds":600}').drain_agent
    assert drain.max_grace_period == v1.Duration(seconds=600)
    with pytest.raises(DecodeError, match="max_grace_period"):
        read(master.Call, text % '"10mins"')


# ── writing JSON ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("message", "text"),
    [
        (v1.Label(key="a"), '{"key":"a"}'),
        (v1.Labels(), "{}"),
        (v1.Value.Scalar(4.0), '{"value":4.0}'),
        (v1.TimeInfo(2**62), '{"nanoseconds":4611686018427387904}'),
        (v1.CommandInfo.URI(value="x"), '{"value":"x","extract":true}'),
        (
            v1.FrameworkInfo(user="u", name="n"),
            '{"user":"u","name":"n","failover_timeout":0.0,"checkpoint":false}',
        ),
        (scheduler.Event(type=scheduler.Event.Type.HEARTBEAT), '{"type":"HEARTBEAT"}'),
    ],
)
def test_unset_fields_are_left_out_unless_they_declare_a_default(message, text):
    assert write(message) == text


def test_json_is_ascii_for_clients_that_count_characters():
    message = v1.Label(key="naïve\n", value="→ 😀")
    assert write(message) == r'{"key":"na\u00efve\n","value":"\u2192 \ud83d\ude00"}'
    assert read(v1.Label, write(message)) == message


# ── protobuf ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("message", "body"),
    [
        (v1.Label(key="a", value="bc"), b"\x0a\x01a\x12\x02bc"),
        (scheduler.Event(type=scheduler.Event.Type.HEARTBEAT), b"\x08\x08"),
        (v1.ContainerID(value="a", parent=v1.ContainerID(value="b")), b"\x0a\x01a\x12\x03\x0a\x01b"),
        (v1.Value.Scalar(1.5), b"\x09\0\0\0\0\0\0\xf8\x3f"),
    ],
)
def test_protobuf_has_the_numbers_of_the_api(message, body):
    assert codec.encode(message, PROTOBUF) == body
    assert codec.decode(type(message), body, PROTOBUF) == message


def test_an_empty_message_that_is_set_stays_set():
    resource = v1.Resource(name="cpus", type=v1.Value.Type.SCALAR, revocable=v1.Resource.RevocableInfo())
    for content_type in (JSON, PROTOBUF):
        assert codec.decode(v1.Resource, codec.encode(resource, content_type), content_type) == resource


def test_unknown_numbers_of_enums_and_fields_are_dropped():
    assert codec.decode(scheduler.Call, b"\x10\x7f\xf8\x07\x01", PROTOBUF) == scheduler.Call()


def test_missing_required_fields_are_named():
    with pytest.raises(DecodeError, match=r"missing agent_info\.hostname"):
        codec.decode(agent.Response.GetAgent, b"\x0a\x00", PROTOBUF)


# ── refusals ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"x"',
        b'{"key":1}',
        b'{"key":"a"} x',
        b'{"key":"\xff"}',
        b'{"key":"\\ud800"}',
        b"\x0a\x01a",
        b'{"key":' * 100_000,
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_the_message_in_json_is_a_decode_error(body):
    with pytest.raises(DecodeError, match="Failed to"):
        codec.decode(v1.Label, body)


@pytest.mark.parametrize(
    "body", [b"\x0a", b"\x0a\x05a", b"\xff" * 20, b'{"key":"a"}', b"", b"\x0a\x02\xff\xff"]
)
def test_what_is_not_the_message_in_protobuf_is_a_decode_error(body):
    with pytest.raises(DecodeError, match="Failed to parse body into Label protobuf"):
        codec.decode(v1.Label, body, PROTOBUF)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (v1.Value.Range, '{"begin":-1,"end":1}'),
        (v1.Value.Range, '{"begin":1,"end":9223372036854775808}'),
        (v1.TimeInfo, '{"nanoseconds":9223372036854775808}'),
        (v1.TimeInfo, '{"nanoseconds":%s}' % ("9" * 10_000)),
        (v1.Address, '{"port":2147483648}'),
        (v1.Address, '{"port":1.5}'),
        (v1.WeightInfo, '{"weight":"Infinity"}'),
        (v1.WeightInfo, '{"weight":1e999}'),
        (v1.Value.Scalar, '{"value":"NaN"}'),
    ],
)
def test_numbers_out_of_bounds_are_refused(kind, value):
    with pytest.raises(DecodeError):
        read(kind, value)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (v1.WeightInfo, b"\x09\0\0\0\0\0\0\xf0\x7f"),  # infinity
        (v1.Value.Scalar, b"\x09\0\0\0\0\0\0\xf8\x7f"),  # NaN
        (v1.Value.Range, b"\x08\0\x10" + b"\xff" * 9 + b"\x01"),  # 2^64 - 1
    ],
)
def test_numbers_that_json_could_not_pass_on_are_refused_in_protobuf_too(kind, body):
    with pytest.raises(DecodeError, match="a number must"):
        codec.decode(kind, body, PROTOBUF)


def test_containers_are_nested_32_levels_deep_at_most():
    def nested(levels):
        return '{"value":"a","parent":' * levels + '{"value":"a"}' + "}" * levels

    deepest = read(v1.ContainerID, nested(32))
    assert codec.decode(v1.ContainerID, codec.encode(deepest, PROTOBUF), PROTOBUF) == deepest
    for levels in (33, 500):
        with pytest.raises(DecodeError, match="nested"):
            read(v1.ContainerID, nested(levels))


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=64), st.sampled_from([JSON, PROTOBUF]))
def test_arbitrary_bytes_are_a_message_or_a_decode_error(name, body, content_type):
    kind = KINDS[name]
    try:
        message = codec.decode(kind, body, content_type)
    except DecodeError:
        return
    assert codec.decode(kind, codec.encode(message, content_type), content_type) == message


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data())
def test_any_json_in_the_place_of_fields_is_a_message_or_a_decode_error(data):
    kind = KINDS[data.draw(st.sampled_from(sorted(KINDS)))]
    fields = st.sampled_from(kind.__struct_fields__ or ("x",))
    value = data.draw(st.dictionaries(fields, _JSON_VALUES, max_size=4))
    try:
        message = codec.decode(kind, json.dumps(value).encode())
    except DecodeError:
        return
    assert codec.decode(kind, codec.encode(message)) == message
    # Not compared: of two fields of a oneof, protobuf keeps one.
    codec.decode(kind, codec.encode(message, PROTOBUF), PROTOBUF)
