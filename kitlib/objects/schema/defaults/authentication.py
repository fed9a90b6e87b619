"""Token requests.

Source: pkg/apis/authentication/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any


def token_request_spec(obj: dict[str, Any]) -> None:
    obj.setdefault("expirationSeconds", 3600)


HOOKS = {"authentication/v1.TokenRequestSpec": token_request_spec}
