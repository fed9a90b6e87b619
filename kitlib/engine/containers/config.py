"""What a client asks for when it creates a container, with Docker's defaults and Docker's refusals.

    body of POST /containers/create ─▶ (Config, HostConfig, EndpointsConfig, warnings)
    image's config                  ─▶ merge: what the client left out

Source: moby 20.10, api/types/container, runconfig/config.go, daemon/commit.go (merge), daemon/container.go
(verifyContainerSettings), daemon/daemon_unix.go (adaptContainerSettings, verifyPlatformContainerSettings).
"""

from __future__ import annotations

import os
import posixpath
import re
import signal
from collections.abc import Mapping
from typing import Any

from kitlib.engine.errors import bad_request
from kitlib.runtime.oci import cgroups
from kitlib.runtime.oci.spec import ALL_CAPABILITIES

Object = dict[str, Any]

_CONFIG: Object = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": {}}  # fmt: skip
_OPTIONAL = ("ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "StopSignal", "StopTimeout",
             "Shell")  # fmt: skip
MASKED = ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]  # fmt: skip
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_HOST: Object = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "json-file", "Config": {}}, "NetworkMode": "default",
    "PortBindings": {}, "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}, "AutoRemove": False, "VolumeDriver": "",
    "VolumesFrom": None, "CapAdd": None, "CapDrop": None, "CgroupnsMode": "", "Dns": None, "DnsOptions": None,
    "DnsSearch": None, "ExtraHosts": None, "GroupAdd": None, "IpcMode": "", "Cgroup": "", "Links": None,
    "OomScoreAdj": 0, "PidMode": "", "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False,
    "SecurityOpt": None, "UTSMode": "", "UsernsMode": "", "ShmSize": 0, "Runtime": "", "ConsoleSize": [0, 0],
    "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
    "BlkioWeightDevice": None, "BlkioDeviceReadBps": None, "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None,
    "BlkioDeviceWriteIOps": None, "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0,
    "CpusetCpus": "", "CpusetMems": "", "Devices": None, "DeviceCgroupRules": None, "DeviceRequests": None,
    "KernelMemory": 0, "KernelMemoryTCP": 0, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": None,
    "OomKillDisable": False, "PidsLimit": None, "Ulimits": None, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0}  # fmt: skip
_HOST_OPTIONAL = ("Tmpfs", "Sysctls", "Mounts", "Init", "StorageOpt", "Annotations")
_SHM = 64 << 20
_LEAST_MEMORY = 6 << 20
_SIGNALS = {name.removeprefix("SIG"): int(value) for name, value in signal.Signals.__members__.items()} | {
    **{f"RTMIN+{i}": signal.SIGRTMIN + i for i in range(16)}, **{f"RTMAX-{i}": signal.SIGRTMAX - i for i in range(15)}}


def parse(body: Mapping[str, Any]) -> tuple[Object, Object, dict[str, Object], list[str]]:
    """Raises EngineError(400)."""
    if not any(key in body for key in ("Image", "Cmd", "Env", "HostConfig")):
        raise bad_request("Config cannot be empty in order to create a container")
    config = {**_CONFIG, **{key: body[key] for key in _CONFIG if body.get(key) is not None},
              **{key: body[key] for key in _OPTIONAL if body.get(key)}}
    for key in ("Cmd", "Entrypoint"):
        if isinstance(config[key], str):
            config[key] = [config[key]]
    given = body.get("HostConfig") or {}
    host = {**_HOST, **{key: given[key] for key in _HOST if given.get(key) is not None},
            **{key: given[key] for key in _HOST_OPTIONAL if given.get(key)}}
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    if len(endpoints) > 1:
        raise bad_request(f"Container cannot be connected to network endpoints: {', '.join(sorted(endpoints))}")
    _check(config)
    return config, host, {name: one or {} for name, one in endpoints.items()}, _adapt(host)


