"""Defaults: what an API server fills in where a client says nothing.

As in Kubernetes, a default belongs to a *type*, not to a kind: a probe's period is 10 wherever a probe
stands.  Each module here has one group's functions, registered by the type's reference; the decoder calls
them when it has decoded a value of the type, its fields first, so a function sees defaulted children.
They change the fresh dict they are given.

What depends on more than the object (a Service's address, a token's volume) is not here but in admission
and in the API's strategies.

Source: pkg/apis/*/v1/defaults.go of Kubernetes; the `+default` markers, which the tables carry.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Hook = Callable[[dict[str, Any]], None]

# Which module has the defaults of which Go package; they are imported when the package is first decoded.
MODULES: dict[str, tuple[str, ...]] = {
    "core/v1": ("core_pod", "core_volumes", "core_service", "core_other"), "apps/v1": ("apps",), "batch/v1": ("batch",),
    "autoscaling/v1": ("autoscaling",), "autoscaling/v2": ("autoscaling",), "networking/v1": ("networking",),
    "rbac/v1": ("rbac",), "storage/v1": ("storage",), "scheduling/v1": ("scheduling",),
    "discovery/v1": ("discovery",), "flowcontrol/v1": ("flowcontrol",),
    "admissionregistration/v1": ("admissionregistration",), "apiextensions/v1": ("apiextensions",),
    "apiregistration/v1": ("apiregistration",), "authentication/v1": ("authentication",), "resource/v1": ("resource",),
}
_loaded: dict[str, dict[str, Hook]] = {}


def hook_for(ref: str) -> Hook | None:
    """The defaulting function of a type, or None."""
    folder = ref.rpartition(".")[0]
    hooks = _loaded.get(folder)
    if hooks is None:
        hooks = _loaded[folder] = {}
        for name in MODULES.get(folder, ()):
            hooks.update(import_module(f"{__name__}.{name}").HOOKS)
    return hooks.get(ref)
