"""Scalars with a text form of their own: quantities, times, bytes.

A server keeps values, not spellings: a quantity sent as "1000m" is answered as "1", a time with an
offset as UTC.  Each function takes the text (or number) of a JSON value and returns the canonical form,
or raises ValueError with the sentence a Kubernetes API server answers.

Source: k8s.io/apimachinery/pkg/api/resource (Quantity), pkg/apis/meta/v1 (Time, MicroTime), Go's time.Parse.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime, timedelta, timezone
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import lru_cache

QUANTITY = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)")
DECIMAL_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BY_EXPONENT = {exponent: suffix for suffix, exponent in DECIMAL_SUFFIXES.items()}
BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
LARGEST = Decimal(2**63 - 1)
NANO = Decimal("1e-9")
EXACT = Context(prec=80)
BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))")
LAYOUT = "2006-01-02T15:04:05Z07:00"
MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


@lru_cache(maxsize=4096)
def canonical_quantity(text: str) -> str:
    """ "1000m" -> "1", "0.5" -> "500m", "1024Mi" -> "1Gi", "1.5Gi" -> "1536Mi", "1e3" -> "1e3"."""
    return _format(*_value(text))


def largest_quantity(texts: list[str]) -> str:
    return max(texts, key=lambda text: _value(text)[0])


def sum_of_quantities(texts: list[str]) -> str:
    """The sum in the first one's notation, as Quantity.Add keeps it."""
    values = [_value(text) for text in texts]
    return _format(sum((value for value, _ in values), Decimal(0)), values[0][1])


def _value(text: str) -> tuple[Decimal, str]:
    """The value and the notation: "i" binary suffixes, "e" an exponent, "" decimal suffixes."""
    match = QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(BAD_QUANTITY)
    suffix = match[3]
    number = Decimal(match[1] + match[2])
    if suffix.endswith("i"):
        return number * 1024 ** BINARY_SUFFIXES.index(suffix), "i"
    if suffix[:1] in ("e", "E") and suffix != "E":
        return number.scaleb(max(-99, min(99, int(suffix[1:6]))), EXACT), "e"
    return number.scaleb(DECIMAL_SUFFIXES[suffix], EXACT), ""


def _format(value: Decimal, notation: str) -> str:
    return _binary(value) if notation == "i" else _decimal(value, notation)


def _clamp(value: Decimal) -> Decimal:
    """Not finer than nano (rounded away from zero) and not beyond an int64."""
    rounding = ROUND_CEILING if value > 0 else ROUND_FLOOR
    if abs(value) < LARGEST and value != value.to_integral_value():
        value = value.quantize(NANO, rounding, EXACT)
    return max(-LARGEST, min(LARGEST, value))


def _binary(value: Decimal) -> str:
    value = _clamp(value)
    if -1024 < value < 1024:  # binary suffixes only pay from 1Ki on; fractions need decimal ones
        return _decimal(value, "")
    whole = int(value.to_integral_value(ROUND_CEILING if value > 0 else ROUND_FLOOR))
    power = 0
    while whole % 1024 == 0 and power < len(BINARY_SUFFIXES) - 1:
        whole, power = whole // 1024, power + 1
    return f"{whole}{BINARY_SUFFIXES[power]}"


def _decimal(value: Decimal, form: str) -> str:
    """The largest suffix (a multiple of 3 in the exponent) that leaves a whole number."""
    value = _clamp(value)
    if not value:
        return "0"
    digits = int(value.scaleb(9, EXACT))
    exponent = -9
    while digits % 1000 == 0 and exponent < 18:
        digits, exponent = digits // 1000, exponent + 3
    if form == "e":
        return f"{digits}e{exponent}" if exponent else str(digits)
    return f"{digits}{BY_EXPONENT[exponent]}"


def quantity(value: object) -> str:
    """A quantity as JSON has it: text or a bare number."""
    if type(value) is str:
        return canonical_quantity(value)
    if type(value) is int:
        return canonical_quantity(str(value))
    if type(value) is float:
        return canonical_quantity(_go_float(value))
    raise ValueError(BAD_QUANTITY)


def _go_float(value: float) -> str:
    """The text of a JSON number that arrived as a float.  Its spelling is lost; its value is not."""
    return format(Decimal(repr(value)), "f")


def _moment(text: str, layout: str) -> datetime:
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError(_unparsable(text, layout))
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    micro = int(((match[7] or "") + "000000")[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, micro, tzinfo=timezone.utc)
    except ValueError as error:
        unit = str(error).partition(" ")[0]
        raise ValueError(f'parsing time "{text}": {unit} out of range') from error
    if match[8]:
        offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
        moment = moment - offset if match[8] == "+" else moment + offset
    return moment


def _unparsable(text: str, layout: str) -> str:
    """Go's sentence: how far the text went along with the layout, and what it wanted next."""
    parts = [("2006", r"\d{4}"), ("-", "-"), ("01", r"\d\d"), ("-", "-"), ("02", r"\d\d"), ("T", "T"), ("15", r"\d\d"),
             (":", ":"), ("04", r"\d\d"), (":", ":"), ("05", r"\d\d")]
    if layout is MICRO_LAYOUT:
        parts.append((".000000", r"\.\d{6}"))
    rest = text
    for wanted, pattern in parts:
        match = re.match(pattern, rest)
        if match is None:
            return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{wanted}"'
        rest = rest[match.end():]
    if layout is LAYOUT and (match := re.match(r"[.,]\d+", rest)):
        rest = rest[match.end():]
    if match := re.match(r"Z|[+-]\d\d:\d\d", rest):
        return f'parsing time "{text}": extra text: "{rest[match.end():]}"'
    return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "Z07:00"'


@lru_cache(maxsize=4096)
def canonical_time(text: str) -> str:
    """metav1.Time: whole seconds in UTC."""
    return _moment(text, LAYOUT).strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)


@lru_cache(maxsize=4096)
def canonical_microtime(text: str) -> str:
    """metav1.MicroTime: exactly six decimals, in UTC."""
    match = TIME.fullmatch(text)
    if match is None or len(match[7] or "") != 6:
        raise ValueError(_unparsable(text, MICRO_LAYOUT))
    return _moment(text, MICRO_LAYOUT).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


DURATION = re.compile(r"[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)")


def duration(text: str) -> str:
    """metav1.Duration, Go's `1h2m3s`.  Kept as sent: only its syntax is checked."""
    if DURATION.fullmatch(text) is None:
        raise ValueError(f'time: invalid duration "{text}"')
    return text


def base64_text(text: str) -> str:
    """[]byte: standard base64 with padding; line breaks inside are dropped, as Go does."""
    if "\n" in text or "\r" in text:
        text = text.replace("\n", "").replace("\r", "")
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"illegal base64 data at input byte {_bad_byte(text)}") from error
    # An unusual but legal spelling (stray bits in the last character) decodes to the same bytes.
    return text if text[-2:-1] not in "=" and text[-1:] != "=" else base64.b64encode(decoded).decode()


def _bad_byte(text: str) -> int:
    match = re.match(r"[A-Za-z0-9+/]*", text)
    good = match.end() if match else 0
    if good == len(text):
        return good - good % 4 if good % 4 == 0 else good
    return good
