"""Base images made on this machine, without a registry: `kit image base busybox`.

    busybox    Debian's static build, an applet for every name, and the few files that programs expect

Source: what Docker Hub's image of the same name has.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from kitlib.images.archive import manifest_of
from kitlib.images.descriptor import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, machine
from kitlib.images.errors import ImageError
from kitlib.images.layerwriter import Entry, of_file, of_text, write_layer
from kitlib.images.store import ImageStore, StoredImage, read_image
from kitlib.runtime.elf import is_static

CREATED = "1970-01-01T00:00:00Z"  # the same image for everybody with the same busybox
_DIRECTORIES = (("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("root", 0o700), ("tmp", 0o1777),
                ("usr", 0o755), ("usr/sbin", 0o755), ("var", 0o755), ("var/spool", 0o755), ("var/www", 0o755))
_FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                        "www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
          "etc/group": "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n"}


def busybox(store: ImageStore, name: str = "docker.io/library/busybox:latest") -> StoredImage:
    """Raises ImageError where no static busybox is installed."""
    program = shutil.which("busybox", path=os.environ.get("PATH", "") + ":/bin:/usr/bin")
    if program is None or not is_static(program):
        raise ImageError("there is no static busybox on this machine (Debian: apt-get install busybox-static)")
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    entries = [Entry(path, tarfile.DIRTYPE, mode) for path, mode in _DIRECTORIES]
    entries += [of_text(path, text.encode()) for path, text in _FILES.items()]
    found = of_file(Path(os.path.realpath(program)), "bin/busybox")
    entries.append(Entry("bin/busybox", mode=0o755, size=found.size, content=found.content))
    entries += [Entry(f"bin/{applet}", tarfile.LNKTYPE, 0o755, link="bin/busybox") for applet in applets
                if applet != "busybox"]
    return _image(store, name, entries, {"Cmd": ["sh"]})


def _image(store: ImageStore, name: str, entries: list[Entry], settings: dict[str, object]) -> StoredImage:
    with store.incoming() as blob:
        write_layer(entries, blob)  # type: ignore[arg-type]
        layer = blob.keep(OCI_LAYER)
    path = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    config = {"architecture": machine(), "os": "linux", "created": CREATED, "config": {"Env": path, **settings},
              "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
              "history": [{"created": CREATED, "created_by": f"kit image base {name.rpartition('/')[2]}"}]}
    described = store.write(json.dumps(config).encode(), OCI_CONFIG)
    manifest = store.write(manifest_of(described, [layer]), OCI_MANIFEST)
    store.tag(name, manifest)
    return read_image(store, name, manifest)


RECIPES: dict[str, Callable[[ImageStore], StoredImage]] = {"busybox": busybox}
