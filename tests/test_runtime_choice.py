"""Which runtime a cluster has: asked for, remembered, and, where it cannot be, why in one sentence."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable

import pytest

from kitlib.cli import doctor
from kitlib.cli.clusters import _settings
from kitlib.cluster.embedded import EmbeddedCluster, node_kind
from kitlib.cluster.errors import CannotStart, UsageError
from kitlib.cluster.interface import Settings
from kitlib.runtime.oci import available


def test_where_oci_is_not_possible_one_sentence_says_why(new_cluster: Callable[..., EmbeddedCluster],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "why_not", lambda: "it needs root")
    cluster = new_cluster()
    with pytest.raises(CannotStart, match=r"^The runtime oci is not possible here: it needs root\.$"):
        cluster.start(Settings(runtime="oci"))
    assert not cluster.directory.is_running()
    finding = doctor._real_containers()
    assert (finding.ok, finding.detail) == (False, "it needs root")
    assert "watched, not enforced" in finding.cost


@pytest.mark.parametrize(("made", "wanted"), [("process", "oci"), ("oci", "process")])
def test_a_cluster_keeps_the_runtime_it_was_made_with(new_cluster: Callable[..., EmbeddedCluster], made: str,
                                                      wanted: str) -> None:
    cluster = new_cluster()
    cluster.directory.create()
    cluster.directory.config.write_text(json.dumps({"name": "one", "runtime": made}))
    with pytest.raises(UsageError, match=f"was made with the runtime {made} and keeps it"):
        cluster.start(Settings(runtime=wanted))


def test_what_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(available, "runtime_program", lambda: "")
    assert available.lacks() == "there is no runc and no crun (Debian: apt-get install runc)"
    monkeypatch.setattr(available, "runtime_program", lambda: "/usr/sbin/runc")
    monkeypatch.setattr(available, "cni_directory", lambda: "")
    assert "containernetworking-plugins" in available.lacks()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert available.lacks() == "it needs root"


def asked(cluster: EmbeddedCluster, **more: object) -> Settings | None:
    usual = {"nodes": None, "simulated_nodes": None, "port": None, "audit": None, "ephemeral": False, "bare": False,
             "parent_pid": 0, "runtime": "auto", "proxy_mode": None}
    return _settings(argparse.Namespace(**{**usual, **more}), cluster)


def test_a_simulated_cluster_has_no_nodes_that_run_anything(new_cluster: Callable[..., EmbeddedCluster]) -> None:
    found = asked(new_cluster(), runtime="simulated")
    assert found is not None
    assert (found.nodes, found.simulated_nodes, found.runtime) == (0, 3, "auto")
    with pytest.raises(UsageError, match="--simulated-nodes"):
        asked(new_cluster(), runtime="simulated", nodes=2)
    assert asked(new_cluster()) is None


def test_a_nodes_kind_is_its_runtime() -> None:
    labelled = {"metadata": {"labels": {"kit/runtime": "oci"}}}
    assert node_kind(labelled) == "oci"
    assert node_kind({"metadata": {"annotations": {"kwok.x-k8s.io/node": "fake"}}}) == "simulated"
