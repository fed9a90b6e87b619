"""Subresources that lead to a node: log, exec, attach, portforward, proxy.

The API server checks who may talk to which container and finds the node; the bytes then flow between
the edge and the kubelet.  Options come as query parameters and leave here typed, by their JSON names.

Source: k8s.io/kubernetes/pkg/registry/core/pod/rest/{log,subresources}.go, pkg/registry/core/pod/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.api import respond
from kitlib.api.call import Call, parse_int
from kitlib.api.request import Answer, Connect, Response
from kitlib.api.routing import TRUE
from kitlib.api.verbs.get import find
from kitlib.objects import field as problems
from kitlib.objects.errors import StatusError, bad_request, invalid

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
BOOL, INT, TEXT, LIST = "bool", "int", "text", "list"
LOG = {"container": TEXT, "follow": BOOL, "previous": BOOL, "sinceSeconds": INT, "sinceTime": TEXT, "timestamps": BOOL,
       "tailLines": INT, "limitBytes": INT, "insecureSkipTLSVerifyBackend": BOOL, "stream": TEXT}
STREAMS = {"stdin": BOOL, "stdout": BOOL, "stderr": BOOL, "tty": BOOL, "container": TEXT}


def options(call: Call, types: Mapping[str, str]) -> dict[str, Any]:
    """The query's parameters as their types say."""
    found: dict[str, Any] = {}
    for name, values in call.request.query.items():
        kind = types.get(name)
        if kind == BOOL:
            found[name] = values[0] in (*TRUE, "")
        elif kind == INT:
            found[name] = parse_int(values[0], name)
        elif kind == TEXT:
            found[name] = values[0]
        elif kind == LIST:
            found[name] = list(values)
    return found


def log(call: Call) -> Answer:
    chosen = options(call, LOG)
    pod = find(call).obj
    _check_log(chosen, call.name)
    chosen["container"] = container_of(pod, chosen.get("container", ""), init=True)
    node = pod["spec"].get("nodeName", "")
    if not node:
        return Response(204, b"")
    return Connect("log", node, pod, chosen)


