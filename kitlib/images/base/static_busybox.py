"""busybox: Debian's static build, an applet for every name, and the few files that programs expect.

Source: what Docker Hub's image of the same name has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from kitlib.images.base import image
from kitlib.images.errors import ImageError
from kitlib.images.layerwriter import Entry, of_file, of_text
from kitlib.images.store import ImageStore, StoredImage
from kitlib.runtime.elf import is_static

NAME = "docker.io/library/busybox:latest"
_DIRECTORIES = (("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("root", 0o700), ("tmp", 0o1777),
                ("usr", 0o755), ("usr/sbin", 0o755), ("var", 0o755), ("var/spool", 0o755), ("var/www", 0o755))
_FILES = {"etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
                        "www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
          "etc/group": "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n"}


def program() -> str:
    """Raises ImageError where no static busybox is installed."""
    found = shutil.which("busybox", path=os.environ.get("PATH", "") + ":/bin:/usr/bin")
    if found is None or not is_static(found):
        raise ImageError("there is no static busybox on this machine (Debian: apt-get install busybox-static)")
    return found


def version() -> str:
    """1.35.0, or "" if there is none."""
    try:
        said = subprocess.run([program()], capture_output=True, text=True, check=False).stdout
    except ImageError:
        return ""
    match = re.search(r"BusyBox v(\d+(?:\.\d+)*)", said)
    return match[1] if match else ""


def busybox(store: ImageStore, name: str = NAME, tell: image.Tell = lambda words: None) -> StoredImage:
    """Raises ImageError where no static busybox is installed."""
    found = program()
    applets = subprocess.run([found, "--list"], capture_output=True, text=True, check=True).stdout.split()
    entries = [Entry(path, tarfile.DIRTYPE, mode) for path, mode in _DIRECTORIES]
    entries += [of_text(path, text.encode()) for path, text in _FILES.items()]
    there = of_file(Path(os.path.realpath(found)), "bin/busybox")
    entries.append(Entry("bin/busybox", mode=0o755, size=there.size, content=there.content))
    entries += [Entry(f"bin/{applet}", tarfile.LNKTYPE, 0o755, link="bin/busybox") for applet in applets
                if applet != "busybox"]
    return image.write(store, [name], name.rpartition("/")[2], entries, {"Cmd": ["sh"]})
