"""Signs certificate requests with the cluster's own CA."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path


def signer(ca: Path, key: Path) -> Callable[[bytes, list[str], int], bytes]:
    """sign(request, usages, seconds) → certificate, all PEM.  ValueError: no request, or not signed by its own key."""

    def sign(request: bytes, usages: list[str], seconds: int) -> bytes:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
        from cryptography.x509.oid import ExtendedKeyUsageOID

        asked = x509.load_pem_x509_csr(request)
        if not asked.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        authority = x509.load_pem_x509_certificate(ca.read_bytes())
        issuer_key = load_pem_private_key(key.read_bytes(), None)
        assert isinstance(issuer_key, EllipticCurvePrivateKey)   # `pki` makes no other
        purposes = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}
        now = datetime.now(timezone.utc)
        builder = (x509.CertificateBuilder().subject_name(asked.subject).issuer_name(authority.subject)
                   .public_key(asked.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(seconds=seconds))
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.ExtendedKeyUsage([purposes[u] for u in usages if u in purposes]), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                                  critical=False))
        for extension in asked.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)

    return sign
