"""Image references: how `nginx` is docker.io/library/nginx:latest.

Source: github.com/distribution/reference (the grammar and the familiar names of Docker Hub).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DOMAIN = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_DOMAIN}(?:\.{_DOMAIN})*(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)"
                        r"(?::(?P<tag>\w[\w.-]{0,127}))?"
                        r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,}))?")  # fmt: skip


class Reference(NamedTuple):
    """`repository` has the host: docker.io/library/nginx.  The tag is `latest` unless there is another or a digest."""

    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference | None:
    """None if it is no reference."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    host, path = match["host"], match["path"]
    if host is not None and not ("." in host or ":" in host or host == "localhost" or host != host.lower()):
        host, path = None, f"{host}/{path}"
    host = host or "docker.io"
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    digest = match["digest"] or ""
    return Reference(f"{host}/{path}", match["tag"] or ("" if digest else "latest"), digest)


def familiar(name: str) -> str:
    """As people and docker say it: docker.io/library/nginx:1 is nginx:1."""
    return name.removeprefix("docker.io/").removeprefix("library/") if name.startswith("docker.io/") else name
