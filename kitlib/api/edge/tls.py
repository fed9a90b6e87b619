"""TLS at the edge: the server's certificate, client certificates if they are offered, HTTP/1.1 only.

A client certificate signed by the cluster's CA *is* a login: CN is the user, every O a group.  It is
optional, because bearer tokens are the other way in.

Source: k8s.io/apiserver/pkg/authentication/request/x509 (CommonNameUserConversion).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def server_context(certificate: Path | str, key: Path | str, client_ca: Path | str | None = None) -> ssl.SSLContext:
    """The context of the API's port.  client_ca: whose certificates log in (PEM file)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def identity(certificate: Mapping[str, Any] | None) -> tuple[str, tuple[str, ...]] | None:
    """(CN, O...) of a verified certificate, as `ssl.SSLSocket.getpeercert` shows it; None without one."""
    if not certificate:
        return None
    names = [pair for group in certificate.get("subject", ()) for pair in group]
    common = next((value for kind, value in names if kind == "commonName"), "")
    return (common, tuple(value for kind, value in names if kind == "organizationName")) if common else None
