"""A certificate for a new user: requested, approved, issued, and good for the API."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from controller_world import World
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kitlib.cluster import pki
from kitlib.cluster.csr import signer
from kitlib.controllers.csrsigning import REQUESTS, CertificateSigning


def pem_request(user: str, group: str) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user),
                      x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)])
    key = ec.generate_private_key(ec.SECP256R1())
    return x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM)


@pytest.fixture
def world(tmp_path: Path) -> World:
    keys = pki.ensure(tmp_path, "test", ["127.0.0.1"])
    made = World(CertificateSigning(signer(keys.ca, keys.ca.with_suffix(".key"))), nodes=0)
    made.settle(1)
    return made


def ask(w: World, pem: bytes, usages: list[str], **spec: Any) -> None:
    w.user.create(REQUESTS, "", {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "alice"},
        "spec": {"request": base64.b64encode(pem).decode(), "usages": usages,
                 "signerName": "kubernetes.io/kube-apiserver-client", **spec}})


def decide(w: World, verdict: str) -> None:
    found = w.user.get(REQUESTS, "", "alice")
    condition = {"type": verdict, "status": "True", "reason": "ByHand", "message": "looked at it"}
    w.user.update(REQUESTS, "", found | {"status": {"conditions": [condition]}}, subresource="approval")
    w.settle(1)


def status(w: World) -> dict[str, Any]:
    return w.user.get(REQUESTS, "", "alice").get("status") or {}


def test_an_approved_request_becomes_a_certificate_of_that_user(world, tmp_path):
    ask(world, pem_request("alice", "devs"), ["client auth"], expirationSeconds=3600)
    world.settle(5)
    assert "certificate" not in status(world), "nobody has approved it"
    decide(world, "Approved")
    made = x509.load_pem_x509_certificate(base64.b64decode(status(world)["certificate"]))
    assert made.subject.rfc4514_string() == "O=devs,CN=alice"
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH]
    made.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes()))
    before = world.store.revision
    world.settle(600)
    assert world.store.revision == before


def test_a_denied_request_gets_none(world):
    ask(world, pem_request("alice", "devs"), ["client auth"])
    decide(world, "Denied")
    assert "certificate" not in status(world)


def test_what_the_signer_does_not_stand_for_fails(world):
    ask(world, pem_request("alice", "devs"), ["client auth", "server auth"])
    decide(world, "Approved")
    failed = status(world)["conditions"][-1]
    assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
    assert "certificate" not in status(world)
