"""The official `kubernetes` Python client, unmodified, on an embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client, config, dynamic, stream, watch
from kubernetes.client.rest import ApiException
from support import SIMULATED, Kubectl, busybox, eventually, pod, replica_set

from kitlib.cluster.embedded import EmbeddedCluster


@pytest.fixture
def api(cluster: EmbeddedCluster) -> Iterator[client.ApiClient]:
    connection = config.new_client_from_config(str(cluster.kubeconfig))
    yield connection
    connection.close()


def test_it_reads_typed_objects(api: client.ApiClient) -> None:
    nodes = client.CoreV1Api(api).list_node().items
    assert [c.status for n in nodes for c in n.status.conditions if c.type == "Ready"] == ["True"] * 5


def test_it_creates_scales_and_deletes_a_replicaset(api: client.ApiClient, kubectl: Kubectl) -> None:
    apps, namespace = client.AppsV1Api(api), kubectl.namespace
    apps.create_namespaced_replica_set(namespace, replica_set("web", 1, busybox("sleep 600"), **SIMULATED))
    apps.patch_namespaced_replica_set_scale("web", namespace, {"spec": {"replicas": 4}})
    eventually(lambda: apps.read_namespaced_replica_set("web", namespace).status.ready_replicas == 4)
    apps.delete_namespaced_replica_set("web", namespace)
    eventually(lambda: not client.CoreV1Api(api).list_namespaced_pod(namespace).items)


def test_it_watches_from_a_list_on(api: client.ApiClient, kubectl: Kubectl) -> None:
    core, namespace = client.CoreV1Api(api), kubectl.namespace
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    for name in ("a", "b"):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name}})
    core.delete_namespaced_config_map("a", namespace)
    seen = []
    for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version=start,
                                      timeout_seconds=10):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 3:
            break
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


def test_a_refusal_is_an_api_exception_with_the_status(api: client.ApiClient, kubectl: Kubectl) -> None:
    with pytest.raises(ApiException) as refused:
        client.CoreV1Api(api).read_namespaced_pod("nobody", kubectl.namespace)
    assert refused.value.status == 404
    assert '"reason":"NotFound"' in refused.value.body.replace(" ", "")


def test_the_dynamic_client_finds_its_way_by_discovery(api: client.ApiClient, kubectl: Kubectl) -> None:
    found = dynamic.DynamicClient(api).resources.get(api_version="apps/v1", kind="Deployment")
    assert found.get(namespace=kubectl.namespace).items == []


def test_it_executes_in_a_pod_and_reads_logs(api: client.ApiClient, kubectl: Kubectl) -> None:
    core, namespace = client.CoreV1Api(api), kubectl.namespace
    core.create_namespaced_pod(namespace, pod("web", busybox("echo started; sleep 600")))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    eventually(lambda: core.read_namespaced_pod_log("web", namespace) == "started\n")
    answer = stream.stream(core.connect_get_namespaced_pod_exec, "web", namespace, command=["echo", "hello"],
                           stdout=True, stderr=True, stdin=False, tty=False)
    assert answer == "hello\n"


def test_it_logs_in_with_the_token_alone(cluster: EmbeddedCluster) -> None:
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = cluster.server, str(cluster.directory.pki / "ca.crt")
    settings.api_key = {"authorization": "Bearer " + cluster.directory.read_config()["token"]}
    with client.ApiClient(settings) as connection:
        review = client.AuthenticationV1Api(connection).create_self_subject_review({})
    assert review.status.user_info.username == "kubernetes-admin"


def test_it_logs_in_with_the_certificate_alone(cluster: EmbeddedCluster) -> None:
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = cluster.server, str(cluster.directory.pki / "ca.crt")
    settings.cert_file = str(cluster.directory.pki / "admin.crt")
    settings.key_file = str(cluster.directory.pki / "admin.key")
    with client.ApiClient(settings) as connection:
        review = client.AuthenticationV1Api(connection).create_self_subject_review({})
    assert "system:masters" in review.status.user_info.groups


def test_without_a_login_there_is_nothing_to_see(cluster: EmbeddedCluster) -> None:
    settings = client.Configuration()
    settings.host, settings.ssl_ca_cert = cluster.server, str(cluster.directory.pki / "ca.crt")
    with client.ApiClient(settings) as connection, pytest.raises(ApiException) as refused:
        client.CoreV1Api(connection).list_node()
    assert refused.value.status in (401, 403)
