"""The paths for those who only want to know whether the server lives: /healthz, /livez, /readyz, /version.

Source: k8s.io/apiserver/pkg/server/healthz, pkg/server/routes/version.go.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from kitlib.api import respond
from kitlib.api.request import Request, Response
from kitlib.objects.errors import StatusError

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

CHECKS = ("ping", "etcd", "informer-sync")
ROOTS = ("healthz", "livez", "readyz")


def answer(api: ApiServer, request: Request) -> Response | None:
    """The answer at one of these paths, or None if it is none of them."""
    parts = request.path.strip("/").split("/")
    if parts[0] in ROOTS and len(parts) <= 2:
        return _health(api, request, parts)
    if parts == ["version"]:
        _only_get(request)
        return respond.json(version(api.config.git_version))
    return None


def _only_get(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                          {})


def _health(api: ApiServer, request: Request, parts: list[str]) -> Response:
    _only_get(request)
    failure = api.store.failure
    checks = [(name, failure if name == "etcd" else None) for name in CHECKS]
    if len(parts) == 2:
        checks = [check for check in checks if check[0] == parts[1]]
        if not checks:
            return respond.text("404 page not found\n", 404)
    excluded = request.query.get("exclude", [])
    checks = [check for check in checks if check[0] not in excluded]
    failed = [reason for _, reason in checks if reason]
    if not failed and "verbose" not in request.query:
        return respond.text("ok")
    lines = [f"[-]{name} failed: {reason}" if reason else f"[+]{name} ok" for name, reason in checks]
    verdict = "failed" if failed else "passed"
    return respond.text("\n".join([*lines, f"{parts[0]} check {verdict}", ""]), 500 if failed else 200)


def version(git_version: str) -> dict[str, str]:
    """version.Info; what kubectl version shows."""
    major, minor = git_version.removeprefix("v").split(".")[:2]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {"major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
            "minCompatibilityMajor": major, "minCompatibilityMinor": str(int(minor) - 1), "gitVersion": git_version,
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": f"python{platform.python_version()}", "compiler": "cpython", "platform": f"linux/{machine}"}
