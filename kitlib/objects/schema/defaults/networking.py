"""NetworkPolicies and IngressClasses.

Source: pkg/apis/networking/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def network_policy_spec(obj: Obj) -> None:
    """A policy that does not say otherwise is about ingress, and about egress if it has such rules."""
    if not obj.get("policyTypes"):
        obj["policyTypes"] = ["Ingress", "Egress"] if obj.get("egress") else ["Ingress"]


def network_policy_port(obj: Obj) -> None:
    obj.setdefault("protocol", "TCP")


def ingress_class_parameters(obj: Obj) -> None:
    obj.setdefault("scope", "Cluster")


HOOKS = {
    "networking/v1.NetworkPolicySpec": network_policy_spec, "networking/v1.NetworkPolicyPort": network_policy_port,
    "networking/v1.IngressClassParametersReference": ingress_class_parameters,
}
