"""CertificateSigningRequests: who asks is what the server knows of him; who approves must be allowed to.

    create     spec.username, groups, uid, extra   out of the authenticated user, whatever was sent
    /approval  conditions Approved and Denied      needs the verb "approve" on the signer
    /status    the certificate                     needs the verb "sign" on the signer

A signer is no object; the right to act for it is a rule on the resource `signers` by the signer's name,
or by `domain/*` for all of a domain.

Source: pkg/registry/certificates/certificates/strategy.go; plugin/pkg/admission/certificates.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.call import Call
from kitlib.api.strategies.base import Obj, Strategy
from kitlib.objects.clock import rfc3339

GROUP = "certificates.k8s.io"
API_CLIENT = "kubernetes.io/kube-apiserver-client"
DECISIONS = ("Approved", "Denied")


class SigningRequestStrategy(Strategy):
    """The strategy of CertificateSigningRequests."""

    def prepare_create(self, call: Call, obj: Obj) -> None:
        spec = obj.setdefault("spec", {})
        for name in ("username", "uid", "groups", "extra"):
            spec.pop(name, None)
        user = call.user
        spec["username"] = user.name
        if user.uid:
            spec["uid"] = user.uid
        if user.groups:
            spec["groups"] = list(user.groups)
        if user.extra:
            spec["extra"] = {name: list(values) for name, values in user.extra.items()}
        if spec.get("signerName") == API_CLIENT and "system:masters" in _organizations(spec.get("request", "")):
            raise call.forbidden("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not "
                                 "allowed", obj["metadata"].get("name", ""))

    def prepare_update(self, call: Call, obj: Obj, old: Obj) -> None:
        if "spec" in old:
            obj["spec"] = old["spec"]

    def prepare_status(self, call: Call, obj: Obj, old: Obj) -> None:
        status, before = obj.setdefault("status", {}), old.get("status") or {}
        if call.subresource == "approval":
            self._check(call, obj, "approve")
            status.pop("certificate", None)
            if before.get("certificate"):
                status["certificate"] = before["certificate"]
        else:
            if status.get("certificate") != before.get("certificate"):
                self._check(call, obj, "sign")
            kept = {each["type"]: each for each in before.get("conditions") or () if each.get("type") in DECISIONS}
            if status.get("conditions"):
                status["conditions"] = [kept.get(each.get("type"), each) for each in status["conditions"]]
        self._stamp(status.get("conditions") or (), before.get("conditions") or ())

    def _stamp(self, conditions: Any, before: Any) -> None:
        """Times that the client has left out."""
        now = rfc3339(self.api.clock.now())
        known = {(each.get("type"), each.get("status")): each.get("lastTransitionTime") for each in before}
        for condition in conditions:
            if not condition.get("lastUpdateTime"):
                condition["lastUpdateTime"] = now
            if not condition.get("lastTransitionTime"):
                same = known.get((condition.get("type"), condition.get("status")))
                condition["lastTransitionTime"] = same or now

    @staticmethod
    def _check(call: Call, obj: Obj, verb: str) -> None:
        signer = str((obj.get("spec") or {}).get("signerName", ""))
        domain = signer.partition("/")[0]
        may = call.api.authorizer.may
        if not any(may(call.user, verb, GROUP, "signers", "", "", name) for name in (signer, f"{domain}/*")):
            raise call.forbidden(f'user not permitted to {verb} requests with signerName "{signer}"',
                                 obj["metadata"].get("name", ""))


def _organizations(request: str) -> list[str]:
    """The groups a request asks for; none if it cannot be read, which validation will say."""
    import base64

    from cryptography import x509

    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(request, validate=True))
    except ValueError:
        return []
    return [str(each.value) for each in parsed.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)]
