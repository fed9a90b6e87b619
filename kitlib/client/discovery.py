"""Discovery: ask the server which resources it has.

A client that deals with *all* objects (the garbage collector, the namespace controller, `kubectl get all`) cannot
have a list of kinds built in: a CustomResourceDefinition adds one at any time.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api; k8s.io/client-go/discovery.
"""

from __future__ import annotations

from dataclasses import dataclass

from kitlib.client.client import Client
from kitlib.objects.errors import StatusError


@dataclass(frozen=True, slots=True)
class ApiResource:
    """resource: as everywhere in kitlib, "replicasets.apps"."""

    resource: str
    kind: str
    group: str
    namespaced: bool
    verbs: frozenset[str]


def discover(client: Client) -> list[ApiResource]:
    """All resources in their preferred versions, without subresources.  A group that does not answer is left out."""
    get = client.transport.request
    paths = [("", "/api/v1")]
    for group in get("GET", "/apis")["groups"]:
        paths.append((group["name"], f"/apis/{group['preferredVersion']['groupVersion']}"))
    found = []
    for group, path in paths:
        try:
            answer = get("GET", path)
        except StatusError:
            continue   # an aggregated API whose server is away must not stop everything else
        found += [ApiResource(f"{r['name']}.{group}" if group else r["name"], r["kind"], group, r["namespaced"],
                              frozenset(r.get("verbs") or ()))
                  for r in answer.get("resources") or () if "/" not in r["name"]]
    return found
