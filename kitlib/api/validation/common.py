"""Rules that many kinds share: immutability, numbers, selectors, ports, addresses, quantities.

Every rule appends to `errs`, so a valid object costs no lists; paths are made where they are needed.

Source: k8s.io/kubernetes/pkg/apis/core/validation, k8s.io/apimachinery/pkg/apis/meta/v1/validation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kitlib.objects import field, names, quantity
from kitlib.objects.field import Cause

Errors = list[Cause]
Obj = Mapping[str, Any]

IMMUTABLE = "field is immutable"
NEGATIVE = "must be greater than or equal to 0"
PROTOCOLS = ("SCTP", "TCP", "UDP")


def range_error(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


def each(errs: Errors, path: str, value: Any, problems: Iterable[str]) -> None:
    """One `Invalid` for every sentence about a value."""
    for problem in problems:
        errs.append(field.invalid(path, value, problem))


def immutable(errs: Errors, path: str, new: Any, old: Any) -> None:
    if new != old:
        errs.append(field.invalid(path, new, IMMUTABLE))


def immutable_fields(errs: Errors, path: str, new: Obj, old: Obj, *fields: str) -> None:
    for name in fields:
        if new.get(name) != old.get(name):
            errs.append(field.invalid(f"{path}.{name}" if path else name, new.get(name), IMMUTABLE))


def not_negative(errs: Errors, path: str, value: int | None) -> None:
    if value is not None and value < 0:
        errs.append(field.invalid(path, value, NEGATIVE))


def not_negative_fields(errs: Errors, path: str, obj: Obj, *fields: str) -> None:
    for name in fields:
        value = obj.get(name)
        if value is not None and value < 0:
            errs.append(field.invalid(f"{path}.{name}", value, NEGATIVE))


def positive(errs: Errors, path: str, value: int | None) -> None:
    if value is not None and value <= 0:
        errs.append(field.invalid(path, value, "must be greater than zero"))


def in_range(errs: Errors, path: str, value: int | None, low: int, high: int) -> None:
    if value is not None and not low <= value <= high:
        errs.append(field.invalid(path, value, range_error(low, high)))


def one_of(errs: Errors, path: str, value: Any, supported: Collection[str], needed: bool = True) -> None:
    """An enumeration: empty is `Required` (if needed), unknown is `NotSupported`."""
    if not value:
        if needed:
            errs.append(field.required(path))
    elif value not in supported:
        errs.append(field.not_supported(path, value, sorted(supported)))


def required(errs: Errors, path: str, value: Any, detail: str = "") -> bool:
    if value in (None, "", [], {}):
        errs.append(field.required(path, detail))
        return False
    return True


def named(errs: Errors, path: str, value: str | None, rule: Callable[[str], list[str]], detail: str = "") -> None:
    """A text that must be there and follow a grammar."""
    if not value:
        errs.append(field.required(path, detail))
    else:
        each(errs, path, value, rule(value))


def labels(errs: Errors, path: str, value: Mapping[str, str] | None) -> None:
    """A map of labels (also node selectors): all problems are reported at the map's path."""
    for key, text in (value or {}).items():
        if not names.is_qualified_name(key):
            each(errs, path, key, names.qualified_name(key))
        problems = names.label_value(text)
        if problems:
            each(errs, path, text, problems)


def label_name(errs: Errors, path: str, value: str) -> None:
    if not names.is_qualified_name(value):
        each(errs, path, value, names.qualified_name(value))


