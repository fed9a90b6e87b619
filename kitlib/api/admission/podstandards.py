"""The Pod Security Standards, control by control, in the words of their own table.

Each control is a function from a Pod's metadata and spec to a complaint, or "".

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Obj = dict[str, Any]
CAPABILITIES = frozenset(("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
                          "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"))
SYSCTLS = frozenset(("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
                     "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
                     "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
                     "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"))
SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
VOLUMES = frozenset(("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
                     "secret", "image"))
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(meta: Obj, spec: Obj, level: str) -> list[str]:
    """What a Pod does that its level forbids."""
    if level == "privileged":
        return []
    checks = BASELINE if level == "baseline" else (*BASELINE, *RESTRICTED)
    return [text for text in (check(meta, spec) for check in checks) if text]


def _containers(spec: Obj) -> Iterator[Obj]:
    for part in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(part) or ()


def _context(holder: Obj) -> Obj:
    return holder.get("securityContext") or {}


def _names(found: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in found)
    return f"container {shown}" if len(found) == 1 else f"containers {shown}"


def _bad(spec: Obj, is_bad: Callable[[Obj], bool]) -> list[str]:
    return [c.get("name", "") for c in _containers(spec) if is_bad(c)]


def _host_namespaces(meta: Obj, spec: Obj) -> str:
    found = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return f"host namespaces ({', '.join(found)})" if found else ""


def _privileged(meta: Obj, spec: Obj) -> str:
    found = _bad(spec, lambda c: bool(_context(c).get("privileged")))
    return f"privileged ({_names(found)} must not set securityContext.privileged=true)" if found else ""


def _capabilities(meta: Obj, spec: Obj) -> str:
    found = _bad(spec, lambda c: bool(set((_context(c).get("capabilities") or {}).get("add") or ()) - CAPABILITIES))
    return f"non-default capabilities ({_names(found)} must not add more capabilities)" if found else ""


def _host_path(meta: Obj, spec: Obj) -> str:
    found = [v.get("name", "") for v in spec.get("volumes") or () if "hostPath" in v]
    shown = ", ".join(f'"{name}"' for name in found)
    return f"hostPath volumes (volume{'s' if len(found) > 1 else ''} {shown})" if found else ""


def _host_ports(meta: Obj, spec: Obj) -> str:
    found = _bad(spec, lambda c: any(port.get("hostPort") for port in c.get("ports") or ()))
    return f"hostPort ({_names(found)} uses hostPort)" if found else ""


def _apparmor(meta: Obj, spec: Obj) -> str:
    found = [key for key, value in (meta.get("annotations") or {}).items() if key.startswith(APPARMOR)
             and value and value != "runtime/default" and not value.startswith("localhost/")]
    profiles = [_context(holder).get("appArmorProfile") or {} for holder in (spec, *_containers(spec))]
    bad = found or any(profile.get("type") == "Unconfined" for profile in profiles)
    return "forbidden AppArmor profile" if bad else ""


def _selinux(meta: Obj, spec: Obj) -> str:
    for holder in (spec, *_containers(spec)):
        chosen = _context(holder).get("seLinuxOptions") or {}
        if chosen.get("type", "") not in SELINUX_TYPES or chosen.get("user") or chosen.get("role"):
            return "seLinuxOptions (forbidden type, user or role)"
    return ""


def _proc_mount(meta: Obj, spec: Obj) -> str:
    found = _bad(spec, lambda c: _context(c).get("procMount", "Default") != "Default")
    return f"procMount ({_names(found)} must not set securityContext.procMount)" if found else ""


def _seccomp_unconfined(meta: Obj, spec: Obj) -> str:
    bad = any((_context(holder).get("seccompProfile") or {}).get("type") == "Unconfined"
              for holder in (spec, *_containers(spec)))
    return 'seccompProfile (must not set securityContext.seccompProfile.type to "Unconfined")' if bad else ""


def _sysctls(meta: Obj, spec: Obj) -> str:
    found = [s["name"] for s in _context(spec).get("sysctls") or () if s.get("name") not in SYSCTLS]
    return f"forbidden sysctls ({', '.join(found)})" if found else ""


def _host_process(meta: Obj, spec: Obj) -> str:
    holders = (spec, *_containers(spec))
    bad = any((_context(holder).get("windowsOptions") or {}).get("hostProcess") for holder in holders)
    return "hostProcess (must not set securityContext.windowsOptions.hostProcess=true)" if bad else ""


def _volume_types(meta: Obj, spec: Obj) -> str:
    found = [v.get("name", "") for v in spec.get("volumes") or () if not (v.keys() - {"name"}) <= VOLUMES]
    shown = ", ".join(f'"{name}"' for name in found)
    return f"restricted volume types (volume{'s' if len(found) > 1 else ''} {shown})" if found else ""


def _escalation(meta: Obj, spec: Obj) -> str:
    found = _bad(spec, lambda c: _context(c).get("allowPrivilegeEscalation") is not False)
    return (f"allowPrivilegeEscalation != false ({_names(found)} must set "
            "securityContext.allowPrivilegeEscalation=false)") if found else ""


def _drop_all(meta: Obj, spec: Obj) -> str:
    def bad(container: Obj) -> bool:
        chosen = _context(container).get("capabilities") or {}
        return "ALL" not in (chosen.get("drop") or ()) or bool(set(chosen.get("add") or ()) - {"NET_BIND_SERVICE"})

    found = _bad(spec, bad)
    return (f"unrestricted capabilities ({_names(found)} must set "
            'securityContext.capabilities.drop=["ALL"])') if found else ""


def _non_root(meta: Obj, spec: Obj) -> str:
    default = _context(spec).get("runAsNonRoot")

    def bad(container: Obj) -> bool:
        own = _context(container).get("runAsNonRoot")
        return not (default if own is None else own)

    found = _bad(spec, bad)
    return (f"runAsNonRoot != true (pod or {_names(found)} must set "
            "securityContext.runAsNonRoot=true)") if found else ""


def _root_user(meta: Obj, spec: Obj) -> str:
    bad = any(_context(holder).get("runAsUser") == 0 for holder in (spec, *_containers(spec)))
    return "runAsUser=0 (must not set securityContext.runAsUser=0)" if bad else ""


def _seccomp_set(meta: Obj, spec: Obj) -> str:
    good = ("RuntimeDefault", "Localhost")
    default = (_context(spec).get("seccompProfile") or {}).get("type")

    def bad(container: Obj) -> bool:
        return ((_context(container).get("seccompProfile") or {}).get("type") or default) not in good

    found = _bad(spec, bad)
    return (f"seccompProfile (pod or {_names(found)} must set securityContext.seccompProfile.type to "
            '"RuntimeDefault" or "Localhost")') if found else ""


BASELINE = (_host_namespaces, _privileged, _capabilities, _host_path, _host_ports, _apparmor, _selinux, _proc_mount,
            _seccomp_unconfined, _sysctls, _host_process)
RESTRICTED = (_volume_types, _escalation, _drop_all, _non_root, _root_user, _seccomp_set)