def _check_log(chosen: dict[str, Any], name: str) -> None:
    causes = []
    for field, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        if field in chosen and chosen[field] < least:
            causes.append(problems.invalid(field, chosen[field], f"must be greater than or equal to {least}"))
    if "sinceSeconds" in chosen and "sinceTime" in chosen:
        causes.append(problems.forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if causes:
        raise invalid("", "PodLogOptions", name, causes)


def container_of(pod: Mapping[str, Any], wanted: str, init: bool = False) -> str:
    """The container meant: the one named, or the only one, or the annotated default.  Raises 400."""
    spec, meta = pod["spec"], pod["metadata"]
    containers = [c["name"] for c in spec.get("containers") or ()]
    others = [c["name"] for part in ("initContainers", "ephemeralContainers") for c in spec.get(part) or ()]
    if wanted:
        if wanted not in containers and wanted not in others:
            raise bad_request(f"container {wanted} is not valid for pod {meta['name']}")
        return wanted
    if len(containers) == 1:
        return containers[0]
    default = (meta.get("annotations") or {}).get(DEFAULT_CONTAINER, "")
    if default in containers and not init:
        return default
    shown = f"[{' '.join(containers)}]"
    raise bad_request(f"a container name must be specified for pod {meta['name']}, choose one of: {shown}")


def execute(call: Call) -> Connect:
    chosen = options(call, {**STREAMS, "command": LIST})
    pod = find(call).obj
    if not chosen.get("command"):
        raise bad_request("you must specify at least 1 command for exec")
    return _streams(call, "exec", pod, chosen)


def attach(call: Call) -> Connect:
    return _streams(call, "attach", find(call).obj, options(call, STREAMS))


def _streams(call: Call, verb: str, pod: dict[str, Any], chosen: dict[str, Any]) -> Connect:
    if verb == "exec" or not any(name in chosen for name in ("stdin", "stdout", "stderr")):
        chosen.setdefault("stdout", True)
        chosen.setdefault("stderr", not chosen.get("tty", False))
    if not any(chosen.get(name) for name in ("stdin", "stdout", "stderr")):
        raise bad_request("you must specify at least one of stdin, stdout, stderr")
    chosen["container"] = container_of(pod, chosen.get("container", ""))
    return Connect(verb, _node(call, pod), pod, chosen)


def _node(call: Call, pod: dict[str, Any]) -> str:
    node = pod["spec"].get("nodeName", "")
    if not node:
        raise bad_request(f"pod {call.name} does not have a host assigned")
    return str(node)


def port_forward(call: Call) -> Connect:
    pod = find(call).obj
    ports = [parse_int(port, "ports") for value in call.request.query.get("ports", []) for port in value.split(",")]
    return Connect("portforward", _node(call, pod), pod, {"ports": ports})


def _split(call: Call) -> tuple[str, str, str]:
    """`[scheme:]name[:port]` of a proxied object."""
    parts = call.name.split(":")
    if len(parts) == 1:
        return "http", parts[0], ""
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("", "http", "https"):
        return parts[0] or "http", parts[1], parts[2]
    raise bad_request(f"invalid proxy request {call.name!r}")


def proxy_pod(call: Call) -> Connect:
    scheme, name, port = _split(call)
    pod = find(call, name).obj
    number = _pod_port(pod, port)
    return Connect("proxy", _node(call, pod), pod, {"port": number, "scheme": scheme, **_query(call)}, call.info.rest)


def _query(call: Call) -> dict[str, Any]:
    return {"query": {name: list(values) for name, values in call.request.query.items()}}


def _pod_port(pod: dict[str, Any], port: str) -> int:
    if port.isdecimal() and len(port) < 6:
        return int(port)
    for container in pod["spec"].get("containers") or ():
        for declared in container.get("ports") or ():
            if not port or declared.get("name") == port:
                return int(declared["containerPort"])
    return 80


def proxy_service(call: Call) -> Connect:
    """A Service's proxy picks one of its ready endpoints."""
    scheme, name, port = _split(call)
    service = find(call, name).obj
    ports = service["spec"].get("ports") or []
    chosen = next((p for p in ports if not port or port in (str(p["port"]), p.get("name"))), None)
    if chosen is None or (not port and len(ports) > 1):
        raise _unavailable(call, name, port)
    pod, number = _endpoint(call, name, chosen)
    return Connect("proxy", _node(call, pod), pod, {"port": number, "scheme": scheme, **_query(call)}, call.info.rest)


def _endpoint(call: Call, name: str, port: dict[str, Any]) -> tuple[dict[str, Any], int]:
    store = call.api.store
    for entry in store.list("endpointslices.discovery.k8s.io", call.namespace):
        found = entry.obj
        if (found["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
            continue
        number = next((p.get("port") for p in found.get("ports") or ()
                       if (p.get("name") or "") == (port.get("name") or "")), None)
        for endpoint in found.get("endpoints") or ():
            reference = endpoint.get("targetRef") or {}
            if number and (endpoint.get("conditions") or {}).get("ready") is not False and (
                    reference.get("kind") == "Pod"):
                pod = store.get("pods", call.namespace, reference.get("name", ""))
                if pod is not None:
                    return pod.obj, int(number)
    raise _unavailable(call, name, str(port["port"]))


def _unavailable(call: Call, name: str, port: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", f'no endpoints available for service "{name}"'
                       if port else f"no service port {port!r} found for service {name!r}", {})


def proxy_node(call: Call) -> Answer:
    """The kubelet's own API.  Its health is all that is offered here."""
    find(call, _split(call)[1])
    if call.info.rest.strip("/") == "healthz":
        return respond.text("ok")
    raise StatusError(404, "NotFound", "the server could not find the requested resource", {})
