"""The build cache as `docker system df` and `docker builder prune` see it.

Source: docs.docker.com/reference/api/engine (BuildCache, /build/prune).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kitlib.engine.imageforms import time_text
from kitlib.images.store import ImageStore


def _results(store: ImageStore) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in (store.root.parent / "build").glob("*.json"):
        try:
            yield path, json.loads(path.read_text())
        except (OSError, ValueError):
            continue  # another build has just replaced it, or it is no result


def cache_records(store: ImageStore) -> list[dict[str, Any]]:
    """What steps have given.  Shared: an image has the layer, so forgetting it frees nothing."""
    images = {one.digest for image in store.images() for one in image.layers}
    records = []
    for path, found in _results(store):
        layer = found.get("layer") or {}
        created = time_text(int(found["created"] * 1e9))
        there = bool(layer) and store.has(layer["digest"])
        records.append({
            "ID": path.stem[:25], "Parent": "", "Type": "regular", "Description": layer.get("digest", "no files"),
            "InUse": False, "Shared": layer.get("digest", "") in images, "Size": layer["size"] if there else 0,
            "CreatedAt": created, "LastUsedAt": None, "UsageCount": 1})
    return sorted(records, key=lambda record: record["CreatedAt"])


def prune_cache(store: ImageStore) -> dict[str, Any]:
    """Forget all results; layers that no image has go with them."""
    images = {one.digest for image in store.images() for one in image.layers}
    freed, gone = 0, []
    for path, found in _results(store):
        layer = found.get("layer") or {}
        path.unlink(missing_ok=True)
        gone.append(path.stem[:25])
        if layer and layer["digest"] not in images and store.has(layer["digest"]):
            freed += layer["size"]
            store.blob(layer["digest"]).unlink(missing_ok=True)
    return {"CachesDeleted": gone or None, "SpaceReclaimed": freed}
