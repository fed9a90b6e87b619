"""Stock kubectl asks: who am I, what may I, what is there, what does this field mean, what has happened."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support import SIMULATED, Kubectl, busybox, deployment, eventually, pod

SLEEP = busybox("sleep 600")


def test_auth_whoami(kubectl: Kubectl) -> None:
    found = json.loads(kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert (found["username"], set(found["groups"])) == ("kubernetes-admin", {"system:masters",
                                                                              "system:authenticated"})


def test_auth_can_i_answers_by_word_and_exit_code(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "delete", "nodes") == "yes\n" or "Warning" in kubectl("auth", "can-i", "*", "*")
    kubectl("create", "serviceaccount", "robot")
    robot = f"--as=system:serviceaccount:{kubectl.namespace}:robot"
    refused = kubectl.run("auth", "can-i", "list", "pods", robot)
    assert (refused.returncode, refused.stdout) == (1, "no\n")
    kubectl("create", "role", "reader", "--verb=list", "--resource=pods")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={kubectl.namespace}:robot")
    assert kubectl("auth", "can-i", "list", "pods", robot) == "yes\n"
    assert kubectl.run("auth", "can-i", "list", "pods", robot, "--subresource=log").stdout == "no\n"


def test_auth_can_i_lists_what_a_role_grants(kubectl: Kubectl) -> None:
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=deployments.apps")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--user=anna")
    rows = [row.split() for row in kubectl("auth", "can-i", "--list", "--as=anna").splitlines()]
    assert ["deployments.apps", "[]", "[]", "[get", "list]"] in rows


def test_auth_reconcile_makes_roles_as_written(kubectl: Kubectl) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "reader", "namespace": kubectl.namespace},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    for expected in ("reconciled", "reconciled"):
        assert expected in kubectl("auth", "reconcile", "-f", "-", stdin=role)
    assert kubectl.get("role", "reader")["rules"] == role["rules"]


def test_who_may_nothing_is_told_what_he_may_not(kubectl: Kubectl) -> None:
    done = kubectl.run("get", "pods", "--as=anna")
    assert done.returncode == 1
    assert done.stderr == (
        'Error from server (Forbidden): pods is forbidden: User "anna" cannot list resource "pods" in API group "" '
        f'in the namespace "{kubectl.namespace}"\n')


@pytest.mark.parametrize("version", ["v1", "apps/v1", "batch/v1", "autoscaling/v2", "networking.k8s.io/v1",
                                     "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "policy/v1",
                                     "apiextensions.k8s.io/v1", "admissionregistration.k8s.io/v1"])
def test_api_versions_has_the_groups(kubectl: Kubectl, version: str) -> None:
    assert version in kubectl("api-versions").split()


def test_api_resources_can_be_narrowed(kubectl: Kubectl) -> None:
    names = kubectl("api-resources", "--api-group=apps", "--namespaced", "-o", "name").split()
    assert names == ["controllerrevisions.apps", "daemonsets.apps", "deployments.apps", "replicasets.apps",
                     "statefulsets.apps"]
    cluster_wide = kubectl("api-resources", "--namespaced=false", "--verbs=list", "-o", "name").split()
    assert {"nodes", "namespaces", "persistentvolumes"} <= set(cluster_wide)
    assert "pods" not in cluster_wide
    assert "pods" in kubectl("api-resources", "--categories=all", "-o", "name").split()


def explained(text: str) -> dict[str, int]:
    """Field lines of `explain --recursive`: name -> depth of its first appearance."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        match = re.match(r"( +)(\w+)\t<", line)
        if match:
            found.setdefault(match.group(2), len(match.group(1)) // 2)
    return found


@pytest.mark.parametrize(("kind", "fields"), [
    ("deployment", ("maxSurge", "topologySpreadConstraints", "terminationMessagePath")),
    ("cronjob", ("concurrencyPolicy", "backoffLimit", "schedule")), ("ingress", ("defaultBackend", "pathType")),
    ("service", ("sessionAffinityConfig", "nodePort")), ("networkpolicy", ("namespaceSelector", "ipBlock")),
    ("persistentvolumeclaim", ("volumeMode", "dataSourceRef")), ("hpa", ("stabilizationWindowSeconds", "container")),
    ("crd", ("openAPIV3Schema", "additionalPrinterColumns")), ("clusterrole", ("aggregationRule", "nonResourceURLs")),
    ("node", ("podCIDRs", "kubeletVersion")), ("event", ("involvedObject", "firstTimestamp"))])
def test_explain_knows_every_kind_to_the_bottom(kubectl: Kubectl, kind: str, fields: tuple[str, ...]) -> None:
    found = explained(kubectl("explain", kind, "--recursive"))
    assert set(fields) <= set(found)
    assert found["metadata"] < found["ownerReferences"]


def test_explain_of_another_version(kubectl: Kubectl) -> None:
    text = kubectl("explain", "hpa.spec", "--api-version=autoscaling/v1")
    assert "VERSION:    v1" in text
    assert "targetCPUUtilizationPercentage" in text


def test_explain_shows_a_fields_choices(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pod.spec.restartPolicy")
    assert "FIELD: restartPolicy <string>" in text
    assert "ENUM:" in text
    assert re.search(r"Always\n\s+Never\n\s+OnFailure", text)


def test_explain_of_an_unknown_field_says_so(kubectl: Kubectl) -> None:
    done = kubectl.run("explain", "pod.spec.sprocket")
    assert done.returncode == 1
    assert 'field "sprocket" does not exist' in done.stderr


def test_events_tell_of_one_object_in_order(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=pod("web", SLEEP))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")

    def reasons() -> list[str]:
        return [row.split()[2] for row in kubectl("events", "--for=pod/web", "--no-headers").splitlines()]

    eventually(lambda: {"Scheduled", "Pulled", "Created", "Started"} <= set(reasons()))
    assert "Started" not in kubectl("events", "--for=pod/web", "--types=Warning")


def test_events_can_be_watched(kubectl: Kubectl) -> None:
    watcher = kubectl.popen("events", "--watch", "--for=pod/web", "--no-headers")
    try:
        kubectl("create", "-f", "-", stdin=pod("web", SLEEP))
        assert watcher.stdout is not None
        seen = ""
        while "Started" not in seen:
            line = watcher.stdout.readline()
            assert line
            seen += line
    finally:
        watcher.terminate()
        watcher.communicate(timeout=10)


def test_cluster_info_and_dump(kubectl: Kubectl, cluster: Any, tmp_path: Path) -> None:
    assert cluster.server in kubectl("cluster-info")
    kubectl("create", "-f", "-", stdin=pod("web", busybox("echo hello; sleep 600")))
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
    kubectl("cluster-info", "dump", f"--output-directory={tmp_path}", f"--namespaces={kubectl.namespace}")
    pods = json.loads((tmp_path / kubectl.namespace / "pods.json").read_text())
    assert [each["metadata"]["name"] for each in pods["items"]] == ["web"]
    assert "hello" in (tmp_path / kubectl.namespace / "web" / "logs.txt").read_text()


DESCRIBED: list[tuple[str, ...]] = [
    ("deployment", "web"), ("configmap", "one"), ("secret", "one"), ("service", "one"), ("ingress", "one"),
    ("role", "one"), ("rolebinding", "one"), ("quota", "one"), ("pdb", "one"), ("serviceaccount", "one"),
    ("cronjob", "one"), ("job", "one"), ("hpa", "web"), ("networkpolicy", "one"), ("pvc", "one"),
    ("endpointslice", "")]


@pytest.fixture
def one_of_each(kubectl: Kubectl) -> Kubectl:
    kubectl("create", "-f", "-", stdin=deployment("web", 1, SLEEP, **SIMULATED))
    kubectl("autoscale", "deployment", "web", "--max=5", "--cpu=80%")
    for arguments in ("configmap one --from-literal=a=1", "secret generic one --from-literal=a=1",
                      "service clusterip one --tcp=80", "ingress one --rule=a.example/=one:80",
                      "role one --verb=get --resource=pods", "rolebinding one --role=one --user=anna",
                      "quota one --hard=configmaps=9", "pdb one --selector=app=web --min-available=1",
                      "serviceaccount one", "job one --image=busybox", "cronjob one --image=busybox --schedule=@daily"):
        kubectl("create", *arguments.split())
    kubectl("create", "-f", "-", stdin={
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "one"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"ports": [{"port": 80}]}]}})
    kubectl("create", "-f", "-", stdin={
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "one"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    return kubectl


def test_describe_works_for_all_kinds(one_of_each: Kubectl) -> None:
    eventually(lambda: "one-" in one_of_each("get", "endpointslices", "-o", "name"))
    for kind, name in DESCRIBED:
        text = one_of_each("describe", kind, *([name] if name else ()))
        assert re.search(rf"^Name: +{name or 'one-'}", text), kind
        assert "<error" not in text, text


def test_get_sorts_and_adds_columns_of_labels(kubectl: Kubectl) -> None:
    for name, tier in (("a", "3"), ("b", "1"), ("c", "2")):
        kubectl("create", "configmap", name)
        kubectl("label", "configmap", name, f"tier={tier}")
    rows = kubectl("get", "cm", "-l", "tier", "--sort-by=.metadata.labels.tier", "-L", "tier").splitlines()
    assert rows[0].split()[-1] == "TIER"
    assert [row.split()[0] for row in rows[1:]] == ["b", "c", "a"]
    assert "tier=3" in kubectl("get", "cm", "a", "--show-labels")


def test_get_reads_a_long_list_in_chunks(kubectl: Kubectl) -> None:
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number:03}"}} for number in range(25)]
    kubectl("create", "-f", "-", stdin="\n---\n".join(map(json.dumps, items)))
    names = kubectl("get", "cm", "--chunk-size=7", "-o", "name").split()
    assert names[:25] == [f"configmap/c{number:03}" for number in range(25)]
    assert len(kubectl("get", "cm", "--chunk-size=7", "--no-headers").splitlines()) == len(names)


def test_get_without_the_servers_columns(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings")
    assert kubectl("get", "cm", "settings", "--server-print=false").splitlines()[0].split() == ["NAME", "AGE"]


@pytest.mark.parametrize(("path", "expected"), [
    ("/healthz", "ok"), ("/livez", "ok"), ("/readyz", "ok"), ("/version", '"gitVersion"'),
    ("/apis", '"APIGroupList"'), ("/metrics", "# TYPE ")])
def test_get_raw_reads_any_path(kubectl: Kubectl, path: str, expected: str) -> None:
    assert expected in kubectl("get", "--raw", path)


def test_readyz_in_detail(kubectl: Kubectl) -> None:
    text = kubectl("get", "--raw", "/readyz?verbose")
    assert "[+]ping ok" in text
    assert text.rstrip().endswith("readyz check passed")


def test_a_certificate_can_be_asked_for_and_approved(kubectl: Kubectl) -> None:
    import base64

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    name = f"{kubectl.namespace}-csr"
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "anna")])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    encoded = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    kubectl("create", "-f", "-", stdin={
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"request": encoded, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}})
    try:
        assert kubectl.get("csr", name)["spec"]["username"] == "kubernetes-admin"
        assert "Pending" in kubectl("get", "csr", name)
        resources = "certificatesigningrequests,certificatesigningrequests/approval"
        kubectl("create", "clusterrole", name, "--verb=get,update", f"--resource={resources}")
        kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", "--user=anna")
        refused = kubectl.run("certificate", "approve", name, "--as=anna")
        assert "user not permitted to approve requests with signerName" in refused.stderr
        kubectl("certificate", "approve", name)
        assert "Approved" in kubectl("get", "csr", name)
        again = kubectl.run("certificate", "deny", name)
        assert again.returncode == 1
        assert "Approved" in kubectl("get", "csr", name)
    finally:
        kubectl("delete", f"csr/{name}", f"clusterrole/{name}", f"clusterrolebinding/{name}", "--ignore-not-found")
