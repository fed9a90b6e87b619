"""Admission: plugins that look at every write after authorisation, and change or refuse it.

First the mutating ones, in this order, then (after the kind's own validation) the validating ones:

    NamespaceLifecycle → LimitRanger → ServiceAccount → TaintNodesByCondition → Priority →
    DefaultTolerationSeconds → DefaultStorageClass → StorageObjectInUseProtection → DefaultIngressClass →
    RuntimeClass → policies → webhooks       then: PodSecurity → policies → webhooks → ResourceQuota

A plugin is a pair of functions with the resources it cares about; what no plugin cares about costs one
look into a dictionary.  Subresources pass by, but for webhooks and policies that name them.

Source: k8s.io/kubernetes/pkg/kubeapiserver/options/plugins.go, plugin/pkg/admission/*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kitlib.api.admission import (
    defaults,
    limits,
    mutations,
    namespaces,
    podsecurity,
    policies,
    priority,
    quota,
    runtimeclass,
    serviceaccounts,
    webhooks,
)
from kitlib.api.call import Call

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

Obj = dict[str, Any]
Mutate = Callable[[Call, Obj, "Obj | None"], None]

# (function, resources or None for all, on create, on update)
Plugin = tuple[Mutate, "frozenset[str] | None", bool, bool]
PODS = frozenset({"pods"})
CLAIMS = frozenset({"persistentvolumeclaims"})

MUTATING: tuple[Plugin, ...] = (
    (namespaces.must_be_alive, None, True, False),
    (limits.set_defaults, PODS, True, False),
    (serviceaccounts.inject, PODS, True, False),
    (defaults.taint_new_node, frozenset({"nodes"}), True, False),
    (priority.resolve, PODS, True, False),
    (defaults.tolerations, PODS, True, True),
    (defaults.storage_class, CLAIMS, True, False),
    (defaults.protect_storage, CLAIMS | {"persistentvolumes"}, True, False),
    (defaults.ingress_class, frozenset({"ingresses.networking.k8s.io"}), True, False),
    (runtimeclass.apply, PODS, True, False),
)
# Subresources that plugins look at, too; policies and webhooks look at all.
SPECIAL = ("resize", "ephemeralcontainers")
VALIDATING: tuple[Plugin, ...] = (
    (limits.check, PODS | CLAIMS, True, True),
    (priority.check_class, frozenset({"priorityclasses.scheduling.k8s.io"}), True, True),
    (defaults.check_claim_resize, CLAIMS, False, True),
    (podsecurity.check, PODS | podsecurity.TEMPLATES | {"namespaces"}, True, True),
    (quota.check, None, True, True),
)


class Admission:
    """The chains of plugins, sorted out by resource."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._chains: dict[tuple[str, bool, bool], tuple[Mutate, ...]] = {}

    def mutate(self, call: Call, obj: Obj, old: Obj | None) -> None:
        """Let the mutating plugins change `obj`.  Raises what one of them refuses."""
        if not call.subresource:
            for plugin in self._chain(call, True, old is None):
                plugin(call, obj, old)
        mutations.mutate(call, obj, old)
        webhooks.mutate(call, obj, old)

    def validate(self, call: Call, obj: Obj, old: Obj | None) -> None:
        """Let the validating plugins refuse."""
        policies.check(call, obj, old)
        webhooks.validate(call, obj, old)
        if call.subresource and call.subresource not in SPECIAL:
            return
        for plugin in self._chain(call, False, old is None):
            plugin(call, obj, old)

    def check_delete(self, call: Call, obj: Obj) -> None:
        """Let plugins refuse a deletion."""
        policies.check(call, None, obj)
        webhooks.validate(call, None, obj)

    def _chain(self, call: Call, mutating: bool, creating: bool) -> tuple[Mutate, ...]:
        key = (call.kind.storage, mutating, creating)
        chain = self._chains.get(key)
        if chain is None:
            plugins = MUTATING if mutating else VALIDATING
            chain = self._chains[key] = tuple(
                function for function, resources, on_create, on_update in plugins
                if (on_create if creating else on_update) and (resources is None or call.kind.storage in resources))
        return chain
