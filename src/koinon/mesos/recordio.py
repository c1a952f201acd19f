"""RecordIO: the framing of event streams.

    record = length of the payload in bytes, as decimal digits · "\\n" · payload

Records need not start or end where chunks of the transport do, so the decoder buffers.
"""

#: A length of more digits than this is garbage rather than a record.
_LENGTH_DIGITS_MAX = 20


class RecordError(ValueError):
    """The stream is not RecordIO, or a record is larger than allowed."""


def frame(payload: bytes) -> bytes:
    """`payload` as one record."""
    return b"%d\n%b" % (len(payload), payload)


class RecordDecoder:
    """Cuts a byte stream into records. Feed it whatever arrives."""

    def __init__(self, record_bytes_max: int = 64 * 1024 * 1024) -> None:
        self._record_bytes_max = record_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The records that `data` completes, in order. Raises RecordError."""
        self._buffer += data
        buffer, start, records = self._buffer, 0, []
        while True:
            newline = buffer.find(b"\n", start, start + _LENGTH_DIGITS_MAX + 1)
            if newline < 0:
                if len(buffer) - start > _LENGTH_DIGITS_MAX:
                    raise RecordError("a record must start with its length and a newline")
                break
            digits = bytes(buffer[start:newline])
            if not digits.isdigit():
                raise RecordError(f"not the length of a record: {digits!r}")
            length = int(digits)
            if length > self._record_bytes_max:
                raise RecordError(f"a record of {length} bytes; at most {self._record_bytes_max} are allowed")
            end = newline + 1 + length
            if end > len(buffer):
                break
            records.append(bytes(buffer[newline + 1 : end]))
            start = end
        if start:
            del buffer[:start]
        return records

    @property
    def pending(self) -> int:
        """Bytes of a record that is not yet whole."""
        return len(self._buffer)
