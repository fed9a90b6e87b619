"""What a container is given: environment, files, addresses, resources.  Pure functions, and files on disk."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest

from kitlib.node.atomic_writer import File, write_files
from kitlib.node.context import AddressPool
from kitlib.node.env import Facts, command_line, environment, expand, service_environment
from kitlib.node.fields import ConfigError, field_value, resource_value
from kitlib.node.sandbox import Dns, hosts_file, resolver
from kitlib.node.starting import resources
from kitlib.node.volumes import Prepared, VolumeError, VolumeManager, mount_path, payload


class Objects:
    """ConfigMaps, Secrets, claims of one namespace."""

    def __init__(self) -> None:
        self.config_maps: dict[str, dict[str, Any]] = {"cm": {"data": {"COLOR": "blue", "file": "line\n"}}}
        self.secrets = {"sec": {"data": {"PASS": base64.b64encode(b"s3cret").decode()}}}
        self.volumes: dict[str, dict[str, Any]] = {}

    def config_map(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.config_maps.get(name)

    def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.secrets.get(name)

    def service_account_token(self, namespace: str, account: str, pod: Any, projection: Any) -> str:
        return f"token of {namespace}/{account} for {pod['metadata']['name']}"

    def persistent_volume(self, namespace: str, claim: str) -> dict[str, Any] | None:
        return self.volumes.get(claim)


def pod(*volumes: dict[str, Any], **container: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "d", "uid": "u", "labels": {"tier": "web", "app": 'x"y'}},
            "spec": {"nodeName": "n1", "serviceAccountName": "sa", "volumes": list(volumes),
                     "containers": [{"name": "c", "image": "busybox", **container}]}}


def env_of(facts: Facts | None = None, **container: Any) -> dict[str, str]:
    given = pod(**container)
    return environment(given, given["spec"]["containers"][0], Objects(), facts or Facts())


@pytest.mark.parametrize(("text", "expected"), [
    ("plain", "plain"), ("$(A)", "1"), ("x$(A)$(B)y", "x12y"), ("$(NOBODY)", "$(NOBODY)"), ("$$(A)", "$(A)"),
    ("$A", "$A"), ("$", "$"), ("$(A", "$(A"), ("$$$(A)", "$1")])
def test_references_are_filled_in(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_a_value_may_use_what_stands_before_it_but_not_what_comes_after() -> None:
    env = env_of(env=[{"name": "B", "value": "<$(A)>"}, {"name": "A", "value": "1"}, {"name": "C", "value": "<$(A)>"}])
    assert env == {"B": "<$(A)>", "A": "1", "C": "<1>"}


def test_env_from_takes_all_keys_and_env_wins_over_it() -> None:
    env = env_of(envFrom=[{"configMapRef": {"name": "cm"}}, {"prefix": "S_", "secretRef": {"name": "sec"}}],
                 env=[{"name": "COLOR", "value": "red"}])
    assert env == {"COLOR": "red", "file": "line\n", "S_PASS": "s3cret"}


@pytest.mark.parametrize(("source", "sentence"), [
    ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
    ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
    ({"configMapKeyRef": {"name": "cm", "key": "k"}}, "couldn't find key k in ConfigMap d/cm"),
    ({"secretKeyRef": {"name": "sec", "key": "k"}}, "couldn't find key k in Secret d/sec"),
    ({"fieldRef": {"fieldPath": "spec.nothing"}}, "unsupported fieldPath: spec.nothing")])
def test_a_reference_that_leads_nowhere_is_a_sentence(source: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("(", "\\(")):
        env_of(env=[{"name": "X", "valueFrom": source}])


def test_an_optional_reference_that_leads_nowhere_is_left_out() -> None:
    refs = [{"configMapKeyRef": {"name": "none", "key": "k", "optional": True}},
            {"secretKeyRef": {"name": "sec", "key": "k", "optional": True}}]
    assert env_of(env=[{"name": f"X{i}", "valueFrom": ref} for i, ref in enumerate(refs)],
                  envFrom=[{"configMapRef": {"name": "none", "optional": True}}]) == {}


def test_fields_and_resources_of_the_pod() -> None:
    given = pod(resources={"requests": {"cpu": "250m"}, "limits": {"memory": "64Mi", "cpu": "500m"}})
    container = given["spec"]["containers"][0]
    values = [field_value(given, p, "10.0.0.2", "192.0.2.1") for p in (
        "metadata.name", "metadata.labels['tier']", "spec.nodeName", "status.podIP", "status.hostIP")]
    assert values == ["p", "web", "n1", "10.0.0.2", "192.0.2.1"]
    assert field_value(given, "metadata.labels") == 'app="x\\"y"\ntier="web"'
    numbers = [resource_value(container, *args, {"memory": "8Gi"}) for args in (
        ("requests.cpu", "1m"), ("limits.cpu", ""), ("limits.memory", "1Mi"), ("requests.memory", ""))]
    assert numbers == ["250", "1", "64", "0"]
    assert resource_value({"resources": {}}, "limits.memory", "1Gi", {"memory": "8Gi"}) == "8"


def test_services_of_the_namespace_are_in_the_environment_and_kubernetes_always() -> None:
    def service(name: str, namespace: str, address: str, *ports: dict[str, Any]) -> dict[str, Any]:
        spec = {"clusterIP": address, "ports": list(ports)}
        return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}

    services = [service("kubernetes", "default", "10.0.0.1", {"name": "https", "port": 443}),
                service("my-svc", "d", "10.0.0.9", {"port": 80}, {"port": 53, "protocol": "UDP"}),
                service("other", "elsewhere", "10.0.0.8", {"port": 80}), service("headless", "d", "None", {"port": 80})]
    env = service_environment(services, "d")
    expected = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT_HTTPS": "443",
        "MY_SVC_SERVICE_HOST": "10.0.0.9", "MY_SVC_SERVICE_PORT": "80", "MY_SVC_PORT": "tcp://10.0.0.9:80",
        "MY_SVC_PORT_80_TCP_ADDR": "10.0.0.9", "MY_SVC_PORT_53_UDP": "udp://10.0.0.9:53"}
    assert {name: env[name] for name in expected} == expected
    assert not [name for name in env if name.startswith(("OTHER", "HEADLESS"))]
    assert not [name for name in service_environment(services, "d", links=False) if name.startswith("MY_SVC")]
    assert env_of(Facts(services=services), env=[{"name": "MY_SVC_PORT", "value": "mine"}])["MY_SVC_PORT"] == "mine"


def test_the_command_line_sees_the_environment() -> None:
    assert command_line({"command": ["echo", "$(A)"], "args": ["$(B)"]}, {"A": "1"}) == (["echo", "1"], ["$(B)"])


def test_requests_and_limits_as_the_kernel_has_them() -> None:
    asked = resources({"resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}})
    assert (asked.cpu_shares, asked.cpu_quota, asked.memory_limit_in_bytes) == (256, 50000, 64 << 20)
    assert resources({}).cpu_quota == 0


def files(directory: Path) -> dict[str, str]:
    return {str(p.relative_to(directory)): p.read_text() for p in sorted(directory.rglob("*"))
            if p.is_file() and not str(p.relative_to(directory)).startswith("..")}


def test_files_change_all_at_once_and_vanish_when_they_are_no_longer_wanted(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": File(b"1"), "sub/b": File(b"2", 0o600)})
    assert (tmp_path / "a").read_text() == "1"
    assert (tmp_path / "sub" / "b").read_text() == "2"
    first = (tmp_path / "..data").readlink()
    write_files(tmp_path, {"a": File(b"3")})
    assert (tmp_path / "a").read_text() == "3"
    assert not (tmp_path / "sub").exists()
    assert not (tmp_path / first).exists()
    assert re.fullmatch(r"\.\.\d{4}(_\d\d){5}\.\w+", os.readlink(tmp_path / "..data"))  # as a kubelet names it


def test_volumes_become_directories_with_the_right_files(tmp_path: Path) -> None:
    given = pod({"name": "cm", "configMap": {"name": "cm", "items": [{"key": "file", "path": "etc/f", "mode": 0o400}]}},
                {"name": "sec", "secret": {"secretName": "sec"}}, {"name": "tmp", "emptyDir": {}},
                {"name": "down", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                {"name": "all", "projected": {"sources": [
                    {"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "cm"}},
                    {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}})
    manager = VolumeManager(tmp_path, Objects())
    found = manager.prepare(given, Facts())
    assert (found["cm"].path / "etc" / "f").read_text() == "line\n"
    assert (found["cm"].path / "etc" / "f").stat().st_mode & 0o777 == 0o400
    assert (found["sec"].path / "PASS").read_text() == "s3cret"
    assert list(found["tmp"].path.iterdir()) == []
    assert (found["down"].path / "n").read_text() == "p"
    shown = {name: (found["all"].path / name).read_text() for name in ("token", "COLOR", "ns")}
    assert shown == {"token": "token of d/sa for p", "COLOR": "blue", "ns": "d"}
    assert {name: v.read_only for name, v in found.items()} == {
        "cm": True, "sec": True, "tmp": False, "down": True, "all": True}


def test_a_changed_config_map_changes_the_files_of_a_running_pod(tmp_path: Path) -> None:
    objects = Objects()
    given = pod({"name": "cm", "configMap": {"name": "cm"}})
    manager = VolumeManager(tmp_path, objects)
    place = manager.prepare(given, Facts())["cm"].path
    assert manager.refresh(given, Facts()) is False
    objects.config_maps["cm"] = {"data": {"COLOR": "red"}}
    assert manager.refresh(given, Facts()) is True
    assert files(place) == {"COLOR": "red"}
    del objects.config_maps["cm"]
    assert manager.refresh(given, Facts()) is False
    assert files(place) == {"COLOR": "red"}


def test_a_file_mounted_by_its_subpath_is_what_it_was_until_the_container_starts_anew(tmp_path: Path) -> None:
    objects = Objects()
    given = pod({"name": "cm", "configMap": {"name": "cm"}})
    manager = VolumeManager(tmp_path / "pod", objects)
    prepared, pin = manager.prepare(given, Facts())["cm"], tmp_path / "pod" / "volume-subpaths" / "cm" / "main" / "0"
    mounted = mount_path(prepared, {"subPath": "COLOR"}, {}, pin)
    assert (mounted, mounted.read_text()) == (pin, "blue")
    objects.config_maps["cm"] = {"data": {"COLOR": "red"}}
    assert manager.refresh(given, Facts()) is True
    assert mounted.read_text() == "blue"
    assert mount_path(prepared, {"subPath": "COLOR"}, {}, pin).read_text() == "red"
    assert mount_path(prepared, {}, {}, pin) == prepared.path
    disk = Prepared(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    assert mount_path(disk, {"subPath": "file"}, {}, pin) == tmp_path / "disk" / "file"  # shared, as it should be


@pytest.mark.parametrize(("volume", "sentence"), [
    ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
    ({"secret": {"secretName": "sec", "items": [{"key": "k", "path": "p"}]}}, "references non-existent secret key: k"),
    ({"hostPath": {"path": "/no/such/place", "type": "Directory"}}, "hostPath type check failed"),
    ({"persistentVolumeClaim": {"claimName": "none"}}, 'persistentvolumeclaim "none" is not bound'),
    ({"nfs": {"server": "s", "path": "/"}}, "volumes of type nfs are not available")])
def test_a_volume_that_cannot_be_set_up_says_which_and_why(tmp_path: Path, volume: dict[str, Any],
                                                           sentence: str) -> None:
    with pytest.raises(VolumeError, match=r'^MountVolume\.SetUp failed for volume "v" : ') as caught:
        VolumeManager(tmp_path, Objects()).prepare(pod({"name": "v", **volume}), Facts())
    assert sentence in str(caught.value)


def test_an_optional_source_that_is_missing_is_an_empty_directory(tmp_path: Path) -> None:
    volume = {"name": "v", "configMap": {"name": "none", "optional": True}}
    assert payload(pod(volume), volume, Objects(), Facts()) == {}


def test_a_claim_is_mounted_where_its_persistent_volume_lies(tmp_path: Path) -> None:
    objects = Objects()
    objects.volumes["data"] = {"metadata": {"name": "pv"}, "spec": {"hostPath": {"path": str(tmp_path / "disk")}}}
    given = pod({"name": "v", "persistentVolumeClaim": {"claimName": "data"}})
    prepared = VolumeManager(tmp_path / "pod", objects).prepare(given, Facts())["v"]
    assert prepared.path == tmp_path / "disk"
    assert mount_path(prepared, {"subPath": "inner"}, {}) == tmp_path / "disk" / "inner"
    assert mount_path(prepared, {"subPathExpr": "x-$(N)"}, {"N": "1"}) == tmp_path / "disk" / "x-1"
    with pytest.raises(ConfigError):
        mount_path(prepared, {"subPath": "../out"}, {})


def test_addresses_are_handed_out_in_turn_and_not_reused_at_once() -> None:
    pool = AddressPool("10.0.0.0/29")
    assert [pool.allocate(o) for o in ("a", "b", "a")] == ["10.0.0.2", "10.0.0.3", "10.0.0.2"]
    pool.release("a")
    assert [pool.allocate(o) for o in ("c", "d", "e", "f")] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]
    with pytest.raises(OSError, match="no free address"):
        pool.allocate("g")


def test_names_are_resolved_by_the_clusters_dns_unless_the_pod_says_otherwise() -> None:
    dns = Dns(servers=["10.0.0.10"], host_servers=["192.0.2.53"], host_searches=["example.org"])
    given = pod()
    assert resolver(given, dns) == (
        ("10.0.0.10",), ("d.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"), ("ndots:5",))
    given["spec"]["dnsPolicy"] = "Default"
    assert resolver(given, dns) == (("192.0.2.53",), ("example.org",), ())
    given["spec"] |= {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.2.3.4"], "searches": ["a.b"],
                                                         "options": [{"name": "ndots", "value": "2"}]}}
    assert resolver(given, dns) == (("1.2.3.4",), ("a.b",), ("ndots:2",))


def test_the_hosts_file_knows_the_pod_its_subdomain_and_its_aliases() -> None:
    given = pod()
    aliases = [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]
    given["spec"] |= {"hostname": "db-0", "subdomain": "db", "hostAliases": aliases}
    lines = hosts_file(given, "10.0.0.2", Dns()).splitlines()
    assert "10.0.0.2\tdb-0.db.d.svc.cluster.local\tdb-0" in lines
    assert "1.2.3.4\ta\tb" in lines
