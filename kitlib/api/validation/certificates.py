"""CertificateSigningRequests.

Source: k8s.io/kubernetes/pkg/apis/certificates/validation.
"""

from __future__ import annotations

import base64

from kitlib.api.validation.common import Errors, Obj, each, immutable
from kitlib.objects import field, names

_USAGES = frozenset((
    "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
    "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
    "server auth", "signing", "timestamping"))
_SHORTEST = 600


def create_certificatesigningrequest(errs: Errors, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    problem = _request_problem(spec.get("request") or "")
    if problem:
        errs.append(field.invalid("spec.request", spec.get("request"), problem))
    usages = spec.get("usages") or []
    if not usages:
        errs.append(field.required("spec.usages"))
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            errs.append(field.not_supported(f"spec.usages[{index}]", usage, sorted(_USAGES)))
        if usage in usages[:index]:
            errs.append(field.duplicate(f"spec.usages[{index}]", usage))
    _signer(errs, spec.get("signerName", ""))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST:
        errs.append(field.invalid("spec.expirationSeconds", seconds,
                                  "may not specify a duration less than 600 seconds (10 minutes)"))


def _request_problem(request: str) -> str:
    """What keeps the bytes from being a PEM block of the right type ("" if nothing does)."""
    try:
        text = base64.b64decode(request, validate=True)
    except ValueError:
        return "PEM block type must be CERTIFICATE REQUEST"
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in text or b"-----END CERTIFICATE REQUEST-----" not in text:
        return "PEM block type must be CERTIFICATE REQUEST"
    return ""


def _signer(errs: Errors, name: str) -> None:
    if not name:
        errs.append(field.required("spec.signerName"))
        return
    domain, slash, path = name.partition("/")
    if not slash or "/" in path or not path:
        errs.append(field.invalid("spec.signerName", name, "must be a fully qualified domain and path of the form "
                                  "'example.com/signer-name'"))
        return
    each(errs, "spec.signerName", domain, names.dns_subdomain(domain))
    if "." not in domain:
        errs.append(field.invalid("spec.signerName", domain,
                                  "should be a domain with at least two segments separated by dots"))
    for segment in path.split("."):
        each(errs, "spec.signerName", segment, names.dns_subdomain(segment))


def update_certificatesigningrequest(errs: Errors, new: Obj, old: Obj) -> None:
    immutable(errs, "spec", new.get("spec"), old.get("spec"))


def approve_certificatesigningrequest(errs: Errors, new: Obj, old: Obj) -> None:
    """Approval and denial exclude each other, and neither is ever taken back."""
    conditions = {c.get("type") for c in (new.get("status") or {}).get("conditions") or ()}
    before = {c.get("type") for c in (old.get("status") or {}).get("conditions") or ()}
    if {"Approved", "Denied"} <= conditions:
        errs.append(field.invalid("status.conditions", sorted(conditions), "Approved and Denied conditions are "
                                  "mutually exclusive"))
    for kind in ("Approved", "Denied", "Failed"):
        if kind in before and kind not in conditions:
            errs.append(field.forbidden("status.conditions", f"updates may not remove a condition of type \"{kind}\""))


def status_certificatesigningrequest(errs: Errors, new: Obj, old: Obj) -> None:
    approve_certificatesigningrequest(errs, new, old)
    certificate = (old.get("status") or {}).get("certificate")
    if certificate and (new.get("status") or {}).get("certificate") != certificate:
        errs.append(field.forbidden("status.certificate", "updates may not set certificate content through this "
                                    "endpoint once it is issued"))


SUBRESOURCES = {"CertificateSigningRequest": {"approval": approve_certificatesigningrequest}}
