"""ServiceAccount tokens for projected volumes: each is kept while it is fresh, and replaced before it expires.

    asked for the first time, or 80 % of its life (24 hours at most) is over ──▶ TokenRequest, bound to the Pod
    else                                                                    ──▶ the one we have

Source: pkg/kubelet/token/token_manager.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..client.client import Client
from ..objects.clock import Clock, parse_time
from ..objects.errors import StatusError

LONGEST = 24 * 3600.0
PART = 0.8
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float
    expires: float


class TokenManager:
    """Remembers tokens by Pod, account, audience and duration; forgets those that have expired."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._known: dict[tuple[str, str, str, int], _Token] = {}

    def token(self, namespace: str, account: str, pod: Object, projection: Object) -> str:
        """Raises OSError in the kubelet's words; with a token that still holds, only once it has expired."""
        now = self._clock.now()
        audience, seconds = projection.get("audience", ""), projection.get("expirationSeconds", 3600)
        key = (pod["metadata"]["uid"], account, audience, seconds)
        kept = self._known.get(key)
        if kept is not None and now < kept.renew_at:
            return kept.text
        try:
            text, expires = self._request(namespace, account, pod, audience, seconds)
        except StatusError as error:
            if kept is not None and now < kept.expires:
                return kept.text
            raise OSError(f"failed to fetch token: {error.message}") from error
        self._known = {k: t for k, t in self._known.items() if now < t.expires}
        self._known[key] = _Token(text, now + min(PART * (expires - now), LONGEST), expires)
        return text

    def _request(self, namespace: str, account: str, pod: Object, audience: str, seconds: int) -> tuple[str, float]:
        meta = pod["metadata"]
        answer = self._client.create("serviceaccounts", namespace, {
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
            "spec": {"audiences": [audience] if audience else [], "expirationSeconds": seconds,
                     "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}},
        }, name=account, subresource="token")
        status = answer["status"]
        return status["token"], parse_time(status["expirationTimestamp"])
