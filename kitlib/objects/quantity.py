"""Resource quantities: `100m` of a CPU, `1.5Gi` of memory, `12e6` of anything.

A quantity is a number with a suffix from one of three families, which its canonical form keeps:

    binary     Ki Mi Gi Ti Pi Ei             1536Mi   (powers of 1024)
    decimal    n u m "" k M G T P E          100m     (powers of 1000)
    exponent   e3, E-2                       12e6

The canonical form, which the API server stores, has an integer and the largest suffix that allows
one: `0.5` is `500m`, `1024Mi` is `1Gi`.  The finest unit is a nano; smaller amounts are rounded up.

Source: k8s.io/apimachinery/pkg/api/resource (quantity.go, suffix.go).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_UP, Decimal, localcontext
from functools import lru_cache

_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_NUMBER = re.compile(r"([+-]?)(\d+(?:\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+|)", re.ASCII)
_NANO = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)

ERROR = (r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")


class QuantityError(ValueError):
    """The text is not a quantity."""


def _split(text: object) -> tuple[Decimal, str]:
    """(amount, suffix); the amount is a multiple of a nano and at most 2^63-1, as in Kubernetes."""
    match = _NUMBER.fullmatch(str(text).strip())
    if match is None:
        raise QuantityError(ERROR)
    sign, digits, suffix = match.groups()
    with localcontext() as context:
        context.prec = 80
        if suffix in _BINARY:
            amount = Decimal(digits) * (1 << _BINARY[suffix])
        elif suffix in _DECIMAL:
            amount = Decimal(digits).scaleb(_DECIMAL[suffix])
        elif abs(int(suffix[1:])) > 400:
            raise QuantityError("unable to parse quantity's suffix")
        else:
            amount = Decimal(digits).scaleb(int(suffix[1:]))
        amount = min(amount, _LARGEST).quantize(_NANO, rounding=ROUND_UP)
    return (-amount if sign == "-" else amount), suffix


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Decimal:
    return _split(text)[0]


def parse(text: str | int | float) -> Decimal:
    """The amount.  Raises QuantityError (a ValueError) with the API server's sentence."""
    return _parse_text(text if type(text) is str else str(text))


def cpu_millis(text: str | int | float) -> int:
    """Thousandths of a CPU, rounded up (`MilliValue`)."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


def memory_bytes(text: str | int | float) -> int:
    """Whole units, rounded up (`Value`): bytes of memory, but also numbers of Pods."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


@lru_cache(maxsize=4096)
def _canonical_text(text: str) -> str:
    amount, suffix = _split(text)
    if suffix in _BINARY:
        # Small or broken amounts are shown in the decimal family, so that no precision is lost.
        whole = amount == amount.to_integral_value()
        return _format_binary(int(amount)) if whole and abs(amount) >= 1024 else _format_decimal(amount)
    if suffix in _DECIMAL:
        return _format_decimal(amount)
    return _format_exponent(amount)


def canonical(text: str | int | float) -> str:
    """The form in which an API server stores and shows this quantity."""
    return _canonical_text(text if type(text) is str else str(text))


def format_decimal(amount: Decimal | int) -> str:
    """Canonical text in the decimal family: 1.5 → `1500m`, 2000 → `2k`."""
    with localcontext() as context:
        context.prec = 80
        return _format_decimal(Decimal(amount).quantize(_NANO, rounding=ROUND_UP))


def format_binary(amount: int) -> str:
    """Canonical text in the binary family: 1536 × 2^20 → `1536Mi`."""
    return _format_binary(amount) if abs(amount) >= 1024 else str(amount)


def format_cpu(millis: int) -> str:
    """Canonical text of thousandths of a CPU: 250 → `250m`, 2000 → `2`."""
    return f"{millis}m" if millis % 1000 else format_decimal(millis // 1000)


def format_memory(amount: int) -> str:
    """Canonical text of bytes."""
    return format_binary(amount)


def _format_binary(amount: int) -> str:
    suffix = ""
    for candidate in _BINARY:
        if amount % 1024:
            break
        amount //= 1024
        suffix = candidate
    return f"{amount}{suffix}"


def _mantissa(amount: Decimal) -> tuple[int, int]:
    """An integer and the largest exponent of ten, a multiple of three, that give `amount`."""
    if not amount:
        return 0, 0
    number = int((amount * 10**9).to_integral_value(ROUND_DOWN))
    exponent = -9
    while number % 1000 == 0:
        number //= 1000
        exponent += 3
    return number, exponent


def _format_decimal(amount: Decimal) -> str:
    number, exponent = _mantissa(amount)
    while exponent > 18:
        number, exponent = number * 1000, exponent - 3
    return f"{number}{_DECIMAL_SUFFIX[exponent]}"


def _format_exponent(amount: Decimal) -> str:
    number, exponent = _mantissa(amount)
    return f"{number}e{exponent}" if exponent else str(number)
