"""The environment of a container: envFrom, then env with $(VAR) filled in, then the Services of its namespace.

    envFrom   every key of a ConfigMap or Secret
    env       a value, or a key, a field, a resource; may use what stands before it
    Services  MY_SVC_SERVICE_HOST, MY_SVC_PORT_80_TCP...: only where nothing of that name is set

Source: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/kubelet/envvars, third_party expansion rules.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .fields import ConfigError, field_value, resource_value


class ConfigSource(Protocol):
    """Where ConfigMaps and Secrets come from; None: there is none of that name."""

    def config_map(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    def secret(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What the node knows beyond the Pod's spec."""

    pod_ip: str = ""
    host_ip: str = ""
    allocatable: Mapping[str, str] = field(default_factory=dict)
    services: Sequence[Mapping[str, Any]] = ()


def expand(text: str, known: Mapping[str, str]) -> str:
    """$(NAME) becomes its value, $$ a dollar sign; a name nobody knows stays as it is written."""
    if "$" not in text:
        return text
    out: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            out.append(text[at])
            at += 1
        elif text[at + 1] == "$":
            out.append("$")
            at += 2
        elif text[at + 1] == "(" and (end := text.find(")", at)) > 0:
            name = text[at + 2:end]
            out.append(known.get(name, text[at:end + 1]))
            at = end + 1
        else:
            out.append(text[at:at + 2])
            at += 2
    return "".join(out)


def environment(pod: Mapping[str, Any], container: Mapping[str, Any], source: ConfigSource,
                facts: Facts) -> dict[str, str]:
    """Name → value.  Raises ConfigError when a reference that is not optional leads nowhere."""
    result: dict[str, str] = {}
    for entry in container.get("envFrom") or ():
        for key, value in _all_keys(pod, entry, source):
            result[entry.get("prefix", "") + key] = value
    services = service_environment(facts.services, pod["metadata"].get("namespace", ""),
                                   pod["spec"].get("enableServiceLinks", True))
    for entry in container.get("env") or ():
        if "valueFrom" in entry:
            found = _value_from(pod, container, entry["valueFrom"], source, facts)
        else:
            found = expand(entry.get("value", ""), {**services, **result})
        if found is not None:
            result[entry["name"]] = found
    return services | result


def command_line(container: Mapping[str, Any], env: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """command and args with $(VAR) filled in."""
    return ([expand(part, env) for part in container.get("command") or ()],
            [expand(part, env) for part in container.get("args") or ()])


def _all_keys(pod: Mapping[str, Any], entry: Mapping[str, Any], source: ConfigSource) -> Iterable[tuple[str, str]]:
    namespace = pod["metadata"].get("namespace", "")
    if "configMapRef" in entry:
        ref = entry["configMapRef"]
        found = _config_map(namespace, ref, source)
        return sorted((found.get("data") or {}).items()) if found else ()
    ref = entry.get("secretRef") or {}
    found = _secret(namespace, ref, source)
    return sorted((k, decode(v)) for k, v in (found.get("data") or {}).items()) if found else ()


def _value_from(pod: Mapping[str, Any], container: Mapping[str, Any], ref: Mapping[str, Any], source: ConfigSource,
                facts: Facts) -> str | None:
    namespace = pod["metadata"].get("namespace", "")
    if "fieldRef" in ref:
        return field_value(pod, ref["fieldRef"]["fieldPath"], facts.pod_ip, facts.host_ip)
    if "resourceFieldRef" in ref:
        wanted = ref["resourceFieldRef"]
        of = _container_named(pod, wanted.get("containerName")) or container
        return resource_value(of, wanted["resource"], wanted.get("divisor", ""), facts.allocatable)
    if "configMapKeyRef" in ref:
        wanted = ref["configMapKeyRef"]
        found = _config_map(namespace, wanted, source)
        return _key(found, wanted, "ConfigMap", namespace, lambda v: v)
    if "secretKeyRef" in ref:
        wanted = ref["secretKeyRef"]
        found = _secret(namespace, wanted, source)
        return _key(found, wanted, "Secret", namespace, decode)
    return ""


def _config_map(namespace: str, ref: Mapping[str, Any], source: ConfigSource) -> Mapping[str, Any] | None:
    found = source.config_map(namespace, ref.get("name", ""))
    if found is None and not ref.get("optional"):
        raise ConfigError(f'configmap "{ref.get("name", "")}" not found')
    return found


def _secret(namespace: str, ref: Mapping[str, Any], source: ConfigSource) -> Mapping[str, Any] | None:
    found = source.secret(namespace, ref.get("name", ""))
    if found is None and not ref.get("optional"):
        raise ConfigError(f'secret "{ref.get("name", "")}" not found')
    return found


def _key(found: Mapping[str, Any] | None, ref: Mapping[str, Any], kind: str, namespace: str, read: Any) -> str | None:
    if found is None:
        return None
    data = found.get("data") or {}
    if ref["key"] in data:
        return read(data[ref["key"]])
    if ref.get("optional"):
        return None
    raise ConfigError(f"couldn't find key {ref['key']} in {kind} {namespace}/{ref.get('name', '')}")


def _container_named(pod: Mapping[str, Any], name: str | None) -> Mapping[str, Any] | None:
    every = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
    return next((c for c in every if c["name"] == name), None)


def decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "replace")


def service_environment(services: Iterable[Mapping[str, Any]], namespace: str, links: bool = True) -> dict[str, str]:
    """The Docker-link style variables of the Services of a namespace.  default/kubernetes is there in any case."""
    result: dict[str, str] = {}
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        address = spec.get("clusterIP", "")
        if not address or address == "None" or not spec.get("ports"):
            continue
        master = meta.get("namespace") == "default" and meta["name"] == "kubernetes"
        if master or (links and meta.get("namespace") == namespace):
            result.update(_one_service(meta["name"], address, spec["ports"]))
    return result


def _one_service(name: str, address: str, ports: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    prefix = name.upper().replace("-", "_")
    result = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for index, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        url = f"{protocol.lower()}://{address}:{port['port']}"
        if index == 0:
            result[f"{prefix}_PORT"] = url
        base = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        result |= {base: url, f"{base}_PROTO": protocol.lower(), f"{base}_PORT": str(port["port"]),
                   f"{base}_ADDR": address}
    return result
