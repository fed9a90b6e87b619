"""Formats that an openAPIV3Schema may ask of a string.  An unknown format allows everything, as in Kubernetes.

Source: k8s.io/kube-openapi/pkg/validation/strfmt, apiextensions-apiserver's supported formats.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from kitlib.objects import names
from kitlib.objects.clock import parse_time

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)")
_DURATION = re.compile(r"-?((\d+(\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s|m|h|d|w|[a-z]+)\s*)+|0")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MAC = re.compile(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
_HEX_COLOR = re.compile(r"#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def _raises(read: Callable[[str], object]) -> Callable[[str], bool]:
    """A format that is whatever this function can read."""

    def good(text: str) -> bool:
        try:
            read(text)
        except (ValueError, binascii.Error):
            return False
        return True

    return good


def _uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme or parts.path.startswith("/"))


_GOOD: dict[str, Callable[[str], bool]] = {
    "date": lambda text: bool(_DATE.fullmatch(text)),
    "date-time": lambda text: bool(_DATE_TIME.fullmatch(text)) and _raises(parse_time)(f"{text[:10]}T{text[11:19]}Z"),
    "datetime": lambda text: bool(_DATE_TIME.fullmatch(text)),
    "duration": lambda text: bool(_DURATION.fullmatch(text)),
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "hostname": lambda text: not names.dns_subdomain(text.lower().rstrip(".")),
    "ipv4": _raises(ipaddress.IPv4Address),
    "ipv6": _raises(ipaddress.IPv6Address),
    "cidr": lambda text: "/" in text and _raises(lambda t: ipaddress.ip_network(t, strict=False))(text),
    "mac": lambda text: bool(_MAC.fullmatch(text)),
    "uuid": lambda text: bool(_UUID.fullmatch(text)),
    "uuid3": lambda text: bool(_UUID.fullmatch(text)),
    "uuid4": lambda text: bool(_UUID.fullmatch(text)),
    "uuid5": lambda text: bool(_UUID.fullmatch(text)),
    "uri": _uri,
    "byte": _raises(lambda text: base64.b64decode(text, validate=True)),
    "hexcolor": lambda text: bool(_HEX_COLOR.fullmatch(text)),
    "k8s-short-name": lambda text: not names.dns_label(text),
    "k8s-long-name": lambda text: not names.dns_subdomain(text),
}


def fits(form: str, text: str) -> bool:
    """Whether a string has a format."""
    good = _GOOD.get(form.lower())
    return good is None or good(text)
