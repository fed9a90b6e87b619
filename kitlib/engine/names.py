"""Names of images, as people write them and as the store keeps them, with Docker's complaints.

    busybox ⇄ docker.io/library/busybox:latest        kit/app:v1 ⇄ docker.io/kit/app:v1

Source: github.com/distribution/reference (normalize.go: errors, familiar names).
"""

from __future__ import annotations

import re

from kitlib.engine.errors import EngineError
from kitlib.images.reference import Reference, familiar, parse

_UPPER = re.compile(r"[A-Z]")


def parsed(text: str, status: int = 400) -> Reference:
    """Raises EngineError in the words of Docker's parser."""
    found = parse(text)
    if found is not None:
        return found
    if re.fullmatch(r"[0-9a-f]{64}", text):
        raise EngineError(status, f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest = text.partition("/")[2] if "/" in text else text
    if _UPPER.search(rest.partition(":")[0].partition("@")[0]):
        raise EngineError(status, "invalid reference format: repository name must be lowercase")
    raise EngineError(status, "invalid reference format")


def repository_and_tag(repo: str, tag: str, status: int = 500) -> str:
    """The full name that ?repo=…&tag=… mean."""
    if not repo:
        raise EngineError(status, "invalid reference format")
    reference = parsed(repo, status)
    if reference.digest:
        raise EngineError(status, "refusing to create a tag with a digest reference")
    if not tag:
        return str(reference)
    return str(parsed(f"{familiar(reference.repository)}:{tag}", status))


def short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:12]
