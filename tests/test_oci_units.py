"""What the `oci` runtime says to runc and to the CNI's plugins, and how it reads their answers."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_oci_network import with_network

from kitlib.runtime.cri import ContainerConfig, PodSandboxConfig, RuntimeError_
from kitlib.runtime.oci import cni, spec
from kitlib.runtime.oci.client import OciRuntime
from kitlib.runtime.oci.runner import why
from kitlib.runtime.process import bundle, overlay
from kitlib.runtime.process.images import ImageConfig

ATTACHMENT = cni.Attachment("abc", "/proc/1/fd/9", 3, "10.244.1.0/24", "10.244.1.7", "default", "web",
                            ((8080, 80, "TCP"),))


def test_a_plugin_reads_its_part_of_the_list_and_the_result_of_the_one_before() -> None:
    network = cni.configuration("10.244.1.0/24", "/state", ports=True)
    bridge, portmap = network["plugins"]
    first = cni.request(network, bridge, None, ATTACHMENT)
    assert (first["type"], first["name"], first["cniVersion"]) == ("bridge", "kit", "1.0.0")
    assert "prevResult" not in first
    assert "runtimeConfig" not in first
    second = cni.request(network, portmap, {"ips": []}, ATTACHMENT)
    assert second["prevResult"] == {"ips": []}
    assert second["runtimeConfig"]["portMappings"] == [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    assert "capabilities" not in second
    assert [p["type"] for p in cni.configuration("10.244.1.0/24", "/state")["plugins"]] == ["bridge"]


def test_the_task_is_in_variables_and_the_address_is_the_kubelets() -> None:
    env = cni.environment("ADD", ATTACHMENT, "eth0", "/usr/lib/cni")
    assert {key: env[key] for key in ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH")} == {
        "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "abc", "CNI_NETNS": "/proc/1/fd/9", "CNI_IFNAME": "eth0",
        "CNI_PATH": "/usr/lib/cni"}
    assert "IP=10.244.1.7" in env["CNI_ARGS"].split(";")
    assert "K8S_POD_NAME=web" in env["CNI_ARGS"].split(";")


def built(**config: Any) -> dict[str, Any]:
    image = ImageConfig("docker.io/kit/app:1", "sha256:1", 1, cmd=("run",), layers=("/l/1",))
    made = bundle.build(image, ContainerConfig("c", "kit/app:1", **config), PodSandboxConfig("p", "u", "default"),
                        own_address=True)
    return spec.build(made, "/root", "/kit/x", {"network": "/proc/1/fd/9", "pid": ""}, [], cgroup_namespace=False)


def test_namespaces_are_entered_by_path_or_made() -> None:
    assert {n["type"]: n.get("path", "") for n in built()["linux"]["namespaces"]} == {
        "network": "/proc/1/fd/9", "pid": "", "mount": ""}


@pytest.mark.parametrize(("add", "drop", "there", "absent"), [
    ((), (), "CAP_CHOWN", "CAP_SYS_ADMIN"),
    (("NET_ADMIN",), ("ALL",), "CAP_NET_ADMIN", "CAP_CHOWN"),
    (("ALL",), ("MKNOD",), "CAP_SYS_ADMIN", "CAP_MKNOD"),
    ((), ("CAP_CHOWN",), "CAP_KILL", "CAP_CHOWN")])
def test_capabilities(add: tuple[str, ...], drop: tuple[str, ...], there: str, absent: str) -> None:
    held = built(add_capabilities=add, drop_capabilities=drop)["process"]["capabilities"]
    assert there in held["effective"]
    assert absent not in held["bounding"]


def test_privileged_means_all_of_it_and_the_usual_profile_hides_the_kernels_secrets() -> None:
    usual, mighty = built()["linux"], built(privileged=True)["linux"]
    assert "/proc/kcore" in usual["maskedPaths"]
    assert usual["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert (mighty["maskedPaths"], mighty["resources"]["devices"]) == ([], [{"allow": True, "access": "rwm"}])
    assert "seccomp" not in usual
    assert built(seccomp="RuntimeDefault")["linux"]["seccomp"]["syscalls"]


@pytest.mark.parametrize(("message", "words"), [
    ('runc run failed: unable to start container process: exec: "x": executable file not found in $PATH',
     'exec: "x": executable file not found in $PATH'),
    ("executable file `x` not found in $PATH: No such file or directory",
     'exec: "x": executable file not found in $PATH'),
    ("executable file `/x` not found in $PATH: No such file or directory",
     'exec: "/x": stat /x: no such file or directory'),
    ('exec failed: unable to start container process: exec: "y": permission denied', 'exec: "y": permission denied')])
def test_why_a_start_failed_is_said_in_runcs_words_alone(message: str, words: str) -> None:
    assert why(message) == words


def test_an_images_links_stay_inside(tmp_path: Path) -> None:
    for name, target in (("etc", "/outside"), ("up", "../../.."), ("loop", "loop"), ("usr", "real/usr")):
        (tmp_path / name).symlink_to(target)
    assert overlay.inside(str(tmp_path), "/etc/hosts") == "/outside/hosts"
    assert overlay.inside(str(tmp_path), "/up/x") == "/x"
    assert overlay.inside(str(tmp_path), "/usr/../bin") == "/real/bin"
    with pytest.raises(OSError, match="too many levels"):
        overlay.inside(str(tmp_path), "/loop")


@pytest.mark.needs("oci", "busybox")
def test_check_finds_what_somebody_took_away_and_version_asks_the_plugin(tmp_path: Path) -> None:
    async def work(runtime: OciRuntime) -> None:
        config = PodSandboxConfig("a", "uid-a", "default", hostname="a", ip="10.244.1.9", node="node-1")
        sandbox = await runtime.run_pod_sandbox(config)
        assert await runtime.check_pod_network(sandbox) == ""
        await runtime.pull_image("busybox")
        container = await runtime.create_container(sandbox, ContainerConfig("c", "busybox", command=["sleep", "99"]))
        await runtime.start_container(container)
        pid = (await runtime.container_status(container)).pid
        await asyncio.to_thread(subprocess.run, ["nsenter", "-t", str(pid), "-n", "ip", "addr", "flush", "dev", "eth0"],
                                check=True)
        assert 'plugin type="bridge" failed (check)' in await runtime.check_pod_network(sandbox)
        assert "1.0.0" in await runtime.cni_versions("bridge")
        with pytest.raises(RuntimeError_, match="no such program"):
            await runtime.cni_versions("nothing")

    with_network(tmp_path, work)
