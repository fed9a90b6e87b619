"""NamespaceLifecycle: nothing is created in a namespace that does not exist or is going away.

Source: k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call
from kitlib.objects.errors import cause, not_found


def must_be_alive(call: Call, obj: dict[str, Any], old: dict[str, Any] | None) -> None:
    if not call.kind.namespaced:
        return
    found = call.api.store.get("namespaces", "", call.namespace)
    if found is None:
        raise not_found("", "namespaces", call.namespace)
    if "deletionTimestamp" in found.obj["metadata"]:
        why = f"unable to create new content in namespace {call.namespace} because it is being terminated"
        error = call.forbidden(why, obj["metadata"].get("name", ""))
        error.status["details"]["causes"] = [
            cause("NamespaceTerminating", "metadata.namespace", f"namespace {call.namespace} is being terminated")]
        raise error
