"""--platform: for which machine an image is.  Nothing is emulated: it is what the image says of itself.

    linux/amd64   linux/arm64   linux/arm/v7      BUILDPLATFORM is this machine's, TARGETPLATFORM what is asked for

Source: OCI image-spec, config.md; containerd/platforms (normalization of aarch64, x86_64); docs.docker.com/reference/
dockerfile, "Automatic platform ARGs".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from kitlib.images.descriptor import machine

_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armhf": "arm"}
_FORM = re.compile(r"[a-z0-9]+(?:/[a-z0-9_-]+){0,2}")


class Platform(NamedTuple):
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


HERE = Platform("linux", machine())


def read(text: str) -> Platform | None:
    """linux/arm64, or an architecture alone; None if it is neither."""
    if not _FORM.fullmatch(text.lower()):
        return None
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts = ["linux", parts[0]] if parts[0] not in ("linux", "windows") else [parts[0], HERE.architecture]
    architecture = _NAMES.get(parts[1], parts[1])
    variant = parts[2] if len(parts) > 2 else ""
    return Platform(parts[0], architecture, "" if (architecture, variant) == ("arm64", "v8") else variant)


def of(config: Mapping[str, Any]) -> Platform:
    """What an image's configuration says."""
    return Platform(config.get("os", "linux"), config.get("architecture", ""), config.get("variant", ""))


def fields(platform: Platform) -> dict[str, str]:
    """The same as parts of a configuration."""
    found = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {name: value for name, value in found.items() if value}


def arguments(where: str, platform: Platform) -> dict[str, str]:
    """BUILDOS, TARGETARCH and so on."""
    return {f"{where}OS": platform.os, f"{where}ARCH": platform.architecture, f"{where}VARIANT": platform.variant,
            f"{where}PLATFORM": str(platform)}
