"""How tables write things: ages, labels, selectors, lists cut short.

Source: k8s.io/apimachinery/pkg/util/duration, pkg/labels, pkg/apis/meta/v1.FormatLabelSelector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kitlib.objects.clock import parse_time

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"


def human_duration(seconds: float) -> str:
    """Short, and the rougher the longer: 90s, 3m5s, 12m, 5h12m, 30h, 3d4h, 200d, 2y100d."""
    if int(seconds) < -1:  # clocks differ a little, not by more
        return "<invalid>"
    total = max(0, int(seconds))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def since(timestamp: str | None, now: float, missing: str = UNKNOWN) -> str:
    """Time since a timestamp."""
    if not timestamp:
        return missing
    try:
        return human_duration(now - parse_time(timestamp))
    except ValueError:
        return "<invalid>"


def age(obj: Mapping[str, Any], now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def name(obj: Mapping[str, Any]) -> str:
    return obj["metadata"].get("name", "")


def part(obj: Mapping[str, Any] | None, *path: str) -> Any:
    """A nested value or None."""
    node: Any = obj
    for step in path:
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def labels(values: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(values.items())) if values else NONE


def selector(value: Mapping[str, Any] | None) -> str:
    """A LabelSelector as one would type it after -l."""
    if value is None:
        return NONE
    terms = [(key, f"{key}={text}") for key, text in (value.get("matchLabels") or {}).items()]
    for requirement in value.get("matchExpressions") or ():
        key, operator = requirement.get("key", ""), requirement.get("operator", "")
        values = ",".join(sorted(requirement.get("values") or ()))
        terms.append((key, {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key,
                            "DoesNotExist": f"!{key}"}.get(operator, "<error>")))
    return ",".join(text for _, text in sorted(terms)) or NONE


def containers(pod_spec: Mapping[str, Any] | None) -> list[str]:
    """The two cells of `TEMPLATE`."""
    found = (pod_spec or {}).get("containers") or ()
    return [",".join(c.get("name", "") for c in found), ",".join(c.get("image", "") for c in found)]


def template(obj: Mapping[str, Any]) -> list[str]:
    return containers(part(obj, "spec", "template", "spec"))


def cut(items: Iterable[str], most: int, empty: str) -> str:
    """`a,b,c + 2 more...`"""
    found = list(items)
    text = ",".join(found[:most])
    if len(found) > most:
        return f"{text} + {len(found) - most} more..."
    return text or empty


def load_balancer(status: Mapping[str, Any] | None) -> str:
    """The addresses of a load balancer, sorted."""
    ingress = part(status, "loadBalancer", "ingress") or ()
    return ",".join(sorted({entry.get("ip") or entry.get("hostname") or "" for entry in ingress} - {""}))


def condition(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """A condition of the object's status by its type."""
    return next((c for c in part(obj, "status", "conditions") or () if c.get("type") == kind), None)


def is_true(obj: Mapping[str, Any], kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"
