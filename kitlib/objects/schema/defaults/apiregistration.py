"""APIServices.

Source: kube-aggregator's pkg/apis/apiregistration/v1/defaults.go.
"""

from __future__ import annotations

from typing import Any


def service_reference(obj: dict[str, Any]) -> None:
    obj.setdefault("port", 443)


HOOKS = {"apiregistration/v1.ServiceReference": service_reference}
