"""Who may do what: accounts, bindings, certificates.  (Roles show their name and when they were made.)

Source: pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from typing import Any

from kitlib.api.columns.printer import AGE, NAME, Column, Obj, prints, wide
from kitlib.api.columns.text import NONE, age, human_duration, name, part


@prints("", "ServiceAccount", NAME, AGE)
def service_account(obj: Obj, now: float) -> list[Any]:
    return [name(obj), age(obj, now)]


def _binding(obj: Obj, now: float) -> list[Any]:
    subjects = obj.get("subjects") or ()
    of = {kind: [s.get("name", "") for s in subjects if s.get("kind") == kind] for kind in ("User", "Group")}
    accounts = [f"{s.get('namespace', '')}/{s.get('name', '')}" for s in subjects if s.get("kind") == "ServiceAccount"]
    return [name(obj), f"{part(obj, 'roleRef', 'kind')}/{part(obj, 'roleRef', 'name')}", age(obj, now),
            ", ".join(of["User"]), ", ".join(of["Group"]), ", ".join(accounts)]


_BINDING = (NAME, Column("Role", description="What is granted."), AGE, wide("Users"), wide("Groups"),
            wide("ServiceAccounts"))
prints("rbac.authorization.k8s.io", "RoleBinding", *_BINDING)(_binding)
prints("rbac.authorization.k8s.io", "ClusterRoleBinding", *_BINDING)(_binding)


@prints("certificates.k8s.io", "CertificateSigningRequest", NAME, AGE, Column("SignerName"), Column("Requestor"),
        Column("RequestedDuration"), Column("Condition"))
def signing_request(obj: Obj, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    conditions = {c.get("type") for c in status.get("conditions") or ()}
    shown = "Denied" if "Denied" in conditions else "Approved" if "Approved" in conditions else "Pending"
    shown += (",Failed" if "Failed" in conditions else "") + (",Issued" if status.get("certificate") else "")
    seconds = spec.get("expirationSeconds")
    return [name(obj), age(obj, now), spec.get("signerName") or NONE, spec.get("username", ""),
            NONE if seconds is None else human_duration(seconds), shown]
