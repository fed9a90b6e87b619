"""A container as a runtime understands it: the record becomes what the runtime's daemon starts.

    mounts     volumes, then hosts, hostname and resolv.conf, which Docker gives to every container
    oci        what only the runtime `oci` can do: tmpfs, limits, devices, namespaces of others
    warnings   what the runtime `process` cannot: said in one sentence each

Source: moby 20.10, daemon/oci_linux.go, oci/defaults.go; container/container_unix.go (CreateDaemonEnvironment).
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kitlib.engine.containers import config
from kitlib.engine.containers.record import Container
from kitlib.engine.containers.users import User
from kitlib.engine.errors import EngineError, bad_request

Object = dict[str, Any]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INIT = "/sbin/docker-init"
_RLIMITS = ("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
            "rttime", "sigpending", "stack")  # fmt: skip


def environment(container: Container, user: User) -> dict[str, str]:
    env = {"PATH": PATH, "HOSTNAME": container.config["Hostname"], **({"TERM": "xterm"} if container.tty else {})}
    for entry in container.config["Env"] or ():
        name, there, value = entry.partition("=")
        if there:
            env[name] = value
        else:  # a name alone takes it away
            env.pop(name, None)
    return {**env, "HOME": env.get("HOME", user.home)}


def describe(container: Container, user: User, *, runtime: str, layers: Sequence[str], nameserver: str,
             ip: str) -> Object:
    """What the daemon starts.  runtime: oci or process; ip: what the filter of the runtime process gives it."""
    settings, host = container.config, container.host
    argv, oci = container.argv, runtime == "oci"
    mounts = [{"container_path": point["Destination"], "host_path": point["Source"], "readonly": not point["RW"]}
              for point in container.mounts if point["Type"] != "tmpfs"]
    places = {entry["container_path"] for entry in mounts}
    mounts += [{"container_path": path, "host_path": str(container.place / path.rpartition("/")[2]), "readonly": False}
               for path in ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts") if path not in places]
    if host.get("Init"):
        argv = [_INIT, "--", *argv]
        mounts.append({"container_path": _INIT, "host_path": init_program(), "readonly": True})
    scratch = _tmpfs(container)
    if not oci:  # a directory of the host's stands for each memory file system, empty at each start
        for path in scratch:
            place = container.place / "tmpfs" / path.strip("/").replace("/", "-")
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            place.chmod(0o1777)
            mounts.append({"container_path": path, "host_path": str(place), "readonly": False})
    security = {"privileged": bool(host["Privileged"]), "no_new_privileges": _no_new_privileges(host),
                "add": host["CapAdd"] or (), "drop": host["CapDrop"] or (), "groups": list(user.groups),
                "seccomp": "seccomp=unconfined" not in (host["SecurityOpt"] or ())}  # fmt: skip
    log = (host["LogConfig"] or {}).get("Config") or {}
    return {
        "argv": argv, "env": environment(container, user), "cwd": settings["WorkingDir"] or "/",
        "user": user.uid, "group": user.gid, "security": security, "hostname": hostname(container),
        "ip": ip, "dns": {"servers": [nameserver] if nameserver else []},
        "host_network": not ip, "mounts": [] if oci else mounts,
        "image": {"host_programs": False, "files": {}, "links": {}, "directories": [], "binds": []},
        "layers": list(layers), "image_ref": container.image, "etc": {}, "readonly_rootfs": host["ReadonlyRootfs"],
        "log_path": "" if (host["LogConfig"] or {}).get("Type") == "none" else str(container.log_path),
        "json_file": {"max_size": config.sizes(log.get("max-size", "-1")), "max_file": int(log.get("max-file", "1"))},
        "stdin": bool(settings["OpenStdin"]), "stdin_once": bool(settings["StdinOnce"]), "tty": container.tty,
        "stop_signal": config.stop_signal(settings),
        "pid_mode": "NODE" if host["PidMode"] == "host" else "CONTAINER", "target": "",
        "memory_limit": host["Memory"] if not oci else 0, "resources": _resources(host), "rw": str(container.rw),
        "own": [kind for kind, mode in (("ipc", host["IpcMode"]), ("uts", host["UTSMode"])) if mode != "host"],
        "oci": _oci(container, mounts, scratch) if oci else {},
    }  # fmt: skip


def hostname(container: Container) -> str:
    return str(container.config["Hostname"])


def init_program() -> str:
    """docker-init is tini, under whatever name it is here.  Raises EngineError."""
    for name in ("docker-init", "tini-static", "tini", "catatonit"):
        found = shutil.which(name)
        if found:
            return os.path.realpath(found)
    raise EngineError(500, 'exec: "docker-init": executable file not found in $PATH (Debian: apt-get install tini)')


def _no_new_privileges(host: Mapping[str, Any]) -> bool:
    return any(one in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
               for one in host["SecurityOpt"] or ())


def _tmpfs(container: Container) -> dict[str, str]:
    """Path → options."""
    given = {posixpath.normpath(path): options for path, options in (container.host.get("Tmpfs") or {}).items()}
    return given | {point["Destination"]: point.get("options", "") for point in container.mounts
                    if point["Type"] == "tmpfs"}


def _resources(host: Mapping[str, Any]) -> Object:
    quota, period = host["CpuQuota"], host["CpuPeriod"] or 100_000
    if host["NanoCpus"]:
        quota = host["NanoCpus"] * period // 1_000_000_000
    return {"cpu_shares": host["CpuShares"] or 1024, "cpu_quota": quota, "cpu_period": period,
            "memory_limit_in_bytes": host["Memory"]}  # fmt: skip


def limits(host: Mapping[str, Any]) -> Object:
    """linux.resources of the runtime-spec beyond what the CRI has."""
    found: Object = {}
    if host["PidsLimit"]:
        found["pids"] = {"limit": host["PidsLimit"]}
    memory = {"limit": host["Memory"]} if host["Memory"] > 0 else {}
    if host["MemorySwap"]:
        memory["swap"] = host["MemorySwap"]
    if host["MemoryReservation"]:
        memory["reservation"] = host["MemoryReservation"]
    if host["OomKillDisable"]:
        memory["disableOOMKiller"] = True
    if memory:
        found["memory"] = memory
    return found


def _oci(container: Container, mounts: Sequence[Object], scratch: Mapping[str, str]) -> Object:
    host = container.host
    listed = [{"destination": one["container_path"], "type": "bind", "source": one["host_path"],
               "options": ["rbind", "rprivate", "ro" if one["readonly"] else "rw"]} for one in mounts]
    for path, options in scratch.items():
        given = [word for word in options.split(",") if word]
        base = ["nosuid", "nodev", "noexec"]
        base = [word for word in base if word.removeprefix("no") not in given]
        listed.append({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": [*base, *given]})
    listed.append({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                   "options": ["nosuid", "noexec", "nodev", "mode=1777", f"size={host['ShmSize']}"]})
    listed.sort(key=lambda one: str(one["destination"]).count("/"))
    process: Object = {"rlimits": _ulimits(host)} if host["Ulimits"] else {}
    if host["OomScoreAdj"]:
        process["oomScoreAdj"] = host["OomScoreAdj"]
    linux: Object = {"resources": limits(host), "maskedPaths": host["MaskedPaths"] or [],
                     "readonlyPaths": host["ReadonlyPaths"] or []}  # fmt: skip
    if host["CpusetCpus"] or host["CpusetMems"]:
        cpu = _resources(host)
        linux["resources"]["cpu"] = {
            "shares": cpu["cpu_shares"], "period": cpu["cpu_period"],
            **({"quota": cpu["cpu_quota"]} if cpu["cpu_quota"] else {}),
            **({"cpus": host["CpusetCpus"]} if host["CpusetCpus"] else {}),
            **({"mems": host["CpusetMems"]} if host["CpusetMems"] else {})}  # fmt: skip
    if host.get("Sysctls"):
        linux["sysctl"] = dict(host["Sysctls"])
    allowed: list[Object] = []
    if host["Devices"] and not host["Privileged"]:
        linux["devices"], allowed = _devices(host["Devices"])
    return {"mounts": listed, "process": process, "linux": linux, "devices": allowed}


def _ulimits(host: Mapping[str, Any]) -> list[Object]:
    found = []
    for one in host["Ulimits"]:
        if one.get("Name") not in _RLIMITS:
            raise bad_request(f"invalid ulimit type: {one.get('Name')}")
        found.append({"type": f"RLIMIT_{one['Name'].upper()}", "hard": one.get("Hard", 0), "soft": one.get("Soft", 0)})
    return found


def _devices(wanted: Sequence[Mapping[str, Any]]) -> tuple[list[Object], list[Object]]:
    made, allowed = [], []
    for one in wanted:
        try:
            status = os.stat(one["PathOnHost"])
        except OSError as error:
            raise EngineError(500, f'error gathering device information while adding custom device '
                              f'"{one["PathOnHost"]}": no such file or directory') from error
        kind = "c" if stat.S_ISCHR(status.st_mode) else "b"
        numbers = {"type": kind, "major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
        made.append({"path": one.get("PathInContainer") or one["PathOnHost"], "fileMode": stat.S_IMODE(status.st_mode),
                     "uid": status.st_uid, "gid": status.st_gid, **numbers})
        allowed.append({"allow": True, "access": one.get("CgroupPermissions") or "rwm", **numbers})
    return made, allowed


def warnings(host: Mapping[str, Any], container: Container, *, mounts: bool) -> list[str]:
    """What the runtime `process` does not do, in Docker's own words where it has them.  mounts: it may mount."""
    found = []
    if not mounts and (host["ReadonlyRootfs"] or not all(point["RW"] for point in container.mounts)):
        found.append("Nothing can be mounted read-only on this machine: the container can write to it.")
    if host["Memory"]:
        found.append("Your kernel does not support memory limit capabilities or the cgroup is not mounted. The "
                     "embedded engine looks once a second instead, and ends a container that is over its limit.")
    for key, words in (("CpuShares", "CPU shares"), ("NanoCpus", "CPU CFS scheduler"), ("CpuQuota", "CPU CFS quota"),
                       ("CpusetCpus", "cpuset"), ("PidsLimit", "PIDs limit")):
        if host[key]:
            found.append(f"Your kernel does not support {words} or the cgroup is not mounted. It is discarded.")
    if host["CapAdd"] or host["CapDrop"] or host["Privileged"]:
        found.append("Capabilities cannot be changed on this machine: the container has those of the engine's user.")
    if host["Devices"]:
        found.append("Devices cannot be added on this machine: they are left out.")
    if host["Ulimits"]:
        found.append("Limits of processes (--ulimit) cannot be set on this machine. They are discarded.")
    if len(container.networks) > 1:
        found.append("Without network namespaces a container has one address in all of its networks.")
    return found


