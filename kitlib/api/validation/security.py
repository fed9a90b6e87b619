"""Security contexts of Pods and containers: ids, sysctls, profiles, privileges.

Source: k8s.io/kubernetes/pkg/apis/core/validation (ValidateSecurityContext, validatePodSpecSecurityContext).
"""

from __future__ import annotations

import re

from kitlib.api.validation.common import Errors, Obj, in_range, one_of, relative_path
from kitlib.objects import field

_LARGEST_ID = 2**31 - 1
_SYSCTL = re.compile(r"[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?(?:[./][a-z0-9](?:[-_a-z0-9]*[a-z0-9])?)*")
_SYSCTL_SHOWN = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"


def pod_security(errs: Errors, path: str, context: Obj, spec: Obj) -> None:
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        in_range(errs, f"{path}.{name}", context.get(name), 0, _LARGEST_ID)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        in_range(errs, f"{path}.supplementalGroups[{index}]", group, 0, _LARGEST_ID)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        errs.append(field.invalid(f"{path}.shareProcessNamespace", True,
                                  "ShareProcessNamespace and HostPID cannot both be enabled."))
    one_of(errs, f"{path}.fsGroupChangePolicy", context.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch"), False)
    one_of(errs, f"{path}.supplementalGroupsPolicy", context.get("supplementalGroupsPolicy"), ("Merge", "Strict"),
           False)
    _sysctls(errs, f"{path}.sysctls", context.get("sysctls") or (), spec)
    _profiles(errs, path, context)


def _sysctls(errs: Errors, path: str, found: list[Obj] | tuple[()], spec: Obj) -> None:
    seen = set()
    for index, sysctl in enumerate(found):
        name = sysctl.get("name", "")
        at = f"{path}[{index}].name"
        if not name:
            errs.append(field.required(at))
        elif len(name) > 253 or not _SYSCTL.fullmatch(name):
            errs.append(field.invalid(at, name, f"must have at most 253 characters and match regex {_SYSCTL_SHOWN}"))
        elif name in seen:
            errs.append(field.duplicate(at, name))
        elif name.startswith("net.") and spec.get("hostNetwork"):
            errs.append(field.invalid(at, name, "may not be specified when 'hostNetwork' is true"))
        elif name.startswith(("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")) and spec.get("hostIPC"):
            errs.append(field.invalid(at, name, "may not be specified when 'hostIPC' is true"))
        seen.add(name)


def container_security(errs: Errors, path: str, context: Obj, host_users: bool) -> None:
    for name in ("runAsUser", "runAsGroup"):
        in_range(errs, f"{path}.{name}", context.get(name), 0, _LARGEST_ID)
    one_of(errs, f"{path}.procMount", context.get("procMount"), ("Default", "Unmasked"), False)
    if host_users and context.get("procMount") == "Unmasked":
        errs.append(field.invalid(f"{path}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`"))
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            errs.append(field.invalid(path, dict(context),
                                      "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            errs.append(field.invalid(path, dict(context), "cannot set `allowPrivilegeEscalation` to false and "
                                      "`capabilities.Add` CAP_SYS_ADMIN"))
    _profiles(errs, path, context)


def _profiles(errs: Errors, path: str, context: Obj) -> None:
    for name in ("seccompProfile", "appArmorProfile"):
        profile = context.get(name)
        if profile is None:
            continue
        at, kind, local = f"{path}.{name}", profile.get("type"), profile.get("localhostProfile")
        one_of(errs, f"{at}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))
        if kind == "Localhost":
            if not local:
                errs.append(field.required(f"{at}.localhostProfile", "must be set when seccomp type is Localhost"
                                           if name == "seccompProfile" else "must be set when AppArmor type is "
                                           "Localhost"))
            elif name == "seccompProfile":
                relative_path(errs, f"{at}.localhostProfile", local)
        elif local:
            errs.append(field.invalid(f"{at}.localhostProfile", local,
                                      "can only be set when seccomp type is Localhost"))