def label_selector(errs: Errors, path: str, selector: Obj | None) -> None:
    if not selector:
        return
    labels(errs, f"{path}.matchLabels", selector.get("matchLabels"))
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        at = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values")
        if operator in ("In", "NotIn"):
            if not values:
                errs.append(field.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                errs.append(field.forbidden(
                    f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        else:
            errs.append(field.invalid(f"{at}.operator", operator, "not a valid selector operator"))
        label_name(errs, f"{at}.key", expression.get("key", ""))
        for number, value in enumerate(values or ()):
            each(errs, f"{at}.values[{number}]", value, names.label_value(value))


def selects(selector: Obj | None, found: Mapping[str, str] | None) -> bool | None:
    """Whether a selector matches labels; None if the selector itself cannot be used."""
    found = found or {}
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        if found.get(key) != value:
            return False
    result: bool | None = True
    for expression in (selector or {}).get("matchExpressions") or ():
        operator, value = expression.get("operator"), found.get(expression.get("key", ""))
        values = expression.get("values") or ()
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist") or (
                bool(values) != (operator in ("In", "NotIn"))):
            return None
        matched = {"In": value in values, "NotIn": value not in values, "Exists": value is not None,
                   "DoesNotExist": value is None}[operator]
        if not matched:
            result = False
    return result


def port_number(errs: Errors, path: str, value: Any) -> None:
    if not 1 <= (value or 0) <= 65535:
        errs.append(field.invalid(path, value or 0, range_error(1, 65535)))


def port_or_name(errs: Errors, path: str, value: Any) -> None:
    """An IntOrString that means a port."""
    if isinstance(value, str):
        each(errs, path, value, names.port_name(value))
    else:
        port_number(errs, path, value)


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def ip(errs: Errors, path: str, value: str) -> None:
    if ip_address(value) is None:
        errs.append(field.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"))


def cidr(errs: Errors, path: str, value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in value:
        errs.append(field.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))
        return None
    return network


def non_special_ip(errs: Errors, path: str, value: str) -> None:
    """Addresses that endpoints must not have: unspecified, loopback, link-local."""
    address = ip_address(value)
    if address is None:
        ip(errs, path, value)
    elif address.is_unspecified:
        errs.append(field.invalid(path, value, f"may not be unspecified ({value})"))
    elif address.is_loopback and not is_cluster_slice(address):
        errs.append(field.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    elif address.is_link_local:
        errs.append(field.invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    elif any(address in network for network in _LOCAL_MULTICAST if network.version == address.version):
        errs.append(field.invalid(path, value, "may not be in the link-local multicast range (224.0.0.0/24, "
                                  "ff02::/10)"))


_LOCAL_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))
_SLICES = ipaddress.ip_network("127.64.0.0/10")


def is_cluster_slice(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """This cluster's own addresses lie in a part of the loopback range, so that no privilege is needed for them."""
    return address.version == 4 and address in _SLICES


def int_or_percent(errs: Errors, path: str, value: Any) -> None:
    """Not negative; a text must be a percentage."""
    if isinstance(value, str):
        each(errs, path, value, names.percentage(value))
    else:
        not_negative(errs, path, value)


def at_most_100_percent(errs: Errors, path: str, value: Any) -> None:
    if isinstance(value, str) and not names.percentage(value) and int(value[:-1]) > 100:
        errs.append(field.invalid(path, value, "must not be greater than 100%"))


def amount_of(value: Any) -> int:
    """The number in an IntOrString (of a percentage, too), or 0."""
    if isinstance(value, str):
        return int(value[:-1]) if not names.percentage(value) else 0
    return value or 0


def not_negative_quantity(errs: Errors, path: str, value: str) -> None:
    if quantity.parse(value) < 0:
        errs.append(field.invalid(path, value, NEGATIVE))


def positive_quantity(errs: Errors, path: str, value: str) -> None:
    if quantity.parse(value) <= 0:
        errs.append(field.invalid(path, value, "must be greater than zero"))


def no_backsteps(errs: Errors, path: str, value: str) -> None:
    if ".." in value.split("/"):
        errs.append(field.invalid(path, value, "must not contain '..'"))


def relative_path(errs: Errors, path: str, value: str) -> None:
    """A path below a volume's root."""
    if value.startswith("/"):
        errs.append(field.invalid(path, value, "must be a relative path"))
    no_backsteps(errs, path, value)


def file_mode(errs: Errors, path: str, value: int | None) -> None:
    if value is not None and not 0 <= value <= 0o777:
        errs.append(field.invalid(path, value, "must be a number between 0 and 0777 (octal), both inclusive"))


def expression(errs: Errors, path: str, text: str | None, what: str = "expression") -> None:
    """A CEL expression that is there and can be compiled."""
    if not (text or "").strip():
        errs.append(field.required(path, f"{what} is not specified"))
        return
    from kitlib.api.cel import CelError, compile_  # brings the CEL library: only for those who use it

    try:
        compile_(text or "")
    except CelError as error:
        errs.append(field.invalid(path, text, str(error)))


def conditions(errs: Errors, path: str, found: Iterable[Obj] | None) -> None:
    """metav1.Conditions of a status."""
    seen = set()
    for index, condition in enumerate(found or ()):
        at = f"{path}[{index}]"
        kind = condition.get("type", "")
        if kind in seen:
            errs.append(field.duplicate(f"{at}.type", kind))
        seen.add(kind)
        named(errs, f"{at}.type", kind, names.qualified_name)
        one_of(errs, f"{at}.status", condition.get("status"), ("True", "False", "Unknown"))
        not_negative(errs, f"{at}.observedGeneration", condition.get("observedGeneration"))
        if not condition.get("lastTransitionTime"):
            errs.append(field.required(f"{at}.lastTransitionTime", "must be set"))
        if not condition.get("reason"):
            errs.append(field.required(f"{at}.reason", "must be set"))
