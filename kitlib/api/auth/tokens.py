"""ServiceAccount tokens: JSON Web Tokens that the API server signs and believes.

    header.claims.signature      (each base64url)
    claims: iss, sub "system:serviceaccount:NS:NAME", aud, exp, jti,
            kubernetes.io: {namespace, serviceaccount: {name, uid}, pod: {name, uid}, node: …}

A token is bound: it dies with its ServiceAccount, and with the Pod or Secret it was made for, because
every use checks that those still exist under the same uid.

Source: k8s.io/kubernetes/pkg/serviceaccount (jwt.go, claims.go); RFC 7519, RFC 7518 (ES256, RS256).
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import orjson

from kitlib.api.request import User
from kitlib.objects.meta import new_uid

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
POD_NAME, POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
NODE_NAME, NODE_UID = "authentication.kubernetes.io/node-name", "authentication.kubernetes.io/node-uid"
LASTING_ISSUER = "kubernetes/serviceaccount"
REMEMBERED = 1024  # tokens whose signature has been checked
BOUND = {"pod": "pods", "secret": "secrets", "node": "nodes"}


class TokenInvalid(Exception):
    """A token that proves nothing; the message says why."""


class ServiceAccountTokens:
    """Makes tokens and checks them."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._key: Any = None
        self._checked: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def _private_key(self) -> Any:
        """The signing key; loading cryptography takes a while, and most processes never need it."""
        if self._key is None:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ec

            pem = self._api.config.signing_key
            self._key = (serialization.load_pem_private_key(pem, None) if pem
                         else ec.generate_private_key(ec.SECP256R1()))
        return self._key

    def public_key(self) -> Any:
        """What others need to check these tokens."""
        return self._private_key().public_key()

    def create(self, account: dict[str, Any], audiences: Collection[str], seconds: int,
               bound: tuple[str, dict[str, Any]] | None = None,
               node: dict[str, Any] | None = None, *, warn_after: int = 0) -> tuple[str, float]:
        """A token for a ServiceAccount, and when it expires.  bound: ("pod", the Pod) and such.

        warn_after: after so many seconds it should have been renewed, though it still holds.
        """
        meta, now = account["metadata"], int(self._api.clock.now())
        about: dict[str, Any] = {"namespace": meta["namespace"],
                                 "serviceaccount": {"name": meta["name"], "uid": meta["uid"]}}
        if bound is not None:
            about[bound[0]] = {"name": bound[1]["metadata"]["name"], "uid": bound[1]["metadata"]["uid"]}
        if node is not None:
            about["node"] = {"name": node["metadata"]["name"], "uid": node["metadata"]["uid"]}
        if warn_after:
            about["warnafter"] = now + warn_after
        claims = {"aud": list(audiences), "exp": now + seconds, "iat": now, "iss": self._api.config.issuer,
                  "jti": new_uid(), "kubernetes.io": about, "nbf": now,
                  "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}"}
        return self._sign(claims), now + seconds

    def create_lasting(self, account: dict[str, Any], secret: str) -> str:
        """A token without an end, kept in a Secret; it is good as long as that Secret holds it."""
        meta = account["metadata"]
        about = {"namespace": meta["namespace"], "secret.name": secret, "service-account.name": meta["name"],
                 "service-account.uid": meta["uid"]}
        return self._sign({"iss": LASTING_ISSUER, **{f"kubernetes.io/serviceaccount/{k}": v for k, v in about.items()},
                           "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}"})

    def _lasting_user(self, token: str, claims: dict[str, Any]) -> User:
        """Whose lasting token it is: the Secret must still hold it."""
        about = {key.rpartition("/")[2]: value for key, value in claims.items()}
        namespace = about.get("namespace", "")
        self._must_exist("serviceaccounts", namespace, {"name": about.get("service-account.name", ""),
                                                        "uid": about.get("service-account.uid")})
        secret = self._api.store.get("secrets", namespace, about.get("secret.name", ""))
        held = (secret.obj.get("data") or {}).get("token", "") if secret else ""
        if base64.b64decode(held).decode("utf-8", "replace") != token:
            raise TokenInvalid("the Secret of this token has gone")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return User(claims["sub"], groups, about["service-account.uid"])

    def user(self, token: str, audiences: Collection[str]) -> User:
        """Whose token it is, for one of these audiences.  Raises TokenInvalid."""
        claims = self._claims(token)
        now = self._api.clock.now()
        if claims.get("iss") == LASTING_ISSUER:
            return self._lasting_user(token, claims)
        if claims.get("iss") != self._api.config.issuer:
            raise TokenInvalid("issued by somebody else")
        if now >= claims.get("exp", 0):
            raise TokenInvalid("token has expired")
        if not set(claims.get("aud", ())) & set(audiences):
            raise TokenInvalid(f"token audiences {claims.get('aud')} is invalid for the target audiences {audiences}")
        about = claims.get("kubernetes.io", {})
        namespace, account = about.get("namespace", ""), about.get("serviceaccount", {})
        self._must_exist("serviceaccounts", namespace, account)
        extra: dict[str, tuple[str, ...]] = {CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
        for name, resource in BOUND.items():
            reference = about.get(name)
            if reference is None or (name == "node" and "pod" in about):
                continue
            self._must_exist(resource, "" if name == "node" else namespace, reference)
        if "pod" in about:
            extra[POD_NAME], extra[POD_UID] = (about["pod"]["name"],), (about["pod"]["uid"],)
        if "node" in about:
            extra[NODE_NAME], extra[NODE_UID] = (about["node"]["name"],), (about["node"]["uid"],)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return User(claims["sub"], groups, account.get("uid", ""), extra)

    def audiences(self, token: str) -> tuple[str, ...]:
        return tuple(self._claims(token).get("aud", ()))

    def _must_exist(self, resource: str, namespace: str, reference: dict[str, Any]) -> None:
        found = self._api.store.get(resource, namespace, reference.get("name", ""))
        if found is None or found.obj["metadata"]["uid"] != reference.get("uid"):
            raise TokenInvalid(f"{resource} {namespace}/{reference.get('name')} has gone")

    # -- JSON Web Signature

    def _sign(self, claims: dict[str, Any]) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        key = self._private_key()
        elliptic = isinstance(key, ec.EllipticCurvePrivateKey)
        head = {"alg": "ES256" if elliptic else "RS256", "typ": "JWT"}
        text = f"{_encode(orjson.dumps(head))}.{_encode(orjson.dumps(claims))}"
        if elliptic:
            r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        else:
            signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encode(signature)}"

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature is ours."""
        claims = self._checked.get(token)
        if claims is None:
            claims = self._verified(token)
            self._checked[token] = claims
            if len(self._checked) > REMEMBERED:
                self._checked.popitem(last=False)
        return claims

    def _verified(self, token: str) -> dict[str, Any]:
        if token.count(".") != 2:
            raise TokenInvalid("not a JSON Web Token")
        text, _, signature = token.rpartition(".")
        try:
            head, claims = (orjson.loads(_decode(part)) for part in text.split("."))
            raw = _decode(signature)
        except ValueError:
            raise TokenInvalid("not a JSON Web Token") from None
        self._check_signature(head, text.encode(), raw)
        if not isinstance(claims, dict) or "sub" not in claims or (
                "jti" not in claims and claims.get("iss") != LASTING_ISSUER):
            raise TokenInvalid("not a ServiceAccount's token")
        return claims

    def _check_signature(self, head: Any, text: bytes, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        public = self._private_key().public_key()
        elliptic = isinstance(public, ec.EllipticCurvePublicKey)
        # The algorithm is the key's, never the token's choice ("none" has fooled others).
        if not isinstance(head, dict) or head.get("alg") != ("ES256" if elliptic else "RS256"):
            raise TokenInvalid("wrong algorithm")
        try:
            if elliptic:
                if len(signature) != 64:
                    raise TokenInvalid("wrong signature")
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                public.verify(encode_dss_signature(r, s), text, ec.ECDSA(hashes.SHA256()))
            else:
                public.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise TokenInvalid("wrong signature") from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
