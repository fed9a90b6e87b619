"""`kit up --audit`: the log of a running cluster."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from support import Kubectl

from kitlib.cluster.auditlog import AuditLog
from kitlib.cluster.home import ClusterDir


def kit(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kitlib.cli.main", *arguments], capture_output=True, text=True,
                          check=False, env={**os.environ, "KIT_HOME": str(home)})


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_kubectl_does_is_in_the_audit_log_until_it_is_switched_off(tmp_path: Path) -> None:
    directory = ClusterDir("one", tmp_path)
    try:
        assert kit(tmp_path, "up", "--name", "one", "--nodes", "0", "--audit").returncode == 0
        kubectl = Kubectl(directory.kubeconfig, "default", tmp_path / "cache")
        kubectl("create", "configmap", "a", "--from-literal=k=v")
        kubectl("get", "configmap", "a")
        kubectl("create", "secret", "generic", "s", "--from-literal=password=opensesame")
        told = [event for event in events(directory.audit) if event["userAgent"].startswith("kubectl/")]
        about = [(e["verb"], e["objectRef"]["resource"], e["level"], e["responseStatus"]["code"]) for e in told
                 if e.get("objectRef", {}).get("name") in ("a", "s")]
        assert about == [("create", "configmaps", "RequestResponse", 201), ("get", "configmaps", "Metadata", 200),
                         ("create", "secrets", "Metadata", 201)]
        assert [e["requestObject"]["data"] for e in told if "requestObject" in e] == [{"k": "v"}]
        assert "opensesame" not in directory.audit.read_text()
        assert all((e["kind"], e["apiVersion"]) == ("Event", "audit.k8s.io/v1") for e in told)
        assert stat.S_IMODE(directory.audit.stat().st_mode) == 0o600
        refused = kit(tmp_path, "up", "--name", "one", "--no-audit")
        assert "with an audit log" in refused.stderr

        kit(tmp_path, "down", "--name", "one")
        kit(tmp_path, "up", "--name", "one")
        assert directory.read_state()["audit"] is True

        kit(tmp_path, "down", "--name", "one")
        kit(tmp_path, "up", "--name", "one", "--no-audit")
        lines = len(events(directory.audit))
        kubectl("get", "configmap", "a")
        assert len(events(directory.audit)) == lines
    finally:
        kit(tmp_path, "down", "--name", "one", "--delete")


def test_the_audit_log_keeps_one_older_file_and_never_grows_beyond_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path, limit=1000)
    for number in range(200):
        log.write({"number": number, "padding": "x" * 50})
    log.close()
    older = path.with_name("audit.log.1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audit.log", "audit.log.1"]
    assert max(path.stat().st_size, older.stat().st_size) <= 1000
    numbers = [event["number"] for file in (older, path) for event in events(file)]
    assert numbers == list(range(numbers[0], 200))


def test_an_audit_log_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    for number in (1, 2):
        log = AuditLog(path)
        log.write({"number": number})
        log.close()
    assert [event["number"] for event in events(path)] == [1, 2]
