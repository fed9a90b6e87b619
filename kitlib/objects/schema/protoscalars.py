"""Protobuf's wire format, and the scalars that Kubernetes writes as messages of their own.

    key = number << 3 | wire type      0 varint   1 eight bytes   2 length and bytes   5 four bytes

Source: protobuf's encoding; generated.proto of apimachinery (Time, MicroTime, Quantity, IntOrString...).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MAGIC = b"k8s\x00"


class ProtobufError(ValueError):
    """A body that is not what it should be; the message is for a 400."""


def fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(number, value) of a message: int for varints, float for eight bytes, bytes for the rest."""
    position, end = 0, len(data)
    while position < end:
        key, position = _varint(data, position)
        wire = key & 7
        value: int | float | bytes
        if wire == 0:
            value, position = _varint(data, position)
        elif wire == 2:
            size, position = _varint(data, position)
            value = data[position:position + size]
            position += size
        elif wire == 1:
            value = struct.unpack("<d", data[position:position + 8])[0] if position + 8 <= end else 0.0
            position += 8
        elif wire == 5:
            value = data[position:position + 4]
            position += 4
        else:
            raise ProtobufError(f"proto: illegal wireType {wire}")
        if position > end:
            raise ProtobufError("unexpected EOF")
        if not key >> 3:
            raise ProtobufError(f"proto: illegal tag {key >> 3} (wire type {wire})")
        yield key >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data):
            raise ProtobufError("unexpected EOF")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
        if shift > 63:
            raise ProtobufError("proto: integer overflow")


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise ProtobufError("proto: wrong wireType for a number")
    return value


def signed(value: Any, bits: int = 64) -> int:
    """A varint as a two's complement number."""
    number = _number(value) & ((1 << bits) - 1)
    return number - (1 << bits) if number >> (bits - 1) else number


def _raw(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ProtobufError("proto: wrong wireType for a message or text")
    return value


def _text(value: Any) -> str:
    try:
        return _raw(value).decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("proto: text is not UTF-8") from error


def _double(value: Any) -> float:
    if not isinstance(value, float):
        raise ProtobufError("proto: wrong wireType for a double")
    return value


def _moment(value: Any) -> tuple[datetime, int] | None:
    """Time and MicroTime: 1 seconds since 1970, 2 nanoseconds; nothing at all is Go's zero time."""
    parts = dict(fields(_raw(value)))
    if not parts:
        return None
    try:
        return EPOCH + timedelta(seconds=signed(parts.get(1, 0))), signed(parts.get(2, 0), 32)
    except OverflowError as error:
        raise ProtobufError("time out of range") from error


def _time(value: Any) -> str | None:
    moment = _moment(value)
    return moment[0].strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20) if moment else None


def _microtime(value: Any) -> str | None:
    moment = _moment(value)
    if moment is None:
        return None
    return moment[0].strftime("%Y-%m-%dT%H:%M:%S").zfill(19) + f".{moment[1] // 1000 % 1_000_000:06d}Z"


def _quantity(value: Any) -> str:
    return _text(dict(fields(_raw(value))).get(1, b"")) or "0"


def _int_or_string(value: Any) -> int | str:
    parts = dict(fields(_raw(value)))
    return _text(parts.get(3, b"")) if parts.get(1) == 1 else signed(parts.get(2, 0), 32)


def _duration(value: Any) -> str:
    """Nanoseconds, as JSON has them: Go's 1h2m3s."""
    nanos = signed(dict(fields(_raw(value))).get(1, 0))
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if 0 < nanos < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanos >= size:
                return f"{sign}{_decimal(nanos, size)}{unit}"
    minutes, rest = divmod(nanos, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = _decimal(rest, 10**9)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def _decimal(value: int, size: int) -> str:
    whole, part = divmod(value, size)
    fraction = str(part + size)[1:].rstrip("0")  # size is a power of ten: the 1 in front keeps the zeros
    return f"{whole}.{fraction}" if fraction else str(whole)


def _free_json(value: Any) -> Any:
    """RawExtension, JSON, FieldsV1: 1 holds the bytes of a JSON value, or a whole protobuf body."""
    raw = _raw(dict(fields(_raw(value))).get(1, b""))
    if not raw:
        return None
    if raw[:4] == MAGIC:
        from kitlib.objects.schema.protobuf import decode

        return decode(raw)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtobufError("an embedded value is not JSON") from error


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "string": _text, "bool": lambda value: bool(_number(value)), "int32": lambda value: signed(value, 32),
    "int64": signed, "double": _double, "bytes": lambda value: base64.b64encode(_raw(value)).decode(),
    "time": _time, "microtime": _microtime, "quantity": _quantity, "int-or-string": _int_or_string,
    "duration": _duration, "any": _free_json,
}
WIRE = {"bool": 0, "int32": 0, "int64": 0}  # the scalars that are varints, and so may come packed
