"""`docker version` and `docker info`: this engine and the machine it runs on, measured, not made up.

Source: moby/moby 20.10, daemon/info.go, pkg/parsers/operatingsystem, pkg/sysinfo.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.engine.imageforms import time_text
from kitlib.images.descriptor import machine

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

API_VERSION, OLDEST, NEWEST = (1, 41), (1, 12), (1, 60)
VERSION = "20.10.24+kitlib"  # the engine whose API this is; clients compare the number


def text_of(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def version() -> dict[str, Any]:
    """What Docker calls GoVersion is the language's: here Python's."""
    language, kernel = f"python{platform.python_version()}", platform.release()
    details = {"ApiVersion": text_of(API_VERSION), "Arch": machine(), "BuildTime": "", "Experimental": "false",
               "GitCommit": "", "GoVersion": language, "KernelVersion": kernel, "MinAPIVersion": text_of(OLDEST),
               "Os": "linux"}
    return {"Platform": {"Name": "kitlib embedded engine"},
            "Components": [{"Name": "Engine", "Version": VERSION, "Details": details}],
            "Version": VERSION, "ApiVersion": text_of(API_VERSION), "MinAPIVersion": text_of(OLDEST), "GitCommit": "",
            "GoVersion": language, "Os": "linux", "Arch": machine(), "KernelVersion": kernel, "BuildTime": ""}


@functools.cache
def _system() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _memory() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _identity(home: Path) -> str:
    """Like Docker's: twelve groups of four letters; the same for the same home."""
    import base64

    text = base64.b32encode(hashlib.sha256(os.fsencode(home)).digest()[:30]).decode()
    return ":".join(text[i:i + 4] for i in range(0, 48, 4))


def info(engine: Engine, counts: dict[str, int]) -> dict[str, Any]:
    """The fields of engine 20.10."""
    from kitlib.images.build.isolation import strongest

    isolation = strongest()
    cgroup2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    return {
        "ID": _identity(engine.home), **counts, "Driver": "kitlib",
        "DriverStatus": [["Image store", str(engine.store.root)], ["RUN and layers", isolation]],
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": None,
                    "Log": ["json-file"]},
        "MemoryLimit": False, "SwapLimit": False, "KernelMemory": False, "CpuCfsPeriod": False, "CpuCfsQuota": False,
        "CPUShares": False, "CPUSet": False, "PidsLimit": False, "IPv4Forwarding": False, "BridgeNfIptables": False,
        "BridgeNfIp6tables": False, "Debug": False, "NFd": len(os.listdir("/proc/self/fd")), "OomKillDisable": False,
        "NGoroutines": 0, "SystemTime": time_text(time.time_ns()), "LoggingDriver": "json-file",
        "CgroupDriver": "none", "CgroupVersion": "2" if cgroup2 else "1", "KernelVersion": platform.release(),
        "OperatingSystem": _system().get("PRETTY_NAME", platform.system()),
        "OSVersion": _system().get("VERSION_ID", ""), "OSType": "linux", "Architecture": platform.machine(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {"AllowNondistributableArtifactsCIDRs": [], "AllowNondistributableArtifactsHostnames": [],
                           "InsecureRegistryCIDRs": ["127.0.0.0/8"],
                           "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True,
                                                          "Official": True}}, "Mirrors": []},
        "NCPU": len(os.sched_getaffinity(0)), "MemTotal": _memory(), "GenericResources": None,
        "DockerRootDir": str(engine.home), "HttpProxy": os.environ.get("HTTP_PROXY", ""),
        "HttpsProxy": os.environ.get("HTTPS_PROXY", ""), "NoProxy": os.environ.get("NO_PROXY", ""),
        "Name": platform.node(), "Labels": [], "ExperimentalBuild": False, "ServerVersion": VERSION,
        "Runtimes": {"kitlib": {"path": sys.executable}}, "DefaultRuntime": "kitlib",
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "",
                  "RemoteManagers": None},
        "LiveRestoreEnabled": False, "Isolation": "", "InitBinary": "", "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": "", "Expected": ""}, "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": [] if os.geteuid() == 0 else ["name=rootless"], "Warnings": None,
        **engine.containers.info()}
