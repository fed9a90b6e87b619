"""The chain of causes: followed back to a person, honest where it breaks."""

from __future__ import annotations

from typing import Any

import pytest
from support import Kubectl, busybox, deployment, eventually

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.objects.errors import StatusError
from kitlib.trace.record import Record
from kitlib.trace.why import chain, fetch


def record(revision: int, actor: str, verb: str, resource: str, name: str, cause: int = 0, subresource: str = "",
           **changes: list[Any]) -> Record:
    return Record(revision, float(revision), actor, verb, resource, "default", name, name, "", subresource, cause,
                  changes)


STORY = [
    record(40, "kubectl", "create", "deployments.apps", "web", wanted=[None, 1]),
    record(41, "kube-controller-manager/deployment", "create", "replicasets.apps", "web-1", 40, wanted=[None, 1]),
    record(42, "kubectl", "create", "configmaps", "other"),
    record(43, "kube-controller-manager/replicaset", "create", "pods", "web-1-x", 41),
    record(44, "kube-scheduler", "create", "pods", "web-1-x", 43, "binding", node=[None, "node-2"]),
]


def test_the_chain_goes_back_to_the_person_who_began_it() -> None:
    found = chain(STORY, "pod/web-1-x", "default")
    assert [link.record.revision for link in found.links] == [40, 41, 43, 44]
    assert str(found).splitlines() == [
        "@40     kubectl                             creates Deployment web (replicas: 1)",
        "@41     kube-controller-manager/deployment    creates ReplicaSet web-1 (replicas: 1)",
        "@43     kube-controller-manager/replicaset      creates Pod web-1-x",
        "@44     kube-scheduler                            assigns Pod web-1-x to node-2"]


def test_a_pod_that_is_gone_is_still_explained() -> None:
    gone = [*STORY, record(50, "kubectl", "update", "deployments.apps", "web", wanted=[1, 0]),
            record(51, "kube-controller-manager/deployment", "update", "replicasets.apps", "web-1", 50, wanted=[1, 0]),
            record(52, "kube-controller-manager/replicaset", "delete", "pods", "web-1-x", 51, exists=[True, False])]
    assert [link.text for link in chain(gone, "pod/web-1-x", "default").links] == [
        "scales Deployment web: 1 → 0", "scales ReplicaSet web-1: 1 → 0", "removes Pod web-1-x from the store"]


def test_a_cause_without_a_record_is_said_to_be_lost() -> None:
    found = chain([record(9, "kube-controller-manager/podgc", "delete", "pods", "p", 7, exists=[True, False])], "pod/p",
                  "default")
    assert (found.lost, len(found.links)) == (7, 1)
    assert str(found).startswith("@7      …")


def test_of_an_unknown_object_nothing_is_known() -> None:
    assert chain(STORY, "pod/none", "default").links == ()


def test_on_a_cluster_with_causes_the_whole_chain_is_there(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, busybox("exec sleep 1000")))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    (pod,) = kubectl.get("pods")["items"]
    name = pod["metadata"]["name"]

    def actors() -> list[str]:
        found = fetch(cluster.client(), f"pod/{name}", kubectl.namespace)
        return list(dict.fromkeys(link.record.actor for link in found.links))

    node = pod["spec"]["nodeName"]
    assert eventually(lambda: len(actors()) == 5 and actors())[1:] == [
        "kube-controller-manager/deployment", "kube-controller-manager/replicaset", "kube-scheduler", f"kubelet/{node}"]
    assert actors()[0].startswith("kubectl")


def test_a_foreign_cluster_says_that_the_order_is_a_guess() -> None:
    class Foreign:
        class transport:
            @staticmethod
            def request(*_: Any, **__: Any) -> Any:
                raise StatusError(404, "NotFound", "no such path")

        @staticmethod
        def get(*_: Any) -> Any:
            then = "2026-01-01T00:00:00Z"
            meta = {"name": "p", "uid": "u", "namespace": "default", "creationTimestamp": then}
            return {"metadata": {**meta, "managedFields": [{"manager": "kubectl-run", "time": then}]}, "spec": {},
                    "status": {}}

    found = fetch(Foreign, "pod/p", "default")
    assert found.guessed
    assert str(found).splitlines()[0].split()[1:] == ["kubectl-run", "creates", "Pod", "p"]
    with pytest.raises(StatusError):
        fetch(type("Refuses", (Foreign,), {"get": Foreign.transport.request}), "pod/p", "default")
