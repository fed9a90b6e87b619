"""A base image: a new layer, perhaps on those of another image, with a configuration that says nothing of the machine.

Source: OCI image-spec, config.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from kitlib.images.archive import manifest_of
from kitlib.images.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, machine
from kitlib.images.layerwriter import Entry, write_layer
from kitlib.images.store import ImageStore, StoredImage, read_image

CREATED = "1970-01-01T00:00:00Z"  # the same image for everybody with the same files
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Tell = Callable[[str], None]  # progress, in a few words


def write(store: ImageStore, names: Sequence[str], what: str, entries: Iterable[Entry],
          settings: Mapping[str, object], below: StoredImage | None = None) -> StoredImage:
    """what: for the history.  names: full ones; the first is the one of what is returned."""
    with store.incoming() as blob:
        write_layer(entries, blob)  # type: ignore[arg-type]
        layer = blob.keep(OCI_LAYER)
    config = {"architecture": machine(), "os": "linux", "created": CREATED, "config": {"Env": [PATH], **settings},
              "rootfs": {"type": "layers", "diff_ids": [*(below.diff_ids if below else ()), layer.digest]},
              "history": [*(below.config["history"] if below else ()),
                          {"created": CREATED, "created_by": f"kit image base {what}"}]}
    described = store.write(json.dumps(config).encode(), OCI_CONFIG)
    manifest = store.write(manifest_of(described, [*(below.layers if below else ()), layer]), OCI_MANIFEST)
    for name in names:
        store.tag(name, manifest)
    return read_image(store, names[0], manifest)
