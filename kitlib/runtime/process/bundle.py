"""From an image and a container's config to what the daemon starts: the role of an OCI bundle's config.json.

Source: containerd's internal/cri/server/container_create.go and pkg/oci; kubelet's pkg/kubelet/kubelet_pods.go for
/etc/hosts and network/dns for /etc/resolv.conf; the image-spec for how command, args, entrypoint and cmd replace each
other.
"""

from __future__ import annotations

import os
import posixpath
import signal
from dataclasses import asdict
from typing import Any

from kitlib.runtime.cri import ContainerConfig, PodSandboxConfig, RuntimeError_
from kitlib.runtime.process.images import ImageConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nginx:x:101:101:nginx:/nonexistent:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnginx:x:101:\nnogroup:x:65534:\nnobody:x:65534:\n"


def command_line(image: ImageConfig, config: ContainerConfig) -> list[str]:
    """A Pod's `command` replaces the entrypoint, and drops the image's cmd too; its `args` replace the cmd."""
    argv = [*(config.command or image.entrypoint), *(config.args or (() if config.command else image.cmd))]
    if not argv:
        raise RuntimeError_("CreateContainerError", f'failed to generate container "{config.name}" spec: failed to '
                            "generate spec: no command specified")  # fmt: skip
    return argv


def environment(image: ImageConfig, config: ContainerConfig, sandbox: PodSandboxConfig, *,
                own_address: bool) -> dict[str, str]:
    env = {"PATH": DEFAULT_PATH, "HOME": "/root", **dict(image.env), "HOSTNAME": sandbox.hostname}
    if config.tty:
        env["TERM"] = "xterm"
    if not own_address:  # the only way left to tell a program which address is its Pod's
        env["POD_IP"] = sandbox.ip
    return {**env, **dict(config.envs)}


def hosts(sandbox: PodSandboxConfig) -> str:
    lines = ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback",
             "fe00::0\tip6-localnet", "fe00::0\tip6-mcastprefix", "fe00::1\tip6-allnodes",
             "fe00::2\tip6-allrouters"]  # fmt: skip
    if sandbox.ip:
        lines.append(f"{sandbox.ip}\t{sandbox.hostname}")
    if sandbox.host_aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((ip, *names)) for ip, names in sandbox.host_aliases]
    return "\n".join(lines) + "\n"


def resolv_conf(sandbox: PodSandboxConfig) -> str:
    if not sandbox.dns_servers:
        try:
            with open("/etc/resolv.conf") as file:
                return file.read()
        except OSError:
            return ""
    lines = [f"search {' '.join(sandbox.dns_searches)}"] if sandbox.dns_searches else []
    lines += [f"nameserver {server}" for server in sandbox.dns_servers]
    if sandbox.dns_options:
        lines.append(f"options {' '.join(sandbox.dns_options)}")
    return "\n".join(lines) + "\n"


def _mounts(image: ImageConfig, config: ContainerConfig) -> list[dict[str, Any]]:
    mounts = [{"container_path": path, "host_path": host, "readonly": True} for path, host in image.binds]
    for mount in config.mounts:
        if not os.path.exists(mount.host_path):
            raise RuntimeError_("CreateContainerError", f'failed to generate container "{config.name}" spec: failed to '
                                f'apply OCI options: failed to stat "{mount.host_path}": no such file or directory')
        path = posixpath.normpath("/" + mount.container_path.lstrip("/"))
        mounts = [other for other in mounts if other["container_path"] != path]
        source = os.path.realpath(mount.host_path)
        mounts.append({"container_path": path, "host_path": source, "readonly": mount.readonly})
    return mounts


def build(image: ImageConfig, config: ContainerConfig, sandbox: PodSandboxConfig, *,
          own_address: bool) -> dict[str, Any]:
    """The daemon's `spec` of a container."""
    mounts = _mounts(image, config)
    mounted = {mount["container_path"] for mount in mounts}
    etc = {"/etc/hosts": hosts(sandbox), "/etc/resolv.conf": resolv_conf(sandbox),
           "/etc/hostname": sandbox.hostname + "\n"}  # fmt: skip
    if not image.layers:
        etc |= {"/etc/passwd": _PASSWD, "/etc/group": _GROUP}
    argv = command_line(image, config)
    env = environment(image, config, sandbox, own_address=own_address)
    if any("\0" in text for text in (*argv, *env, *env.values())):
        raise RuntimeError_("CreateContainerError", f'container "{config.name}": a zero byte in command, args or env')
    contents = {"host_programs": image.host_programs, "files": dict(image.files), "links": dict(image.links),
                "directories": list(image.directories), "binds": list(image.binds)}  # fmt: skip
    given = config.run_as_user is not None
    return {
        "argv": argv,
        "env": env,
        "cwd": config.working_dir or image.working_dir or "/",
        "user": config.run_as_user if given else image.user,
        "group": image.group if config.run_as_group is None and not given else config.run_as_group,
        "security": _security(config),
        "hostname": sandbox.hostname or "localhost",
        "ip": sandbox.ip,
        "dns": {"servers": list(sandbox.dns_servers), "searches": list(sandbox.dns_searches),
                "options": list(sandbox.dns_options)},
        "host_network": sandbox.host_network or not sandbox.ip,
        "mounts": mounts,
        "image": contents,
        "layers": list(image.layers),
        "image_ref": image.repository_digest,
        "etc": {path: text for path, text in etc.items() if path not in mounted},
        "readonly_rootfs": config.readonly_rootfs,
        "log_path": os.path.join(sandbox.log_directory, config.log_path) if config.log_path else "",
        "stdin": config.stdin,
        "stdin_once": config.stdin_once,
        "tty": config.tty,
        "stop_signal": int(signal.Signals[image.stop_signal]),
        "pid_mode": config.pid_mode,
        "target": config.target_id,
        "memory_limit": config.resources.memory_limit_in_bytes,
        "resources": asdict(config.resources),
    }


def _security(config: ContainerConfig) -> dict[str, Any]:
    """What only the runtime `oci` can grant or take away."""
    return {"privileged": config.privileged, "no_new_privileges": config.no_new_privs,
            "add": list(config.add_capabilities), "drop": list(config.drop_capabilities),
            "groups": list(config.supplemental_groups), "seccomp": config.seccomp == "RuntimeDefault"}  # fmt: skip
