"""OpenID discovery of the ServiceAccount issuer: how others check the tokens without asking this server.

Source: k8s.io/kubernetes/pkg/serviceaccount/openidmetadata.go; RFC 7517 (JSON Web Keys).
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from kitlib.api import respond
from kitlib.api.request import Request, Response

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"


def answer(api: ApiServer, request: Request) -> Response | None:
    """The answer at one of the two paths, or None."""
    if request.method != "GET" or request.path not in (CONFIGURATION, KEYS):
        return None
    key = json_web_key(api.authenticator.accounts.public_key())
    if request.path == KEYS:
        found = respond.json({"keys": [key]})
        found.content_type = "application/jwk-set+json"
        return found
    place = f"https://{api.config.address}:{api.config.port}{KEYS}"
    return respond.json({"issuer": api.config.issuer, "jwks_uri": place,
                         "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                         "id_token_signing_alg_values_supported": [key["alg"]]})


def json_web_key(public: Any) -> dict[str, str]:
    """A public key as a JSON Web Key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    key_id = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    numbers = public.public_numbers()
    if isinstance(public, ec.EllipticCurvePublicKey):
        return {"use": "sig", "kty": "EC", "kid": key_id, "crv": "P-256", "alg": "ES256", "x": _number(numbers.x, 32),
                "y": _number(numbers.y, 32)}
    return {"use": "sig", "kty": "RSA", "kid": key_id, "alg": "RS256", "n": _number(numbers.n),
            "e": _number(numbers.e)}


def _number(value: int, size: int = 0) -> str:
    data = value.to_bytes(size or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
