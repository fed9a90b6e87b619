"""Images in the forms in which Docker's API shows them: summary, inspect, history.

An OCI config says only what was set; Docker shows every field, the unset ones empty.

Source: docs.docker.com/reference/api/engine (Images); moby/moby 20.10, api/types, daemon/images/image_history.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from kitlib.images.descriptor import digest_of

NEVER = -62135596800  # Go's zero time
NEVER_TEXT = "0001-01-01T00:00:00Z"
_EMPTY_CONFIG: dict[str, Any] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": None}
_OPTIONAL = ("ExposedPorts", "Healthcheck", "ArgsEscaped", "StopSignal", "StopTimeout", "Shell", "MacAddress",
             "NetworkDisabled")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


def full_config(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """A container.Config with all its fields."""
    given = dict(settings or {})
    found = {name: given.get(name) if given.get(name) is not None else empty for name, empty in _EMPTY_CONFIG.items()}
    found |= {name: given[name] for name in _OPTIONAL if given.get(name)}
    return found


def seconds_of(text: str | None) -> int:
    """A time of RFC 3339 in seconds since 1970."""
    match = _TIME.fullmatch(text or "")
    if match is None or match[1].startswith("0001"):
        return NEVER
    zone = "+00:00" if match[3] == "Z" else match[3]
    return int(datetime.fromisoformat(match[1] + zone).timestamp())


def time_text(nanoseconds: int) -> str:
    """RFC 3339 with nanoseconds, as Go writes it."""
    whole = datetime.fromtimestamp(nanoseconds // 1_000_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f"{nanoseconds % 1_000_000_000:09}".rstrip("0")
    return f"{whole}.{rest}Z" if rest else f"{whole}Z"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """What a layer is together with those below it (OCI image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain


def comment_of(config: Mapping[str, Any]) -> str:
    history = config.get("history") or []
    return str(config.get("comment") or (history[-1].get("comment", "") if history else ""))


def history_of(identity: str, config: Mapping[str, Any], layer_sizes: Sequence[int], ids: Sequence[str],
               tags: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """The newest first.  ids: the image and its parents, as far as they are known here."""
    lines = config.get("history") or []
    sizes = list(layer_sizes)
    rows: list[dict[str, Any]] = []
    for line in lines:
        size = 0 if line.get("empty_layer") else (sizes.pop(0) if sizes else 0)
        rows.append({"Comment": line.get("comment", ""), "Created": seconds_of(line.get("created")),
                     "CreatedBy": line.get("created_by", ""), "Id": "<missing>", "Size": size, "Tags": None})
    rows.reverse()
    for row, known in zip(rows, ids or [identity], strict=False):
        row["Id"], row["Tags"] = known, tags.get(known)
    return rows