def write_etc(container: Container, *, resolv_conf: str) -> None:
    """hosts, hostname and resolv.conf of a run, at the places which the container sees."""
    place, host = container.place, container.host
    (place / "hostname").write_text(hostname(container) + "\n")
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "fe00::0\tip6-localnet",
             "ff00::0\tip6-mcastprefix", "ff02::1\tip6-allnodes", "ff02::2\tip6-allrouters"]
    for entry in host["ExtraHosts"] or ():
        name, _, address = entry.partition(":")
        if address == "host-gateway":
            address = next((one["Gateway"] for one in container.networks.values() if one["Gateway"]), "127.0.0.1")
        lines.append(f"{address}\t{name}")
    name, domain = hostname(container), container.config["Domainname"]
    names = f"{name}.{domain} {name}" if domain else name
    lines += [f"{one['IPAddress']}\t{names}" for one in container.networks.values() if one["IPAddress"]]
    (place / "hosts").write_text("\n".join(lines) + "\n")
    (place / "resolv.conf").write_text(resolv_conf)


def resolv_conf(host: Mapping[str, Any], nameserver: str, path: str = "/etc/resolv.conf") -> str:
    """nameserver: the embedded one, or "": the host's, or those that were asked for (--dns)."""
    try:
        ours = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        ours = []
    servers = [nameserver] if nameserver else list(host["Dns"] or ()) or [
        line.split()[1] for line in ours if line.startswith("nameserver") and len(line.split()) > 1]
    search = list(host["DnsSearch"] or ()) or next(
        (line.split()[1:] for line in ours if line.startswith("search")), [])
    options = list(host["DnsOptions"] or ()) or next(
        (line.split()[1:] for line in ours if line.startswith("options")), [])
    if nameserver and not any(one.startswith("ndots:") for one in options):
        options.append("ndots:0")
    lines = ([f"search {' '.join(search)}"] if search and search != ["."] else []) + [
        f"nameserver {one}" for one in servers] + ([f"options {' '.join(options)}"] if options else [])
    return "\n".join(lines) + "\n" if lines else ""


def describe_limits(host: Mapping[str, Any]) -> Object:
    """Resources of a container that runs, in the CRI's words."""
    return _resources(host)
