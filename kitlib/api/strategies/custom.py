"""Custom resources: metadata like everybody's, values as their schema and its CEL rules say.

Source: k8s.io/apiextensions-apiserver/pkg/registry/customresource/{strategy,validator}.go.
"""

from __future__ import annotations

from kitlib.api.call import Call
from kitlib.api.customrules import check_rules
from kitlib.api.customvalues import check_value
from kitlib.api.strategies.base import Causes, Obj, Strategy
from kitlib.api.validation.meta import metadata, metadata_update
from kitlib.objects import names
from kitlib.store import Entry


class CustomStrategy(Strategy):
    """The strategy of all custom resources."""

    def initial_status(self, call: Call, obj: Obj) -> None:
        """A custom status has no zero values: it is simply not there."""

    def validate_create(self, call: Call, obj: Obj) -> Causes:
        causes: Causes = []
        metadata(causes, obj["metadata"], names.dns_subdomain, call.kind.namespaced, builtin=False)
        return causes + self._values(call, obj, None)

    def validate_update(self, call: Call, obj: Obj, old: Obj) -> Causes:
        causes: Causes = []
        metadata_update(causes, obj["metadata"], old["metadata"], builtin=False)
        return causes + self._values(call, obj, old)

    @staticmethod
    def _values(call: Call, obj: Obj, old: Obj | None) -> Causes:
        openapi = call.kind.custom.openapi
        causes = check_value(obj, openapi, old)
        # Rules may rely on the schema: they are asked only about objects that fit it.
        return causes or check_rules(obj, openapi, old)

    def after_delete(self, call: Call, entry: Entry) -> None:
        definitions = self.api.strategies["customresourcedefinitions.apiextensions.k8s.io"]
        definitions.finish(call, self.storage)  # type: ignore[attr-defined]
