"""Dynamic resource allocation: device requests and tolerations.

Source: pkg/apis/resource/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def device_request(obj: Obj) -> None:
    if obj.setdefault("allocationMode", "ExactCount") == "ExactCount":
        obj.setdefault("count", 1)


def toleration(obj: Obj) -> None:
    obj.setdefault("operator", "Equal")


HOOKS = {
    "resource/v1.ExactDeviceRequest": device_request, "resource/v1.DeviceSubRequest": device_request,
    "resource/v1.DeviceToleration": toleration,
}
