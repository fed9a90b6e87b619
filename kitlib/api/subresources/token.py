"""`/serviceaccounts/NAME/token`: a short-lived token for a ServiceAccount (TokenRequest).

The kubelet asks for the tokens that it puts into Pods, people by `kubectl create token`.

Source: k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage/token.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api import decode, respond
from kitlib.api.admission.serviceaccounts import EXPIRES
from kitlib.api.call import Call
from kitlib.api.kind import Kind
from kitlib.api.request import Response
from kitlib.api.verbs.get import find
from kitlib.objects import field as problems
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import bad_request, conflict, invalid, not_found

TOKEN_REQUEST = Kind("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", virtual=True)
DEFAULT_SECONDS, MIN_SECONDS = 3600, 600
EXTENDED_SECONDS = 365 * 24 * 3600  # --service-account-extend-token-expiration
REFERENCES = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets", ("v1", "Node"): "nodes"}


def token(call: Call) -> Response:
    request = decode.body(call, TOKEN_REQUEST)
    account = find(call).obj
    meta, spec = account["metadata"], request.setdefault("spec", {})
    _settle_meta(request["metadata"], meta, call)
    config = call.api.config
    spec["audiences"] = spec.get("audiences") or [config.issuer]
    seconds = spec.get("expirationSeconds")
    spec["expirationSeconds"] = seconds = DEFAULT_SECONDS if seconds is None else seconds
    if not MIN_SECONDS <= seconds <= config.max_token_seconds:
        limit = "10 minutes" if seconds < MIN_SECONDS else "2^32 seconds"
        raise invalid("authentication.k8s.io", "TokenRequest", "", [problems.invalid(
            "spec.expirationSeconds", seconds, f"may not specify a duration beyond {limit}")])
    reference = spec.setdefault("boundObjectRef", None)
    bound, node = _bound(call, meta, reference)
    lasts = seconds
    if seconds == EXPIRES and "pod" in (bound or ()) and set(spec["audiences"]) <= {config.issuer}:
        lasts = EXTENDED_SECONDS  # for programs that read their token but once; a kubelet renews it all the same
    text, expires = call.api.authenticator.accounts.create(account, spec["audiences"], lasts, bound, node,
                                                                  warn_after=seconds if lasts != seconds else 0)
    request["status"] = {"token": text, "expirationTimestamp": rfc3339(expires - lasts + seconds)}
    return respond.obj(call, request, 201)


def _settle_meta(mine: dict[str, Any], meta: dict[str, Any], call: Call) -> None:
    for name in ("name", "namespace"):
        if mine.get(name) and mine[name] != meta[name]:
            raise bad_request(f"the {name} of the provided object does not match the {name} sent on the request")
    mine.update(name=meta["name"], namespace=meta["namespace"], uid=meta["uid"],
                creationTimestamp=rfc3339(call.api.clock.now()))


def _bound(call: Call, meta: dict[str, Any], reference: dict[str, Any] | None
           ) -> tuple[tuple[str, dict[str, Any]] | None, dict[str, Any] | None]:
    """The object that the token lives and dies with, and the node of a Pod."""
    if reference is None:
        return None, None
    resource = REFERENCES.get((reference.get("apiVersion") or "v1", reference.get("kind", "")))
    if resource is None:
        raise bad_request(f"cannot bind token for serviceaccount {meta['name']!r} to object: unsupported")
    name, store = reference.get("name", ""), call.api.store
    found = store.get(resource, "" if resource == "nodes" else meta["namespace"], name)
    if found is None:
        raise not_found("", resource, name)
    obj = found.obj
    uid = reference.get("uid")
    if uid and uid != obj["metadata"]["uid"]:
        raise conflict("", resource, name, f"the UID in the bound object reference ({uid}) does not match the UID in "
                       f"record. The object might have been deleted and then recreated")
    if resource == "pods" and (obj["spec"].get("serviceAccountName") or "default") != meta["name"]:
        raise bad_request(f"cannot bind token for serviceaccount {meta['name']!r} to pod running with different "
                          "serviceaccount name.")
    node = None
    if resource == "pods" and obj["spec"].get("nodeName"):
        entry = store.get("nodes", "", obj["spec"]["nodeName"])
        node = entry.obj if entry else None
    return (reference["kind"].lower(), obj), node