def _check(config: Object) -> None:
    if config["WorkingDir"]:
        config["WorkingDir"] = posixpath.normpath(config["WorkingDir"])
        if not config["WorkingDir"].startswith("/"):
            raise bad_request(f"the working directory '{config['WorkingDir']}' is invalid, it needs to be an absolute "
                              "path")
    for entry in config["Env"] or ():
        if not entry.partition("=")[0]:
            raise bad_request(f"invalid environment variable: {entry}")
    if config.get("StopSignal"):
        signal_number(config["StopSignal"])
    health = config.get("Healthcheck") or {}
    for name, words in (("Interval", "Interval in Healthcheck"), ("Timeout", "Timeout in Healthcheck"),
                        ("StartPeriod", "StartPeriod in Healthcheck")):
        if 0 < health.get(name, 0) < 1_000_000 or health.get(name, 0) < 0:
            raise bad_request(f"{words} cannot be less than 1ms")
    if health.get("Retries", 0) < 0:
        raise bad_request("Retries in Healthcheck cannot be negative")


def _adapt(host: Object) -> list[str]:
    """Docker's defaults, and whatever cannot be."""
    warnings: list[str] = []
    memory, cores = host["Memory"], os.cpu_count() or 1
    if 0 < memory < _LEAST_MEMORY:
        raise bad_request("Minimum memory limit allowed is 6MB")
    if memory > 0 and host["MemorySwap"] == 0:
        host["MemorySwap"] = memory * 2
    if host["MemorySwap"] > 0 and memory == 0:
        raise bad_request("You should always set the Memory limit when using Memoryswap limit, see usage")
    if memory > 0 and 0 < host["MemorySwap"] < memory:
        raise bad_request("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory > 0 and memory < host["MemoryReservation"]:
        raise bad_request("Minimum memory limit can not be less than memory reservation limit, see usage")
    if host["NanoCpus"] and (host["CpuPeriod"] or host["CpuQuota"]):
        which = "CPU Period" if host["CpuPeriod"] else "CPU Quota"
        raise bad_request(f"Conflicting options: Nano CPUs and {which} cannot both be set")
    if host["NanoCpus"] < 0 or host["NanoCpus"] > cores * 1_000_000_000:
        raise bad_request(f"Range of CPUs is from 0.01 to {cores:.2f}, as there are only {cores} CPUs available")
    if host["CpuPeriod"] and not 1000 <= host["CpuPeriod"] <= 1_000_000:
        raise bad_request("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host["CpuQuota"] < 1000:
        raise bad_request("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if host["ShmSize"] < 0:
        raise bad_request("SHM size can not be less than 0")
    host["ShmSize"] = host["ShmSize"] or _SHM
    if not -1000 <= host["OomScoreAdj"] <= 1000:
        raise bad_request(f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]")
    if host["PidsLimit"] == 0:
        host["PidsLimit"] = None
    restart_policy(host)
    for name in ("CapAdd", "CapDrop"):
        for one in host[name] or ():
            full = "CAP_" + one.upper().removeprefix("CAP_")
            if full not in (*ALL_CAPABILITIES, "CAP_ALL"):
                raise bad_request(f'invalid {name}: unknown capability: "{full}"')
    for option in host["SecurityOpt"] or ():
        if not option.startswith(("label", "apparmor", "seccomp", "no-new-privileges")):
            raise bad_request(f'invalid --security-opt 2: "{option}"')
    driver = (host["LogConfig"] or {}).get("Type") or "json-file"
    host["LogConfig"] = {"Type": driver, "Config": (host["LogConfig"] or {}).get("Config") or {}}
    if driver not in ("json-file", "none"):
        raise bad_request(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    host["IpcMode"] = host["IpcMode"] or "private"
    host["CgroupnsMode"] = host["CgroupnsMode"] or ("private" if cgroups.is_unified() else "host")
    host["Runtime"] = host["Runtime"] or "runc"
    if host["Runtime"] not in ("runc", "io.containerd.runc.v2"):
        raise bad_request(f"Unknown runtime specified {host['Runtime']}")
    if not host["Privileged"]:
        host.setdefault("MaskedPaths", list(MASKED))
        host.setdefault("ReadonlyPaths", list(READONLY))
    else:
        host["MaskedPaths"] = host["ReadonlyPaths"] = None
    if host["NetworkMode"] == "host" and (host["PortBindings"] or host["PublishAllPorts"]):
        warnings.append("Published ports are discarded when using host network mode")
    return warnings


def restart_policy(host: Object) -> None:
    """Raises EngineError(400)."""
    policy = host["RestartPolicy"] or {}
    policy = {"Name": policy.get("Name") or "", "MaximumRetryCount": policy.get("MaximumRetryCount") or 0}
    name, count = policy["Name"], policy["MaximumRetryCount"]
    if name in ("always", "unless-stopped", "no") and count:
        raise bad_request(f"maximum retry count cannot be used with restart policy '{name}'")
    if name == "on-failure" and count < 0:
        raise bad_request("maximum retry count cannot be negative")
    if name not in ("", "no", "always", "unless-stopped", "on-failure"):
        raise bad_request(f"invalid restart policy '{name}'")
    if host["AutoRemove"] and name not in ("", "no"):
        raise bad_request("can't create 'AutoRemove' container with restart policy")
    host["RestartPolicy"] = policy


def merge(config: Object, image: Mapping[str, Any]) -> None:
    """What the client left out comes from the image.  Raises EngineError if there is nothing to run."""
    config["User"] = config["User"] or image.get("User") or ""
    if image.get("ExposedPorts"):
        config["ExposedPorts"] = {**image["ExposedPorts"], **(config.get("ExposedPorts") or {})}
    own = {entry.partition("=")[0] for entry in config["Env"] or ()}
    more = [entry for entry in image.get("Env") or () if entry.partition("=")[0] not in own]
    config["Env"] = [*(config["Env"] or ()), *more] or config["Env"] or None
    config["Labels"] = {**(image.get("Labels") or {}), **(config["Labels"] or {})}
    if not config["Entrypoint"]:
        if not config["Cmd"]:
            config["Cmd"] = image.get("Cmd")
        if config["Entrypoint"] is None:
            config["Entrypoint"] = image.get("Entrypoint")
    _merge_health(config, image.get("Healthcheck"))
    config["WorkingDir"] = config["WorkingDir"] or image.get("WorkingDir") or ""
    if image.get("Volumes"):
        config["Volumes"] = {**image["Volumes"], **(config["Volumes"] or {})}
    if image.get("StopSignal") and not config.get("StopSignal"):
        config["StopSignal"] = image["StopSignal"]
    if image.get("Shell") and not config.get("Shell"):
        config["Shell"] = image["Shell"]
    if config["Entrypoint"] == [""]:
        config["Entrypoint"] = None
    if not config["Entrypoint"] and not config["Cmd"]:
        raise bad_request("No command specified")


def _merge_health(config: Object, image: Mapping[str, Any] | None) -> None:
    if not image:
        return
    own = dict(config.get("Healthcheck") or {})
    if not own.get("Test"):
        own["Test"] = image.get("Test")
    for name in ("Interval", "Timeout", "StartPeriod", "Retries"):
        if not own.get(name) and image.get(name):
            own[name] = image[name]
    config["Healthcheck"] = own


def signal_number(name: str | int) -> int:
    """SIGTERM, term, 15 → 15.  Raises EngineError."""
    text = str(name).upper()
    if text.isdigit():
        if 0 < int(text) < signal.NSIG:
            return int(text)
        raise bad_request(f"Invalid signal: {name}")
    found = _SIGNALS.get(text.removeprefix("SIG"))
    if found is None:
        raise bad_request(f"Invalid signal: {name}")
    return found


def stop_signal(config: Mapping[str, Any]) -> int:
    try:
        return signal_number(config.get("StopSignal") or "SIGTERM")
    except Exception:  # an image may say anything
        return int(signal.SIGTERM)


def sizes(text: str) -> int:
    """10m, 1.5g, 512 → bytes, as in --log-opt max-size; -1 has no limit (0)."""
    match = re.fullmatch(r"(-?[\d.]+)\s*([kmgtp]?)i?b?", text.strip().lower())
    if not match or float(match[1]) < 0:
        return 0
    return int(float(match[1]) * 1024 ** " kmgtp".index(match[2] or " "))


def command_text(argv: list[str]) -> str:
    """How docker ps shows a command."""
    return " ".join(argv[:1] + [f"'{word}'" if " " in word else word for word in argv[1:]])
