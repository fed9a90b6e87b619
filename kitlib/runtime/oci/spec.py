"""A container as the OCI runtime-spec has it: the config.json of its bundle.  Pure: a spec in, JSON out.

    process     what to run, as whom, with which capabilities
    root        the directory that overlayfs has put together (rootfs.py)
    mounts      the kernel's file systems, then the Pod's files, then the volumes
    linux       namespaces (made, or the Pod's by path), cgroup, limits, paths that nobody needs to see

The values are containerd's: its default spec for a Kubernetes container, and what securityContext changes about it.

Source: opencontainers/runtime-spec config.md and config-linux.md; containerd's pkg/oci/spec.go, mounts.go and
internal/cri/server/podsandbox; Docker's documentation for the calls that its seccomp profile refuses.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]
VERSION = "1.0.2"

DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
    "CAP_SYS_CHROOT")  # fmt: skip
_CAPABILITY_NAMES = (
    "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH "
    "FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN "
    "NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT "
    "SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG "
    "WAKE_ALARM")
ALL_CAPABILITIES = tuple(f"CAP_{name}" for name in _CAPABILITY_NAMES.split())
_MASKED = ("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
           "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/sys/devices/virtual/powercap",
           "/proc/scsi")  # fmt: skip
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_REFUSED_CALLS = (
    "acct add_key bpf clock_adjtime clock_settime create_module delete_module finit_module get_kernel_syms "
    "get_mempolicy init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount "
    "move_pages nfsservctl open_by_handle_at perf_event_open pivot_root query_module quotactl reboot request_key "
    "set_mempolicy setns settimeofday stime swapoff swapon sysfs _sysctl umount umount2 unshare uselib userfaultfd "
    "ustat vm86 vm86old")


def build(spec: Mapping[str, Any], root: str, group: str, namespaces: Mapping[str, str], more: Iterable[Object],
          *, cgroup_namespace: bool) -> Object:
    """config.json.

    spec: bundle.build's.  group: the cgroup.  namespaces: kind → path of one to enter; "" makes a new one, and a kind
    that is not in it is the host's.  more: mounts of the image and of the Pod's files, which come before the volumes.
    """
    security = spec["security"]
    privileged = security["privileged"]
    volumes = sorted(spec["mounts"], key=lambda entry: entry["container_path"].count("/"))
    result: Object = {
        "ociVersion": VERSION,
        "hostname": spec["hostname"],
        "process": process(spec, tuple(spec["argv"]), tty=spec["tty"]),
        "root": {"path": root, "readonly": spec["readonly_rootfs"]},
        "mounts": [*_kernel_mounts(privileged=privileged), *more, *map(_bind, volumes)],
        "linux": {
            "namespaces": [{"type": kind, **({"path": path} if path else {})} for kind, path in namespaces.items()]
            + [{"type": "mount"}] + ([{"type": "cgroup"}] if cgroup_namespace and not privileged else []),
            "cgroupsPath": group,
            "resources": {**resources(spec["resources"]), "devices": _devices_allowed(privileged)},
            "devices": _host_devices() if privileged else [],
            "maskedPaths": [] if privileged else list(_MASKED),
            "readonlyPaths": [] if privileged else list(_READONLY),
        },
    }
    if security["seccomp"] and not privileged:
        result["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": _REFUSED_CALLS.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}  # fmt: skip
    return result


def process(spec: Mapping[str, Any], argv: tuple[str, ...], *, tty: bool) -> Object:
    """The container's first process; with another argv an exec session's."""
    env = {**spec["env"], **({"TERM": "xterm"} if tty and "TERM" not in spec["env"] else {})}
    security = spec["security"]
    user = {"uid": spec["user"] or 0, "gid": spec["group"] or 0, "additionalGids": security["groups"]}
    given = capabilities(security)
    return {"terminal": tty, "user": user, "args": list(argv), "env": [f"{k}={v}" for k, v in env.items()],
            "cwd": spec["cwd"], "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), given),
            "noNewPrivileges": security["no_new_privileges"]}  # fmt: skip


def capabilities(security: Mapping[str, Any]) -> list[str]:
    """The default ones with securityContext.capabilities applied: what is added wins over what is dropped."""
    if security["privileged"]:
        return list(ALL_CAPABILITIES)
    add, drop = _names(security["add"]), _names(security["drop"])
    held = set(ALL_CAPABILITIES if "CAP_ALL" in add else DEFAULT_CAPABILITIES)
    held = set() if "CAP_ALL" in drop else held - drop
    return sorted(held | (add & set(ALL_CAPABILITIES)))


def _names(given: Iterable[str]) -> set[str]:
    return {name.upper() if name.upper().startswith("CAP_") else f"CAP_{name.upper()}" for name in given}


def resources(limits: Mapping[str, int], *, update: bool = False) -> Object:
    """Linux resources; what is 0 has no limit.  No swap beyond the memory, as in Kubernetes.

    update: of a running container; only there "no limit" has to be said.
    """
    cpu: Object = {"shares": limits["cpu_shares"] or 2, "period": limits["cpu_period"] or 100_000}
    if limits["cpu_quota"] or update:
        cpu["quota"] = limits["cpu_quota"] or -1
    memory = limits["memory_limit_in_bytes"] or -1
    return {"cpu": cpu, "memory": {"limit": memory, "swap": memory} if memory > 0 or update else {}}


def _bind(entry: Mapping[str, Any]) -> Object:
    mode = "ro" if entry["readonly"] else "rw"
    return {"destination": entry["container_path"], "type": "bind", "source": entry["host_path"],
            "options": ["rbind", "rprivate", mode]}  # fmt: skip


def _kernel_mounts(*, privileged: bool) -> list[Object]:
    mode = "rw" if privileged else "ro"
    table = (("/proc", "proc", "proc", "nosuid noexec nodev"),
             ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
             ("/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
             ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
             ("/sys", "sysfs", "sysfs", f"nosuid noexec nodev {mode}"),
             ("/sys/fs/cgroup", "cgroup", "cgroup", f"nosuid noexec nodev relatime {mode}"))  # fmt: skip
    return [{"destination": place, "type": kind, "source": source, "options": options.split()}
            for place, kind, source, options in table]


def _devices_allowed(privileged: bool) -> list[Object]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    numbers = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))
    allowed = [{"allow": True, "type": "c", "major": major, "access": "rwm",
                **({"minor": minor} if minor is not None else {})} for major, minor in numbers]  # fmt: skip
    made = [{"allow": True, "type": kind, "access": "m"} for kind in "cb"]
    return [{"allow": False, "access": "rwm"}, *made, *allowed]


def _host_devices() -> list[Object]:
    """All of the machine's devices, for a privileged container."""
    found = []
    for directory, _, names in os.walk("/dev"):
        if directory.startswith(("/dev/pts", "/dev/shm", "/dev/mqueue")):
            continue
        for name in names:
            path = f"{directory}/{name}"
            status = os.lstat(path)
            kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
            if kind and name not in ("console", "ptmx"):
                found.append({"path": path, "type": kind, "major": os.major(status.st_rdev),
                              "minor": os.minor(status.st_rdev), "fileMode": stat.S_IMODE(status.st_mode),
                              "uid": status.st_uid, "gid": status.st_gid})  # fmt: skip
    return found
