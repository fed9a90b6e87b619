"""Networks and volumes: names that resolve, doors to the host, none and host, and data that outlives a container."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest
from docker.models.containers import Container
from docker.models.networks import Network
from engine_support import BASE, LABEL, PREFIX, Engine
from support import eventually

SERVER = ("sh", "-c", "mkdir -p /www; hostname > /www/index.html; exec httpd -f -p 8080 -h /www")


@pytest.fixture(scope="module")
def network(engine_of_session: Engine) -> Iterator[Network]:
    made = engine_of_session.sdk.networks.create(f"{PREFIX}-net", driver="bridge", labels={"suite": PREFIX})
    yield made
    made.remove()


@pytest.fixture(scope="module")
def web(engine_of_session: Engine, network: Network) -> Iterator[Container]:
    """A web server in the network, known there by two names, with a door to the host."""
    one = engine_of_session.run(*SERVER, name=f"{PREFIX}-web", network=network.name, ports={"8080/tcp": None},
                                hostname="the-web")
    yield one
    one.remove(force=True)


def test_a_container_finds_another_by_its_name(engine: Engine, network: Network, web: Container) -> None:
    ask = ["run", "--rm", "--network", network.name, BASE, "sh", "-c"]
    assert engine(*ask, f"until wget -qO- http://{web.name}:8080/; do sleep 0.1; done 2>/dev/null") == "the-web"
    assert engine(*ask, f"wget -qO- http://{web.id[:12]}:8080/") == "the-web"  # the short id is a name, too
    assert engine.docker(*ask, "nslookup no-such-name.invalid").code == 1


def test_a_port_is_published(engine: Engine, web: Container) -> None:
    door = engine("port", web.name, "8080/tcp").splitlines()[0]
    assert door.startswith("0.0.0.0:")
    port = int(door.rpartition(":")[2])

    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    assert eventually(ask) == "the-web\n"
    bindings = engine.inspect(web.name)["NetworkSettings"]["Ports"]["8080/tcp"]
    assert {each["HostPort"] for each in bindings} == {str(port)}
    assert f"0.0.0.0:{port}->8080/tcp" in engine("ps", "--filter", f"id={web.id}", "--format", "{{.Ports}}")
    assert engine.refused("port", web.name, "81").startswith("No public port '81")


def test_a_port_is_taken_once(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = engine.docker("run", "--rm", "-p", f"127.0.0.1:{port}:80", BASE, "true")
    assert done.code == 125
    assert "address already in use" in done.sentence or "port is already allocated" in done.sentence


def test_aliases_and_networks_that_come_and_go(engine: Engine, network: Network) -> None:
    one = engine.run()
    assert engine("network", "connect", "--alias", "other-name", network.name, one.name) == ""
    found = engine.inspect(one.name)["NetworkSettings"]["Networks"]
    assert set(found) == {"bridge", network.name}
    assert "other-name" in found[network.name]["Aliases"]
    out = engine("run", "--rm", "--network", network.name, BASE, "nslookup", "other-name")
    assert found[network.name]["IPAddress"] in out
    network.reload()
    assert one.id in network.attrs["Containers"]
    assert engine("network", "disconnect", network.name, one.name) == ""
    assert set(engine.inspect(one.name)["NetworkSettings"]["Networks"]) == {"bridge"}
    engine("rm", "-f", one.name)


def test_none_has_only_loopback_and_host_is_the_hosts(engine: Engine) -> None:
    assert engine("run", "--rm", "--network", "none", BASE, "ls", "/sys/class/net") == "lo"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = server.getsockname()[1]
        one = engine.run("nc", "127.0.0.1", str(port), network_mode="host")
        server.accept()[0].close()
    one.remove(force=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = engine.docker("run", "--rm", "--network", "none", BASE, "nc", "-w", "2", "127.0.0.1",
                             str(server.getsockname()[1]))
        assert done.code == 1


def test_one_container_in_anothers_network(engine: Engine) -> None:
    first = engine.run("sh", "-c", "echo hi | nc -lp 1234 127.0.0.1; sleep 60", network_mode="none")
    out = engine("run", "--rm", "--network", f"container:{first.name}", BASE, "sh", "-c",
                 "for i in 1 2 3 4 5 6 7 8 9; do nc -w 2 127.0.0.1 1234 </dev/null && break; sleep 0.2; done")
    assert out == "hi"
    engine("rm", "-f", first.name)


def test_networks_are_listed_inspected_and_refused(engine: Engine, network: Network, web: Container) -> None:
    names = engine("network", "ls", "--format", "{{.Name}} {{.Driver}}").splitlines()
    assert {"bridge bridge", "host host", "none null", f"{network.name} bridge"} <= set(names)
    assert engine("network", "ls", "-q", "--no-trunc", "--filter", f"label=suite={PREFIX}") == network.id
    found = engine.inspect(network.name, "network")
    [subnet] = found["IPAM"]["Config"]
    assert subnet["Subnet"].partition("/")[2] in ("16", "20")  # of 172.16.0.0/12, and then of 192.168.0.0/16
    assert found["Containers"][web.id]["Name"] == web.name
    engine.agree("keys", sorted(set(found) - {"EnableIPv4", "Status"}))
    engine.agree("flags", [found[key] for key in ("Driver", "Scope", "Internal", "Attachable", "Ingress", "EnableIPv6",
                                                  "Labels", "Options")])
    assert "has active endpoints" in engine.refused("network", "rm", network.name)
    assert engine.refused("network", "create", network.name) == f"network with name {network.name} already exists"
    assert "operation is not permitted on predefined bridge network" in engine.refused("network", "create", "bridge")
    assert "is a pre-defined network and cannot be removed" in engine.refused("network", "rm", "bridge")
    with pytest.raises(docker.errors.NotFound, match="network no-such not found"):
        engine.sdk.networks.get("no-such")
    made = engine("network", "create", "--subnet", "10.213.7.0/24", "--label", f"prune={PREFIX}", f"{PREFIX}-own")
    assert engine("run", "--rm", "--network", made, "--ip", "10.213.7.77", BASE, "hostname", "-i") == "10.213.7.77"
    out = engine("network", "prune", "-f", "--filter", f"label=prune={PREFIX}")
    assert out.splitlines() == ["Deleted Networks:", f"{PREFIX}-own"]


def test_hosts_and_resolv_conf(engine: Engine) -> None:
    lines = engine("run", "--rm", "-h", "me", "--add-host", "there:10.1.2.3", "--dns", "10.9.9.9", BASE, "sh", "-c",
                   "cat /etc/hosts; echo --; cat /etc/resolv.conf; cat /etc/hostname").splitlines()
    assert "10.1.2.3\tthere" in lines
    assert "127.0.0.1\tlocalhost" in lines
    assert any(line.endswith("\tme") for line in lines)
    assert "nameserver 10.9.9.9" in lines
    assert lines[-1] == "me"


# Volumes.


def test_a_volume_outlives_its_containers(engine: Engine) -> None:
    name = engine.named("kept")
    assert engine("volume", "create", "--label", f"suite={PREFIX}", name) == name
    engine("run", "--rm", "-v", f"{name}:/data", BASE, "sh", "-c", "echo kept > /data/f")
    assert engine("run", "--rm", "-v", f"{name}:/d:ro", BASE, "cat", "/d/f") == "kept"
    done = engine.docker("run", "--rm", "-v", f"{name}:/d:ro", BASE, "touch", "/d/x")
    assert (done.code, "Read-only file system" in done.err) == (1, True)
    found = engine.inspect(name, "volume")
    assert (found["Driver"], found["Scope"], found["Labels"]) == ("local", "local", {"suite": PREFIX})
    engine.agree("keys", sorted(found))
    assert engine("volume", "ls", "-q", "--filter", f"label=suite={PREFIX}") == name
    holder = engine("create", "-v", f"{name}:/data", "--label", LABEL, BASE)
    assert f"volume is in use - [{holder}]" in engine.refused("volume", "rm", name)
    engine("rm", holder)
    assert engine("volume", "rm", name) == name
    assert "no such volume" in engine.refused("volume", "inspect", name).lower()


def test_a_new_volume_begins_with_what_the_image_has_there(engine: Engine) -> None:
    name = engine.named("filled")
    assert engine("run", "--rm", "-v", f"{name}:/etc", BASE, "sh", "-c", "head -c 4 /etc/passwd") == "root"
    assert engine("run", "--rm", "-v", f"{name}:/v", BASE, "ls", "/v").split()[:1] == ["group"]
    engine("volume", "rm", name)


def test_directories_of_the_host(engine: Engine, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("from outside\n")
    place = f"{tmp_path}:/host"
    assert engine("run", "--rm", "-v", place, BASE, "sh", "-c", "cat /host/f; echo back > /host/g") == "from outside"
    assert (tmp_path / "g").read_text() == "back\n"
    mount = f"type=bind,source={tmp_path},target=/host,readonly"
    assert engine.docker("run", "--rm", "--mount", mount, BASE, "touch", "/host/h").code == 1
    assert "bind source path does not exist" in engine.refused(
        "run", "--rm", "--mount", f"type=bind,source={tmp_path}/none,target=/x", BASE, code=125)
    one = engine.run(volumes=[place])
    [found] = engine.inspect(one.name)["Mounts"]
    assert (found["Type"], found["Source"], found["Destination"], found["RW"]) == ("bind", str(tmp_path), "/host", True)
    engine("rm", "-f", one.name)


def test_tmpfs_and_a_read_only_root(engine: Engine) -> None:
    out = engine("run", "--rm", "--read-only", "--tmpfs", "/scratch", BASE, "sh", "-c",
                 "echo x > /scratch/f && cat /scratch/f; touch /new 2>&1 || true")
    assert out == "x\ntouch: /new: Read-only file system"


def test_anonymous_volumes_go_with_their_container(engine: Engine) -> None:
    label = f"anonymous={PREFIX}"
    one = engine("create", "-v", "/data", "--label", label, BASE)
    [mount] = engine.inspect(one)["Mounts"]
    assert (mount["Type"], len(mount["Name"]), mount["Destination"]) == ("volume", 64, "/data")
    other = engine("create", "--volumes-from", one, BASE)
    assert engine.inspect(other)["Mounts"][0]["Name"] == mount["Name"]
    engine("rm", other)
    engine("rm", "-v", one)
    assert engine.docker("volume", "inspect", mount["Name"]).code == 1
    two = engine("create", "-v", "/data", BASE)
    name = engine.inspect(two)["Mounts"][0]["Name"]
    engine("rm", two)  # without -v it stays
    assert json.loads(engine("volume", "inspect", name))[0]["Name"] == name
    engine("volume", "rm", name)
