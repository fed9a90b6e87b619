"""What lies in $KIT_HOME: names, certificates, kubeconfig, and which cluster is meant."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtensionOID, NameOID

from kitlib.cluster import find, kubeconfig, pki
from kitlib.cluster.errors import NoCluster, UsageError
from kitlib.cluster.home import ClusterDir, all_clusters, write_private


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KIT_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def make(name: str) -> ClusterDir:
    cluster = ClusterDir(name)
    cluster.create()
    write_private(cluster.config, "{}")
    keys = pki.ensure(cluster.pki, name, ["127.0.0.1"])
    kubeconfig.write(cluster.kubeconfig, name, "https://127.0.0.1:6443", keys, "secret-token")
    return cluster


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "../a", "a/b", "a" * 41, "a.b"])
def test_a_name_that_could_leave_the_directory_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a cluster"):
        ClusterDir(name)


def test_only_the_owner_can_read_kubeconfig_and_keys(home: Path) -> None:
    cluster = make("one")
    files = [cluster.kubeconfig, cluster.pki / "ca.key", cluster.pki / "admin.key", cluster.pki / "apiserver.key",
             cluster.pki / "sa.key"]
    assert [stat.S_IMODE(f.stat().st_mode) for f in files] == [0o600] * len(files)


def test_kubeconfig_has_one_context_that_is_current(home: Path) -> None:
    config = yaml.safe_load(make("one").kubeconfig.read_text())
    assert config["current-context"] == "kit-one"
    assert [entry["name"] for kind in ("clusters", "users", "contexts") for entry in config[kind]] == ["kit-one"] * 3
    assert config["users"][0]["user"]["token"] == "secret-token"
    assert {"client-certificate-data", "client-key-data"} <= config["users"][0]["user"].keys()


def test_the_admin_certificate_is_a_member_of_system_masters(home: Path) -> None:
    certificate = x509.load_pem_x509_certificate((make("one").pki / "admin.crt").read_bytes())
    subject = {attribute.oid: attribute.value for attribute in certificate.subject}
    assert subject == {NameOID.ORGANIZATION_NAME: "system:masters", NameOID.COMMON_NAME: "kubernetes-admin"}


def test_the_server_certificate_is_signed_by_the_ca_and_names_the_service(home: Path) -> None:
    directory = make("one").pki
    ca = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    server = x509.load_pem_x509_certificate((directory / "apiserver.crt").read_bytes())
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert {"kubernetes", "kubernetes.default.svc", "localhost"} <= set(names.get_values_for_type(x509.DNSName))
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_openssl_accepts_the_server_pair(home: Path) -> None:
    directory = make("one").pki
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "apiserver.crt", directory / "apiserver.key")
    assert isinstance(load_pem_private_key((directory / "sa.key").read_bytes(), None), ec.EllipticCurvePrivateKey)


def test_a_second_start_keeps_every_certificate(home: Path) -> None:
    directory = make("one").pki
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    pki.ensure(directory, "one", ["127.0.0.1"])
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_another_address_renews_the_server_certificate_under_the_same_ca(home: Path) -> None:
    directory = make("one").pki
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    pki.ensure(directory, "one", ["127.0.0.1", "127.70.0.1"])
    after = {path.name: path.read_bytes() for path in directory.iterdir()}
    changed = {name for name, data in after.items() if before[name] != data}
    assert changed == {"apiserver.crt", "apiserver.key", "addresses"}
    x509.load_pem_x509_certificate(after["apiserver.crt"]).verify_directly_issued_by(
        x509.load_pem_x509_certificate(after["ca.crt"]))


def test_without_any_cluster_the_sentence_says_how_to_make_one(home: Path) -> None:
    with pytest.raises(NoCluster, match="kit up"):
        find.find()


def test_the_only_cluster_is_meant_when_nothing_is_said(home: Path) -> None:
    make("one")
    assert find.find().name == "one"


def test_of_several_clusters_one_has_to_be_named(home: Path) -> None:
    make("one")
    make("two")
    with pytest.raises(UsageError, match=r"one, two.*--name"):
        find.find()
    assert find.find("two").name == "two"


def test_kubeconfig_in_the_environment_decides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("one")
    monkeypatch.setenv("KUBECONFIG", str(make("two").kubeconfig))
    assert find.find().name == "two"


def test_a_copy_of_the_kubeconfig_still_means_its_cluster(home: Path, monkeypatch: pytest.MonkeyPatch,
                                                          tmp_path: Path) -> None:
    make("one")
    copy = tmp_path / "mine"
    copy.write_text(yaml.safe_dump(yaml.safe_load(make("two").kubeconfig.read_text())))
    monkeypatch.setenv("KUBECONFIG", str(copy))
    assert find.find().name == "two"


def test_somebody_elses_kubeconfig_leaves_the_only_cluster(home: Path, monkeypatch: pytest.MonkeyPatch,
                                                           tmp_path: Path) -> None:
    make("one")
    foreign = tmp_path / "foreign"
    foreign.write_text("current-context: production\n")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}{os.pathsep}{foreign}")
    assert find.find().name == "one"


def test_a_name_that_is_unknown_lists_those_that_are_known(home: Path) -> None:
    make("one")
    with pytest.raises(NoCluster, match=r'no cluster "two" \(there is: one\)'):
        find.find("two")


def test_a_lock_says_who_lives_and_is_gone_with_its_holder(home: Path) -> None:
    cluster = make("one")
    assert not cluster.is_running()
    lock = cluster.take_lock()
    assert lock is not None
    assert cluster.is_running()
    assert cluster.take_lock() is None
    os.close(lock)
    assert not cluster.is_running()


def test_clusters_are_listed_by_name(home: Path) -> None:
    for name in ("two", "one"):
        make(name)
    assert [cluster.name for cluster in all_clusters()] == ["one", "two"]
