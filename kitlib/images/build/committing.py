"""From the layers of steps to an image: its configuration, its history, its manifest.

Source: OCI image-spec, config.md (history, rootfs) and manifest.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from kitlib.images.build import history
from kitlib.images.build.operations import From, Note, Step
from kitlib.images.build.plan import Plan
from kitlib.images.build.results import Outcome
from kitlib.images.descriptor import OCI_CONFIG, OCI_MANIFEST, Descriptor, digest_of
from kitlib.images.store import ImageStore, StoredImage


def commit(store: ImageStore, plan: Plan, number: int, outcomes: Mapping[int, Outcome],
           labels: Mapping[str, str] | None = None, *, classic: bool = False) -> StoredImage:
    """The image that a step has led to."""
    config = configuration(plan, number, outcomes, labels, classic=classic)
    layers = outcomes[number].layers.parts
    described = write(store, encoded(config), OCI_CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described.json(),
                "layers": [layer.json() for layer, _ in layers]}
    written = write(store, encoded(manifest), OCI_MANIFEST)
    return StoredImage("", written, described, config, tuple(layer for layer, _ in layers))


def encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def write(store: ImageStore, data: bytes, media_type: str) -> Descriptor:
    """A small blob; one that is there already is not written again."""
    digest = digest_of(data)
    return Descriptor(media_type, digest, len(data)) if store.has(digest) else store.write(data, media_type)


def configuration(plan: Plan, number: int, outcomes: Mapping[int, Outcome],
                  labels: Mapping[str, str] | None = None, *, classic: bool = False) -> dict[str, Any]:
    """The OCI config; its history has a line for each instruction of the image's own stages."""
    chain = _chain(plan, number)
    config = json.loads(json.dumps(plan.steps[number].config))
    lines = list(config.get("history") or ()) if isinstance(chain[0].operation, From) else []
    newest = 0.0
    for step in chain[1:]:
        if step.operation == Note() and (step.said.startswith("FROM ") or
                                         (step.said.startswith("ONBUILD ") and not classic)):
            continue
        result = outcomes[step.number].result
        newest = max(newest, result.created)
        said = history.classic(step, result.files) if classic else history.created_by(step)
        line: dict[str, Any] = {"created": rfc3339(result.created), "created_by": said}
        if not classic:
            line["comment"] = "kitlib.build"
        if result.layer is None:
            line["empty_layer"] = True
        lines.append(line)
    if labels:
        config["config"]["Labels"] = {**(config["config"].get("Labels") or {}), **labels}
    return {**config, "created": rfc3339(newest), "history": lines, "rootfs": {
        "type": "layers", "diff_ids": [diff_id for _, diff_id in outcomes[number].layers.parts]}}


def _chain(plan: Plan, number: int) -> list[Step]:
    """The step's own line of steps, from its base image on."""
    steps: list[Step] = []
    at: int | None = number
    while at is not None:
        steps.append(plan.steps[at])
        at = plan.steps[at].base
    return steps[::-1]


def epoch(args: Mapping[str, str]) -> float | None:
    """SOURCE_DATE_EPOCH (--build-arg, or the environment's): the time of all that a build makes.

    Source: reproducible-builds.org/specs/source-date-epoch; moby/buildkit, docs/build-repro.md.
    """
    text = args.get("SOURCE_DATE_EPOCH") or os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(text) if text.isdigit() else None


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
