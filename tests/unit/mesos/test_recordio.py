"""RecordIO, however the transport cuts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.mesos.recordio import RecordDecoder, RecordError, frame


def test_a_record_is_its_length_a_newline_and_the_payload():
    assert frame(b'{"type":"HEARTBEAT"}') == b'20\n{"type":"HEARTBEAT"}'
    assert frame(b"") == b"0\n"


RECORDS = [b"a", b"", b"\n", b"7\n", b"x" * 12, b"\xff\0" * 60]
STREAM = b"".join(map(frame, RECORDS))


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_a_stream_may_be_cut_anywhere(cut):
    decoder = RecordDecoder()
    assert decoder.feed(STREAM[:cut]) + decoder.feed(STREAM[cut:]) == RECORDS
    assert decoder.pending == 0


@given(st.lists(st.binary(max_size=30), max_size=8), st.data())
def test_any_records_in_any_chunks_come_out_as_they_went_in(records, data):
    stream = b"".join(map(frame, records))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = RecordDecoder()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[begin:end])
    assert found == records


def test_bytes_of_an_unfinished_record_are_pending():
    decoder = RecordDecoder()
    assert decoder.feed(b"3\nabc5\nab") == [b"abc"]
    assert decoder.pending == 4


@pytest.mark.parametrize(
    "stream", [b"\n", b"x\n", b"-1\n", b"+1\na", b" 1\na", b"1.0\na", b"0x1\na", b"1\r\na", b"{}\n"]
)
def test_what_is_no_length_is_refused(stream):
    with pytest.raises(RecordError, match="not the length of a record"):
        RecordDecoder().feed(stream)


@pytest.mark.parametrize("stream", [b'{"type":"SUBSCRIBE","subscribe":{}}', b"1" * 21, b"1" * 10_000])
def test_a_stream_without_a_length_is_refused_before_it_is_buffered(stream):
    with pytest.raises(RecordError, match="must start with its length"):
        RecordDecoder().feed(stream)


def test_a_record_beyond_the_bound_is_refused_by_its_length_alone():
    assert RecordDecoder(record_bytes_max=3).feed(b"3\nabc") == [b"abc"]
    with pytest.raises(RecordError, match="at most 3 are allowed"):
        RecordDecoder(record_bytes_max=3).feed(b"4\n")
    with pytest.raises(RecordError, match="are allowed"):
        RecordDecoder().feed(b"99999999999999999999\n")
