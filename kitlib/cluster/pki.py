"""The cluster's own certificate authority, as `kubeadm init phase certs` makes one.

    pki/ca.crt, ca.key           signs everything below; clients trust the server because of it
    pki/apiserver.crt, .key      the server: its loopback address, the Service `kubernetes`, localhost
    pki/admin.crt, .key          O=system:masters, CN=kubernetes-admin: the kubeconfig's login
    pki/sa.key                   signs ServiceAccount tokens

Elliptic-curve keys (P-256): a key takes a tenth of a millisecond, an RSA key a tenth of a second.
What is there and still fits is kept, so a second start loads no cryptography at all.

Source: kubernetes.io/docs/setup/best-practices/certificates.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kitlib.cluster.home import write_private

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509.oid import ObjectIdentifier

NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
         "localhost")
LIFETIME = datetime.timedelta(days=3650)
ADMIN, MASTERS = "kubernetes-admin", "system:masters"


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the certificates of one cluster lie."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def server(self) -> tuple[Path, Path]:
        return self.directory / "apiserver.crt", self.directory / "apiserver.key"

    @property
    def admin(self) -> tuple[Path, Path]:
        return self.directory / "admin.crt", self.directory / "admin.key"

    @property
    def service_account_key(self) -> Path:
        return self.directory / "sa.key"


def ensure(directory: Path, name: str, addresses: Sequence[str]) -> Pki:
    """Make what is missing.  addresses: the IPs under which the server answers; another one means a new certificate."""
    pki = Pki(directory)
    wanted = json.dumps(sorted(addresses))
    marker = directory / "addresses"  # written last: its presence says that everything before it is complete
    if marker.exists() and marker.read_text() == wanted:
        return pki
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    issuer = _Issuer.load(pki) if marker.exists() else _Issuer.create(pki, name)
    issuer.sign_server(pki, addresses)
    if not marker.exists():
        issuer.sign_client(pki, ADMIN, MASTERS)
        write_private(pki.service_account_key, _private_bytes(_new_key()))
    write_private(marker, wanted)
    return pki


class _Issuer:
    """A CA's key and name."""

    def __init__(self, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.key, self.certificate = key, certificate

    @classmethod
    def create(cls, pki: Pki, name: str) -> _Issuer:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        key, subject = _new_key(), _name(f"kit-{name}")
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                              key_encipherment=False, data_encipherment=False, key_agreement=False,
                              encipher_only=False, decipher_only=False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (_builder(subject, subject, key)
                       .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                       .add_extension(usage, critical=True)
                       .add_extension(identifier, critical=False)
                       .sign(key, hashes.SHA256()))
        _write(pki.ca, directory_key(pki.ca), key, certificate)
        return cls(key, certificate)

    @classmethod
    def load(cls, pki: Pki) -> _Issuer:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(directory_key(pki.ca).read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        return cls(key, x509.load_pem_x509_certificate(pki.ca.read_bytes()))

    def sign_server(self, pki: Pki, addresses: Sequence[str]) -> None:
        import ipaddress

        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        names: list[x509.GeneralName] = [x509.DNSName(name) for name in NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        self._sign(pki.server, _name("kube-apiserver"), ExtendedKeyUsageOID.SERVER_AUTH,
                   x509.SubjectAlternativeName(names))

    def sign_client(self, pki: Pki, user: str, group: str) -> None:
        from cryptography.x509.oid import ExtendedKeyUsageOID

        self._sign(pki.admin, _name(user, group), ExtendedKeyUsageOID.CLIENT_AUTH)

    def _sign(self, files: tuple[Path, Path], subject: x509.Name, purpose: ObjectIdentifier,
              *more: x509.ExtensionType) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        key = _new_key()
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = (_builder(subject, self.certificate.subject, key)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
                   .add_extension(authority, critical=False))
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        _write(files[0], files[1], key, builder.sign(self.key, hashes.SHA256()))


def self_signed(*hosts: str) -> tuple[str, str]:
    """(certificate, key) of a web server that nobody vouches for, in PEM; the first host is its common name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    key, subject = _new_key(), _name(hosts[0])
    certificate = (_builder(subject, subject, key)
                   .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
                   .sign(key, hashes.SHA256()))
    return certificate.public_bytes(Encoding.PEM).decode(), _private_bytes(key).decode()


def directory_key(certificate: Path) -> Path:
    """ca.crt → ca.key."""
    return certificate.with_suffix(".key")


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str, organization: str = "") -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    from cryptography import x509

    # A day back: the clocks of a laptop, a container and a virtual machine differ.
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(start + LIFETIME))


def _private_bytes(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _write(certificate_file: Path, key_file: Path, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    write_private(key_file, _private_bytes(key))
    write_private(certificate_file, certificate.public_bytes(Encoding.PEM))
