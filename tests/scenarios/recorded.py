"""Recorded lives of objects: what one real node with a Kubernetes 1.36.2 control plane did over time.

`recorded.json.gz` is one JSON list of 108 scenarios, recorded for this project: the actions of a person, the
distinct states of each object in order, the events.  Times in them are hints; order and content are what counts.
`kubeproxy.json.gz` has the rules that its kube-proxy wrote for a number of hand-made Services.
`not_replayed.json` says which of them the suite does not replay, and why.
"""

from __future__ import annotations

import gzip
import json
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@lru_cache(maxsize=1)
def scenarios() -> dict[str, dict[str, Any]]:
    """By name."""
    return {each["name"]: each for each in json.loads(gzip.decompress((HERE / "recorded.json.gz").read_bytes()))}


@lru_cache(maxsize=1)
def kube_proxy() -> dict[str, str]:
    """File name → text: Services and slices (NAME.json), and what kube-proxy made of them (NAME.iptables.nat.txt …)."""
    files: dict[str, str] = json.loads(gzip.decompress((HERE / "kubeproxy.json.gz").read_bytes()))
    return files


@lru_cache(maxsize=1)
def not_replayed() -> dict[str, str]:
    """Name, or the beginning of several names and an asterisk → why."""
    reasons: dict[str, str] = json.loads((HERE / "not_replayed.json").read_text())
    return reasons


def replayed(*beginnings: str) -> list[str]:
    """The names of the recordings that begin so and are replayed."""
    return [name for name in scenarios()
            if name.startswith(beginnings) and not any(fnmatch(name, pattern) for pattern in not_replayed())]
