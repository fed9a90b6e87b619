"""EndpointSlices.

Source: pkg/apis/discovery/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any


def endpoint_port(obj: dict[str, Any]) -> None:
    obj.setdefault("name", "")
    obj.setdefault("protocol", "TCP")


HOOKS = {"discovery/v1.EndpointPort": endpoint_port}
