"""apiextensions.k8s.io: kinds made by users.

Source: k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition.
"""

from __future__ import annotations

from kitlib.api.kind import STATUS, Kind

KINDS = (
    Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
         short_names=("crd", "crds"), categories=("api-extensions",), namespaced=False, generation=True,
         unconditional_update=False, subresources=(STATUS,)),
)
