"""Subresources: `/pods/NAME/log`, `/deployments/NAME/scale` and the like; one file each, or one family."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from kitlib.api.call import Call
from kitlib.api.request import Answer

Handler = Callable[[Call], Answer]

# subresource, or storage/subresource where the name means different things -> module, function
HANDLERS = {
    "status": ("status", "status"),
    "scale": ("scale", "scale"),
    "pods/binding": ("binding", "binding"),
    "pods/eviction": ("eviction", "eviction"),
    "pods/ephemeralcontainers": ("podspec", "ephemeral_containers"),
    "pods/resize": ("podspec", "resize"),
    "pods/log": ("connect", "log"),
    "pods/exec": ("connect", "execute"),
    "pods/attach": ("connect", "attach"),
    "pods/portforward": ("connect", "port_forward"),
    "pods/proxy": ("connect", "proxy_pod"),
    "services/proxy": ("connect", "proxy_service"),
    "nodes/proxy": ("connect", "proxy_node"),
    "serviceaccounts/token": ("token", "token"),
    "namespaces/finalize": ("finalize", "finalize"),
    "certificatesigningrequests.certificates.k8s.io/approval": ("status", "status"),
}


def handler_of(call: Call) -> Handler:
    """The function that answers this call; the kind has declared the subresource, so there is one."""
    name = call.subresource
    module, function = HANDLERS.get(f"{call.kind.storage}/{name}") or HANDLERS[name]
    handler: Handler = getattr(import_module(f"{__name__}.{module}"), function)
    return handler
