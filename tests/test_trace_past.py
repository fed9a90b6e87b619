"""The cluster as it was at a revision: what there was then, not what is now."""

from __future__ import annotations

import pytest
from support import Kubectl

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.objects.errors import StatusError
from kitlib.trace import past


def revision(obj: dict) -> int:
    return int(obj["metadata"]["resourceVersion"])


def test_what_was_changed_and_deleted_is_seen_as_it_was(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    client = cluster.client()
    first = revision(client.create("configmaps", kubectl.namespace, {"metadata": {"name": "cm"}, "data": {"a": "old"}}))
    second = revision(client.patch("configmaps", kubectl.namespace, "cm", {"data": {"a": "new", "b": "x"}}))
    client.delete("configmaps", kubectl.namespace, "cm")
    with pytest.raises(StatusError):
        client.get("configmaps", kubectl.namespace, "cm")
    seen = [past.objects(client, at, kubectl.namespace, ("configmaps",), "cm") for at in (first, second)]
    assert [found["data"] for (found,) in seen] == [{"a": "old"}, {"a": "new", "b": "x"}]
    assert [(found["apiVersion"], found["kind"]) for (found,) in seen] == [("v1", "ConfigMap")] * 2
    assert past.objects(client, past.now(client), kubectl.namespace, ("configmaps",), "cm") == []


def test_the_table_is_kubectls_without_the_age(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    client = cluster.client()
    at = revision(client.create("configmaps", kubectl.namespace, {"metadata": {"name": "cm"}, "data": {"a": "1"}}))
    assert str(past.look(client, at, kubectl.namespace, past.resources_of("cm"), "cm")) == (
        f"configmaps at revision {at}\nNAME   DATA\ncm     1")
    assert str(past.look(client, at - 1, kubectl.namespace, ("configmaps",), "cm")) == ""


def test_the_future_is_refused_in_the_servers_words(cluster: EmbeddedCluster, kubectl: Kubectl) -> None:
    with pytest.raises(StatusError, match="Too large resource version"):
        past.look(cluster.client(), past.now(cluster.client()) + 1_000_000, kubectl.namespace)


def test_short_names_are_kubectls() -> None:
    assert past.resources_of("po, rs,things.example.com") == ("pods", "replicasets.apps", "things.example.com")
