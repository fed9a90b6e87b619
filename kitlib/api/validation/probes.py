"""Probes and lifecycle hooks: exactly one way to act, with sensible numbers.

Source: k8s.io/kubernetes/pkg/apis/core/validation/validation.go (validateProbe, validateHandler).
"""

from __future__ import annotations

from kitlib.api.validation.common import Errors, Obj, each, not_negative_fields, one_of, port_or_name
from kitlib.objects import field, names

_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def all_of(errs: Errors, place: str, container: Obj, grace: int | None) -> None:
    """The hooks and probes of one container."""
    hooks = container.get("lifecycle")
    if hooks:
        for name in ("postStart", "preStop"):
            if hooks.get(name) is not None:
                _handler(errs, f"{place}.lifecycle.{name}", hooks[name], grace)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is not None:
            _probe(errs, f"{place}.{name}", probe, name)


def _probe(errs: Errors, path: str, probe: Obj, name: str) -> None:
    _handler(errs, path, probe, None)
    not_negative_fields(errs, path, probe, *_NUMBERS)
    grace = probe.get("terminationGracePeriodSeconds")
    if name == "readinessProbe":
        if grace is not None:
            errs.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace,
                                      "must not be set for readinessProbes"))
        return
    if grace is not None and grace <= 0:
        errs.append(field.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if probe.get("successThreshold") not in (None, 1):
        errs.append(field.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))


def _handler(errs: Errors, path: str, handler: Obj, grace: int | None) -> None:
    found = 0
    for name in ("exec", "httpGet", "tcpSocket", "grpc", "sleep"):
        action = handler.get(name)
        if action is None:
            continue
        found += 1
        at = f"{path}.{name}"
        if found > 1:
            errs.append(field.forbidden(at, "may not specify more than 1 handler type"))
        elif name == "exec":
            if not action.get("command"):
                errs.append(field.required(f"{at}.command"))
        elif name == "sleep":
            _sleep(errs, at, action.get("seconds", 0), grace)
        else:
            port_or_name(errs, f"{at}.port", action.get("port"))
            if name == "httpGet":
                _http(errs, at, action)
    if not found:
        errs.append(field.required(path, "must specify a handler type"))


def _http(errs: Errors, path: str, action: Obj) -> None:
    if not action.get("path"):
        errs.append(field.required(f"{path}.path"))
    one_of(errs, f"{path}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        each(errs, f"{path}.httpHeaders", header.get("name", ""), names.http_header(header.get("name", "")))


def _sleep(errs: Errors, path: str, seconds: int, grace: int | None) -> None:
    if seconds < 0 or (grace is not None and seconds > grace):
        errs.append(field.invalid(path, seconds, "must be non-negative and less than terminationGracePeriodSeconds "
                                  f"({grace})"))
