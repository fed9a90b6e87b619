"""Images out of something else than a Dockerfile: a tar of files (import), a container (commit), an archive (load).

`changes` are lines of a Dockerfile that touch no file: CMD, ENV, LABEL and their like.

Source: moby/moby 20.10, daemon/images/image_import.go, image_commit.go; builder/dockerfile/builder.go.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.engine import imageforms as forms
from kitlib.engine import layersizes
from kitlib.engine.errors import bad_request
from kitlib.engine.names import familiar
from kitlib.images import archive, compression
from kitlib.images.archive import manifest_of
from kitlib.images.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, machine
from kitlib.images.errors import ImageError
from kitlib.images.layerwriter import Entry, write_layer
from kitlib.images.store import ImageStore, StoredImage, read_image

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

_CHANGES = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME",
            "WORKDIR")


def changed(settings: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """An image's settings after some lines of a Dockerfile.  Raises EngineError(400)."""
    lines = [line for change in changes for line in change.splitlines() if line.strip()]
    if not lines:
        return dict(settings)
    for line in lines:
        name = line.split()[0]
        if name.upper() not in _CHANGES:
            raise bad_request(f"{name.lower()} is not a valid change command")
    from kitlib.images.build.dockerfile import DockerfileError, parse
    from kitlib.images.build.plan import plan

    try:
        made = plan(parse("FROM base\n" + "\n".join(lines)), lambda name: {"config": dict(settings)})
    except DockerfileError as error:
        raise bad_request(error.sentence) from error
    found: dict[str, Any] = dict(made.steps[-1].config["config"])  # type: ignore[call-overload]
    if not any(item.startswith("PATH=") for item in settings.get("Env") or ()) and not any(
            line.split()[0].upper() == "ENV" and "PATH" in line for line in lines):
        found["Env"] = [item for item in found.get("Env") or () if not item.startswith("PATH=")]
    return found


def write_image(store: ImageStore, config: Mapping[str, Any], layers: Sequence[Descriptor], name: str = "",
                keep: bool = True) -> StoredImage:
    """Config and manifest; under a name, or nameless, or (keep=False) known to nobody yet."""
    described = store.write(json.dumps(config, separators=(",", ":")).encode(), OCI_CONFIG)
    manifest = store.write(manifest_of(described, layers), OCI_MANIFEST)
    if keep:
        store.tag(name, manifest)
    return read_image(store, name, manifest)


def import_tar(store: ImageStore, path: Path, changes: Sequence[str], message: str, platform: str = "") -> StoredImage:
    """One layer, as it is; where its files lead is looked at when somebody runs it.  Raises EngineError, ImageError."""
    settings = changed({}, changes)
    with open(path, "rb") as file:
        layer = store.add(compression.plain(file), OCI_LAYER)
    layersizes.check(store, layer)
    now = forms.time_text(time.time_ns())
    system, _, rest = (platform or f"linux/{machine()}").partition("/")
    return write_image(store, {
        "architecture": rest.partition("/")[0] or machine(), "os": system, "created": now, "config": settings,
        "comment": message, "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created": now, "comment": message}]}, [layer])


def commit(engine: Engine, container: Mapping[str, Any], entries: Sequence[Entry], *, changes: Sequence[str],
           comment: str, author: str, override: Mapping[str, Any]) -> StoredImage:
    """What the container's files and settings are now; a new layer on those of its image."""
    store = engine.store
    base = engine.images.all().get(container["Image"])
    before = base.config if base else {}
    settings = {k: v for k, v in (container.get("Config") or {}).items()
                if k not in ("Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty",
                             "OpenStdin", "StdinOnce")}
    settings["Image"] = container["Image"]
    settings |= {name: value for name, value in override.items() if name in settings and value}
    settings = changed(settings, changes)
    layers = list(base.stored.layers) if base else []
    diff_ids = list(base.stored.diff_ids) if base else []
    now = forms.time_text(time.time_ns())
    line: dict[str, Any] = {"created": now, "created_by": " ".join((container.get("Config") or {}).get("Cmd") or ())}
    line |= {k: v for k, v in (("comment", comment), ("author", author)) if v}
    if entries:
        with store.incoming() as blob:
            write_layer(entries, blob)  # type: ignore[arg-type]
            layer = blob.keep(OCI_LAYER)
        layers.append(layer)
        diff_ids.append(layer.digest)
    else:
        line["empty_layer"] = True
    made = write_image(store, {
        "architecture": before.get("architecture") or machine(), "os": "linux", "created": now,
        **({"author": author} if author else {}), **({"comment": comment} if comment else {}), "config": settings,
        "container": container["Id"], "container_config": container.get("Config"),
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": [*(before.get("history") or ()), line]}, layers)
    engine.images.note(made.id, parent=container["Image"])
    return made


def load(store: ImageStore, path: Path, tell: Callable[[dict[str, Any]], None]) -> list[StoredImage]:
    """docker load: every image of an archive, and what is said about it."""
    there = store.images()
    before, known = {i.name: i.id for i in there if i.name}, {i.id for i in there}
    loaded = archive.load(store, path)
    try:
        for layer in dict.fromkeys(layer for image in loaded for layer in image.layers):
            layersizes.check(store, layer)
    except ImageError:
        for image in loaded:
            if image.id not in known:
                store.forget(image)
        raise
    for image in loaded:
        if not image.name:
            tell({"stream": f"Loaded image ID: {image.id}\n"})
            continue
        if before.get(image.name, image.id) != image.id:
            tell({"stream": f"The image {familiar(image.name)} already exists, renaming the old one with ID "
                            f"{before[image.name]} to empty string\n"})
        tell({"stream": f"Loaded image: {familiar(image.name)}\n"})
    return loaded
