"""The official `kubernetes` client, further: streams both ways, dynamic client, custom objects, watches, YAML files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream
from support import SIMULATED, Kubectl, busybox, deployment, eventually, pod

from kitlib.cluster.embedded import EmbeddedCluster

SLEEP = busybox("sleep 600")


@pytest.fixture
def api(cluster: EmbeddedCluster) -> Iterator[client.ApiClient]:
    connection = config.new_client_from_config(str(cluster.kubeconfig))
    yield connection
    connection.close()


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


@pytest.fixture
def namespace(kubectl: Kubectl) -> str:
    return kubectl.namespace


def configmap(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data or None)


def start(core: client.CoreV1Api, namespace: str, manifest: dict[str, Any]) -> None:
    name = manifest["metadata"]["name"]
    core.create_namespaced_pod(namespace, manifest)

    def ready() -> bool:
        conditions = core.read_namespaced_pod(name, namespace).status.conditions or []
        return any(each.type == "Ready" and each.status == "True" for each in conditions)

    eventually(ready, within=60)


def test_exec_both_ways_with_an_exit_code(api: client.ApiClient, core: client.CoreV1Api, namespace: str) -> None:
    start(core, namespace, pod("web", SLEEP))
    talk = stream(core.connect_get_namespaced_pod_exec, "web", namespace, command=["sh"], stdin=True, stdout=True,
                  stderr=True, tty=False, _preload_content=False)
    talk.write_stdin("echo to out; echo to err >&2\n")
    assert talk.readline_stdout(timeout=20) == "to out"
    assert talk.readline_stderr(timeout=20) == "to err"
    talk.write_stdin("exit 4\n")
    talk.run_forever(timeout=20)
    assert talk.returncode == 4
    talk.close()


def test_exec_on_a_terminal_that_is_resized(core: client.CoreV1Api, namespace: str) -> None:
    start(core, namespace, pod("web", SLEEP))
    talk = stream(core.connect_get_namespaced_pod_exec, "web", namespace, command=["sh"], stdin=True, stdout=True,
                  stderr=False, tty=True, _preload_content=False)
    talk.write_channel(4, json.dumps({"Width": 133, "Height": 44}))
    seen = ""
    deadline = time.monotonic() + 20
    while "44 133" not in seen and time.monotonic() < deadline:
        talk.write_stdin("stty size\n")
        talk.update(timeout=0.3)
        if talk.peek_stdout():
            seen += talk.read_stdout()
    talk.close()
    assert "44 133" in seen


def test_port_forward_as_a_socket(core: client.CoreV1Api, namespace: str) -> None:
    echo = {"name": "main", "image": "kit/echo", "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}
    start(core, namespace, pod("web", echo))
    forward = portforward(core.connect_get_namespaced_pod_portforward, "web", namespace, ports="8080")
    connection = forward.socket(8080)
    connection.settimeout(10)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
    answer = b""
    while piece := connection.recv(4096):
        answer += piece
    assert forward.error(8080) is None
    assert answer.startswith(b"HTTP/1.")
    assert b"web" in answer


def test_logs_as_a_stream(core: client.CoreV1Api, namespace: str) -> None:
    start(core, namespace, pod("web", busybox("for i in 1 2 3; do echo line $i; sleep 0.3; done; sleep 600")))
    lines = []
    for line in watch.Watch().stream(core.read_namespaced_pod_log, "web", namespace):
        lines.append(line)
        if len(lines) == 3:
            break
    assert lines == ["line 1", "line 2", "line 3"]


def test_lists_come_in_pages(core: client.CoreV1Api, namespace: str) -> None:
    for number in range(7):
        core.create_namespaced_config_map(namespace, configmap(f"page-{number}", n=str(number)))
    names: list[str] = []
    following, pages = None, 0
    while following != "":
        page = core.list_namespaced_config_map(namespace, limit=3, _continue=following)
        names += [each.metadata.name for each in page.items]
        following, pages = page.metadata._continue or "", pages + 1
    assert [name for name in names if name.startswith("page-")] == [f"page-{number}" for number in range(7)]
    assert pages >= 3


def test_a_watch_goes_on_where_the_last_one_ended(core: client.CoreV1Api, namespace: str) -> None:
    watcher = watch.Watch()
    core.create_namespaced_config_map(namespace, configmap("one"))
    first = [event["object"].metadata.name for event in
             watcher.stream(core.list_namespaced_config_map, namespace, timeout_seconds=1)]
    assert "one" in first
    core.create_namespaced_config_map(namespace, configmap("two"))
    second = [event["object"].metadata.name for event in
              watcher.stream(core.list_namespaced_config_map, namespace, timeout_seconds=1,
                             resource_version=watcher.resource_version)]
    assert second == ["two"]


def test_a_watch_sees_another_clients_writes(core: client.CoreV1Api, namespace: str) -> None:
    seen: list[tuple[str, str]] = []
    started = threading.Event()

    def follow() -> None:
        for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=20):
            started.set()
            found = event["object"]
            seen.append((event["type"], (found.data or {}).get("step", "")))
            if event["type"] == "DELETED":
                return

    core.create_namespaced_config_map(namespace, configmap("there", step="0"))
    thread = threading.Thread(target=follow)
    thread.start()
    assert started.wait(20)
    core.patch_namespaced_config_map("there", namespace, {"data": {"step": "1"}})
    core.delete_namespaced_config_map("there", namespace)
    thread.join(20)
    assert [each for each in seen if each[1]] == [("ADDED", "0"), ("MODIFIED", "1"), ("DELETED", "1")]


def test_a_lost_update_is_a_conflict_and_can_be_tried_again(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, configmap("counter", n="0"))
    stale = core.read_namespaced_config_map("counter", namespace)
    core.patch_namespaced_config_map("counter", namespace, {"data": {"n": "1"}})
    stale.data["n"] = "2"
    with pytest.raises(ApiException) as refused:
        core.replace_namespaced_config_map("counter", namespace, stale)
    assert (refused.value.status, json.loads(refused.value.body)["reason"]) == (409, "Conflict")
    fresh = core.read_namespaced_config_map("counter", namespace)
    fresh.data["n"] = "2"
    assert core.replace_namespaced_config_map("counter", namespace, fresh).data == {"n": "2"}


def test_typed_models_survive_the_round_trip(api: client.ApiClient, namespace: str) -> None:
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment(namespace, deployment("web", 2, SLEEP, **SIMULATED))
    eventually(lambda: apps.read_namespaced_deployment("web", namespace).status.ready_replicas == 2)
    found = apps.read_namespaced_deployment("web", namespace)
    assert found.metadata.creation_timestamp.tzinfo is not None
    assert found.spec.strategy.rolling_update.max_surge == "25%"
    found.spec.replicas = 0
    apps.replace_namespaced_deployment_scale(
        "web", namespace, client.V1Scale(metadata=client.V1ObjectMeta(name="web", namespace=namespace),
                                         spec=client.V1ScaleSpec(replicas=3)))
    assert apps.read_namespaced_deployment_scale("web", namespace).spec.replicas == 3


def test_deleting_a_collection(core: client.CoreV1Api, namespace: str) -> None:
    for name in ("a", "b"):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name, "labels": {"set": "one"}}})
    core.create_namespaced_config_map(namespace, configmap("c"))
    core.delete_collection_namespaced_config_map(namespace, label_selector="set=one")
    names = {each.metadata.name for each in core.list_namespaced_config_map(namespace).items}
    assert "c" in names
    assert not names & {"a", "b"}


def test_yaml_files_are_created_all_or_with_a_list_of_failures(api: client.ApiClient, namespace: str,
                                                               tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    documents = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "from-file"}},
                 deployment("from-file", 0, SLEEP)]
    file.write_text("\n---\n".join(map(json.dumps, documents)))
    made = utils.create_from_yaml(api, str(file), namespace=namespace)
    assert [each[0].metadata.name for each in made] == ["from-file", "from-file"]
    with pytest.raises(utils.FailToCreateError, match="AlreadyExists"):
        utils.create_from_yaml(api, str(file), namespace=namespace)


@pytest.fixture
def boats(api: client.ApiClient, kubectl: Kubectl) -> Iterator[str]:
    """A custom kind of its own for each test; its group."""
    group = f"{kubectl.namespace}.example"
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"sails": {"type": "integer", "default": 2, "maximum": 9}}},
        "status": {"type": "object", "properties": {"afloat": {"type": "boolean"}}}}}
    definitions = client.ApiextensionsV1Api(api)
    definitions.create_custom_resource_definition({
        "metadata": {"name": f"boats.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                               "schema": {"openAPIV3Schema": schema}}]}})
    eventually(lambda: any(each.type == "Established" and each.status == "True" for each in
                           definitions.read_custom_resource_definition(f"boats.{group}").status.conditions or ()))
    yield group
    definitions.delete_custom_resource_definition(f"boats.{group}")


def test_custom_objects(api: client.ApiClient, namespace: str, boats: str) -> None:
    custom, where = client.CustomObjectsApi(api), (boats, "v1", namespace, "boats")
    made = custom.create_namespaced_custom_object(*where, {"apiVersion": f"{boats}/v1", "kind": "Boat",
                                                           "metadata": {"name": "argo"}, "spec": {"oars": 50}})
    assert made["spec"] == {"sails": 2}  # pruned, and with its default
    custom.patch_namespaced_custom_object_status(*where, "argo", {"status": {"afloat": True}})
    custom.patch_namespaced_custom_object(*where, "argo", {"spec": {"sails": 3}, "status": {"afloat": False}})
    found = custom.get_namespaced_custom_object(*where, "argo")
    assert (found["spec"], found["status"], found["metadata"]["generation"]) == ({"sails": 3}, {"afloat": True}, 2)
    with pytest.raises(ApiException) as refused:
        custom.patch_namespaced_custom_object(*where, "argo", {"spec": {"sails": 10}})
    assert "should be less than or equal to 9" in refused.value.body
    custom.delete_namespaced_custom_object(*where, "argo")
    assert custom.list_namespaced_custom_object(*where)["items"] == []


@pytest.fixture
def anything(api: client.ApiClient, tmp_path: Path) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))


def test_the_dynamic_client_does_all_verbs(anything: dynamic.DynamicClient, namespace: str) -> None:
    maps = anything.resources.get(api_version="v1", kind="ConfigMap")
    made = maps.create(namespace=namespace, body={"metadata": {"name": "one", "labels": {"a": "b"}},
                                                  "data": {"n": "1"}})
    assert made.data.n == "1"
    assert maps.patch(namespace=namespace, name="one", body={"data": {"n": "2"}},
                      content_type="application/merge-patch+json").data.n == "2"
    made = maps.get(namespace=namespace, name="one")
    made.data.n = "3"
    assert maps.replace(namespace=namespace, body=made.to_dict()).data.n == "3"
    assert [each.metadata.name for each in maps.get(namespace=namespace, label_selector="a=b").items] == ["one"]
    assert maps.delete(namespace=namespace, name="one").status == "Success"
    with pytest.raises(dynamic.exceptions.NotFoundError):
        maps.get(namespace=namespace, name="one")


def test_the_dynamic_client_applies_on_the_server(anything: dynamic.DynamicClient, namespace: str) -> None:
    maps = anything.resources.get(api_version="v1", kind="ConfigMap")
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"n": "1", "m": "1"}}
    maps.server_side_apply(namespace=namespace, body=manifest, field_manager="first")
    with pytest.raises(dynamic.exceptions.ConflictError):
        maps.server_side_apply(namespace=namespace, body={**manifest, "data": {"n": "2"}}, field_manager="second")
    maps.server_side_apply(namespace=namespace, body={**manifest, "data": {"n": "2"}}, field_manager="second",
                           force_conflicts=True)
    found = maps.server_side_apply(namespace=namespace, body={**manifest, "data": {}}, field_manager="first")
    assert found.data.to_dict() == {"n": "2"}


def test_the_dynamic_client_watches_custom_kinds(anything: dynamic.DynamicClient, namespace: str, boats: str) -> None:
    found = anything.resources.get(api_version=f"{boats}/v1", kind="Boat")
    for name in ("argo", "dory"):
        found.create(namespace=namespace, body={"apiVersion": f"{boats}/v1", "kind": "Boat",
                                                "metadata": {"name": name}})
    found.status.patch(namespace=namespace, name="argo", body={"status": {"afloat": True}},
                       content_type="application/merge-patch+json")
    seen = [(event["type"], event["object"].metadata.name) for event in found.watch(namespace=namespace, timeout=1)]
    assert sorted(seen) == [("ADDED", "argo"), ("ADDED", "dory")]
    assert found.get(namespace=namespace, name="argo").status.afloat is True


def test_the_dynamic_client_knows_every_kind_of_the_server(anything: dynamic.DynamicClient) -> None:
    for version, kind in (("v1", "Pod"), ("apps/v1", "StatefulSet"), ("batch/v1", "CronJob"),
                          ("rbac.authorization.k8s.io/v1", "ClusterRole"), ("storage.k8s.io/v1", "StorageClass"),
                          ("autoscaling/v2", "HorizontalPodAutoscaler"), ("v1", "PodList")):
        assert anything.resources.get(api_version=version, kind=kind).kind == kind


def test_a_serviceaccount_gets_what_rbac_grants_and_no_more(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={kubectl.namespace}:robot")
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = cluster.server, str(cluster.directory.pki / "ca.crt")
    settings.api_key = {"authorization": "Bearer " + kubectl("create", "token", "robot").strip()}
    with client.ApiClient(settings) as connection:
        robot = client.CoreV1Api(connection)
        assert robot.list_namespaced_config_map(kubectl.namespace).items
        for forbidden in (robot.list_config_map_for_all_namespaces,
                          lambda: robot.list_namespaced_secret(kubectl.namespace),
                          lambda: robot.create_namespaced_config_map(kubectl.namespace, configmap("mine"))):
            with pytest.raises(ApiException) as refused:
                forbidden()
            assert refused.value.status == 403
