"""Certificate signing: an approved request becomes a certificate.

    somebody ──CertificateSigningRequest──▶ Pending ──kubectl certificate approve──▶ Approved ──this──▶ Issued

Who may approve is a question of access rights, not of this controller; it signs what is approved, if the request stays
within what its `signerName` stands for:

    kubernetes.io/kube-apiserver-client             a user: client auth only
    kubernetes.io/kube-apiserver-client-kubelet     a kubelet as a client: O=system:nodes, CN=system:node:NAME
    kubernetes.io/kubelet-serving                   a kubelet as a server

The user's name is the certificate's CN, the groups its O: that is all an API server needs to know somebody.

Source: k8s.io/kubernetes/pkg/controller/certificates/signer/signer.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kitlib.client.actions import Action, UpdateStatus
from kitlib.client.controller import Controller
from kitlib.objects.clock import rfc3339

Object = dict[str, Any]

REQUESTS = "certificatesigningrequests.certificates.k8s.io"
YEAR = 365 * 24 * 3600
BASE = frozenset({"digital signature", "key encipherment"})
SIGNERS = {
    "kubernetes.io/kube-apiserver-client": (BASE | {"client auth"}, "client auth"),
    "kubernetes.io/kube-apiserver-client-kubelet": (BASE | {"client auth"}, "client auth"),
    "kubernetes.io/kubelet-serving": (BASE | {"server auth"}, "server auth"),
}
Sign = Callable[[bytes, list[str], int], bytes]


@dataclass(frozen=True)
class Issue:
    """Sign the request, and put the certificate into its status: an action of this controller only."""

    request: Object = field(repr=False)
    now: float

    def __str__(self) -> str:
        return f"issue a certificate for {self.request['metadata']['name']}"


class CertificateSigning(Controller):
    """sign(the request's PEM, usages, seconds) → the certificate's PEM; ValueError: it is no valid request."""

    name = "csrsigning"
    resource = REQUESTS
    component = "certificate-controller"

    def __init__(self, sign: Sign) -> None:
        self._sign = sign

    def observe(self, key: str) -> tuple[Object, float] | None:
        """(a request that is approved and has no certificate yet, the time)."""
        request = self.get(key)
        if request is None or request["spec"]["signerName"] not in SIGNERS:
            return None
        status = request.get("status") or {}
        conditions = {c["type"] for c in status.get("conditions") or ()}
        if "Approved" not in conditions or conditions & {"Denied", "Failed"} or status.get("certificate"):
            return None
        return request, self.clock.now()

    def diff(self, observed: tuple[Object, float]) -> list[Any]:
        request, now = observed
        problem = _problem(request["spec"])
        return [_failure(request, problem, now) if problem else Issue(request, now)]

    def act(self, actions: Sequence[Any]) -> None:
        for action in actions:
            self.perform(self._issue(action) if isinstance(action, Issue) else action)

    def _issue(self, action: Issue) -> Action:
        request, spec = action.request, action.request["spec"]
        try:
            pem = self._sign(base64.b64decode(spec["request"]), spec.get("usages") or [],
                             spec.get("expirationSeconds") or YEAR)
        except ValueError as error:
            return _failure(request, str(error), action.now)
        status = (request.get("status") or {}) | {"certificate": base64.b64encode(pem).decode()}
        return UpdateStatus(REQUESTS, request | {"status": status})


def _failure(request: Object, problem: str, now: float) -> UpdateStatus:
    status = request.get("status") or {}
    failed = {"type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": problem,
              "lastUpdateTime": rfc3339(now), "lastTransitionTime": rfc3339(now)}
    return UpdateStatus(REQUESTS, request | {
        "status": status | {"conditions": [*(status.get("conditions") or ()), failed]}})


def _problem(spec: Object) -> str:
    allowed, needed = SIGNERS[spec["signerName"]]
    usages = set(spec.get("usages") or ())
    if needed not in usages or not usages <= allowed:
        return f"invalid usage for {spec['signerName']}: {', '.join(sorted(usages))}"
    return ""
