"""admissionregistration.k8s.io: who else is asked before something is stored.

Source: pkg/registry/admissionregistration/rest/storage_apiserver.go.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind, Subresource

GROUP = "admissionregistration.k8s.io"
CATEGORIES = ("api-extensions",)


def _kind(kind: str, plural: str, subresources: tuple[Subresource, ...] = ()) -> Kind:
    return Kind(GROUP, "v1", kind, plural, categories=CATEGORIES, namespaced=False, generation=True,
                unconditional_update=False, subresources=subresources)


KINDS = (
    _kind("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    _kind("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    _kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    _kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies", (STATUS,)),
    _kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    _kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
)
