"""Environment variables: literal, from the Pod's own fields, from ConfigMaps and Secrets.

Source: k8s.io/kubernetes/pkg/apis/core/validation/validation.go (ValidateEnv, ValidateEnvFrom).
"""

from __future__ import annotations

import re

from kitlib.api.validation.common import Errors, Obj, each, named
from kitlib.objects import field, names, quantity

ENV_FIELDS = ("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
              "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_CONVERTIBLE = frozenset((*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"))
_RESOURCES = ("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
              "requests.ephemeral-storage", "requests.memory")
_SUBSCRIPT = re.compile(r"(.+)\['(.*)'\]")
_DIVISORS = {"cpu": ("1m", "1"),
             "memory": ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")}

_ONE = "must specify one of: "
_BOTH = "may not have more than one field specified at a time"


def environment(errs: Errors, place: str, container: Obj) -> None:
    for index, variable in enumerate(container.get("env") or ()):
        at = f"{place}.env[{index}]"
        named(errs, f"{at}.name", variable.get("name"), names.env_var_name)
        source = variable.get("valueFrom")
        if source is not None:
            _value_from(errs, f"{at}.valueFrom", source, variable.get("value"))
    for index, source in enumerate(container.get("envFrom") or ()):
        at = f"{place}.envFrom[{index}]"
        if source.get("prefix"):
            each(errs, f"{at}.prefix", source["prefix"], names.env_var_name(source["prefix"]))
        found = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in found:
            named(errs, f"{at}.{name}.name", source[name].get("name"), names.dns_subdomain)
        if not found:
            errs.append(field.invalid(f"{place}.envFrom", "", f"{_ONE}`configMapRef` or `secretRef`"))
        elif len(found) > 1:
            errs.append(field.invalid(f"{place}.envFrom", "", _BOTH))


def _value_from(errs: Errors, path: str, source: Obj, value: str | None) -> None:
    found = [name for name in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
             if source.get(name) is not None]
    for name in found:
        at, reference = f"{path}.{name}", source[name]
        if name == "fieldRef":
            field_ref(errs, at, reference, ENV_FIELDS)
        elif name == "resourceFieldRef":
            resource_ref(errs, at, reference, of_volume=False)
        elif name == "fileKeyRef":
            for key in ("volumeName", "path", "key"):
                if not reference.get(key):
                    errs.append(field.required(f"{at}.{key}"))
        else:
            each(errs, f"{at}.name", reference.get("name", ""), names.dns_subdomain(reference.get("name", "")))
            named(errs, f"{at}.key", reference.get("key"), names.config_map_key)
    if not found:
        errs.append(field.invalid(path, "", f"{_ONE}`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` "
                                  "or `fileKeyRef`"))
    if value:
        if found:
            errs.append(field.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(found) > 1:
        errs.append(field.invalid(path, "", _BOTH))


def field_ref(errs: Errors, path: str, reference: Obj, allowed: tuple[str, ...]) -> None:
    """A field of the Pod itself (the downward API)."""
    if not reference.get("apiVersion"):
        errs.append(field.required(f"{path}.apiVersion"))
        return
    name = reference.get("fieldPath", "")
    if not name:
        errs.append(field.required(f"{path}.fieldPath"))
        return
    subscript = _SUBSCRIPT.fullmatch(name)
    if subscript:
        base, key = subscript.groups()
        if base == "metadata.annotations":
            each(errs, path, key, names.qualified_name(key.lower()))
        elif base == "metadata.labels":
            each(errs, path, key, names.qualified_name(key))
        else:
            errs.append(field.invalid(path, base, "does not support subscript"))
    elif name not in _CONVERTIBLE:
        errs.append(field.invalid(f"{path}.fieldPath", name, "error converting fieldPath: field label not supported: "
                                  f"{name}"))
    elif name not in allowed:
        errs.append(field.not_supported(f"{path}.fieldPath", name, sorted(allowed)))


def resource_ref(errs: Errors, path: str, reference: Obj, *, of_volume: bool) -> None:
    """A request or limit of a container."""
    if of_volume and not reference.get("containerName"):
        errs.append(field.required(f"{path}.containerName"))
    name = reference.get("resource", "")
    if not name:
        errs.append(field.required(f"{path}.resource"))
        return
    if name not in _RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        errs.append(field.not_supported(f"{path}.resource", name, _RESOURCES))
        return
    divisor = reference.get("divisor")
    allowed = _DIVISORS["cpu" if name.endswith(".cpu") else "memory"]
    if divisor and quantity.parse(divisor) and quantity.canonical(divisor) not in allowed:
        errs.append(field.invalid(f"{path}.divisor", divisor, f"only divisor's values {', '.join(allowed)} are "
                                  f"supported with the {name.partition('.')[2]} resource"))
