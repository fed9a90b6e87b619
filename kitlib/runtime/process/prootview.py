"""A container's private root without namespaces: proot translates every path that its programs name.

Where no namespace may be made (a container of Docker's default profile, as on Binder) proot, if it is installed, gives
a container its own files all the same: it traces the container's processes (ptrace(2), which needs no privilege) and
rewrites the paths in their system calls.

    task ──▶ proot -r ROOT -b /usr -b VOLUME:/data … ──▶ busybox sh ──▶ the program
             │ traces both, shows them ROOT and the bound directories, and user 0
             └ ends when all of them have ended, and tells a death by signal as 255; so a shell stands between that
               counts 128 + n and says at once when the program itself has ended

What it cannot do: nothing is read-only, processes of other Pods can be seen, and every system call costs some 10 µs
more.  Addresses and the hostname are the notifier's affair, here as everywhere.

Source: proot(1), version 5.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.runtime import inroot
from kitlib.runtime.elf import is_static
from kitlib.runtime.process import overlay, rootfs
from kitlib.runtime.treecopy import copy_tree

_INIT = "/.kit/busybox"
# Descriptor 3 is the pipe on which the end is told.  What a shell says of a killed child is not the program's output.
_SCRIPT = 'unset PROOT_TMP_DIR; exec 4>&2 2>/dev/null; (exec "$@" 2>&4 3>&- 4>&-); code=$?; echo $code >&3; exit $code'
_SYSTEM = ("/proc", "/sys", "/dev")


def find_proot() -> str:
    return shutil.which("proot") or ""


def environment(directory: str) -> dict[str, str]:
    """What a newer proot can be told: where to write a program of its own; 5.1 always takes /tmp."""
    return {"PROOT_TMP_DIR": directory}


def try_out(program: str) -> str:
    """An empty string if it works here, else its first words.  ptrace(2) may be refused."""
    done = subprocess.run([program, "-v", "-1", "-0", "-r", "/", "/bin/true"], capture_output=True, text=True,
                          timeout=20, check=False, env=environment(os.environ.get("TMPDIR", "/tmp")))
    return "" if done.returncode == 0 else (done.stderr.strip().partition("\n")[0] or f"code {done.returncode}")


class ProotView:
    """One container's files.  spec: as bundle.py makes it."""

    def __init__(self, root: str, spec: Mapping[str, Any]) -> None:
        self.root, self._spec = root, spec
        found = shutil.which("busybox")
        self._init = found if found and (spec["image"]["host_programs"] or is_static(found)) else ""
        self.binds = self._bindings()

    def _bindings(self) -> dict[str, str]:
        """Container path → host path; of two that fit, the longer one counts."""
        image = self._spec["image"]
        found = {path: path for path in _SYSTEM if os.path.isdir(path)}
        if image["host_programs"]:
            directories = [f"/{name}" for name in rootfs.HOST_DIRECTORIES if os.path.isdir(f"/{name}")]
            found |= {path: path for path in (*directories, *rootfs.HOST_FILES) if os.path.exists(path)}
            own = (*image["files"], *image["links"], *image["directories"])
            found |= {path: self.root + path for path in own if any(path.startswith(f"{d}/") for d in directories)}
        found |= {entry["container_path"]: entry["host_path"] for entry in self._spec["mounts"]}
        if self._init:
            found[_INIT] = self._init
        return found

    @property
    def generations(self) -> int:
        """How many processes stand between the task and the program."""
        return 2 if self._init else 1

    def prepare(self) -> None:
        """Fill the container's directory."""
        os.makedirs(self.root, exist_ok=True)
        if self._spec.get("rw"):  # whoever keeps what a container changes has made the copy, too
            overlay.furnish(self.root, self._spec)
        elif self._spec["layers"]:
            copy_tree(self._spec["layers"][0], self.root)
            overlay.furnish(self.root, self._spec)
        else:
            rootfs.populate(self.root, self._spec["image"], self._spec["etc"], "")
        for path, host in self.binds.items():
            _mount_point(self.root + path, os.path.isdir(host))

    def working_directory(self, cwd: str) -> None:
        """Make it, as runc does; raises OSError with runc's words if it is not one."""
        place = self.translate(cwd)
        try:
            os.makedirs(place, exist_ok=True)
        except OSError as error:
            why = f"chdir to cwd ({json.dumps(cwd)}) set in config.json failed: {_lower(error)}"
            raise OSError(error.errno, why) from error

    def command(self, proot: str, program: str, argv: Sequence[str], cwd: str) -> list[str]:
        """What to execute instead of `program`, a path that `find` has found, with these arguments."""
        user = f"{self._spec['user'] or 0}:{self._spec['group'] or 0}"
        bound = [word for path, host in self.binds.items() for word in ("-b", f"{host}:{path}")]
        counted = [_INIT, "sh", "-c", _SCRIPT, "sh"] if self._init else []
        return [proot, "-v", "-1", "-i", user, "-r", self.root, *bound, "-w", cwd, *counted, program, *argv[1:]]

    def translate(self, path: str) -> str:
        """Where a container's path lies on the host; symbolic links lead where they lead in the container.

        A relative path counts from where the container began: where a program has gone since, only proot knows.
        """
        path = posixpath.join(self._spec["cwd"], path)
        return self._place("/" + inroot.follow(path, lambda step: inroot.readlink(self._place(f"/{step}"))))

    def _place(self, path: str) -> str:
        """The same for a path whose directories are no links."""
        fitting = [known for known in self.binds if path == known or path.startswith(known + "/")]
        best = max(fitting, key=len, default="")
        return self.binds[best] + path[len(best):] if best else self.root + path

    def find(self, name: str, path: str, cwd: str) -> str:
        """The container's path of a program; the sentences are runc's, for kubectl shows them."""
        if "/" in name:
            wanted = posixpath.join(cwd, name)
            try:
                mode = os.stat(self.translate(wanted)).st_mode
            except OSError as error:
                raise OSError(error.errno, f"exec: {json.dumps(name)}: stat {name}: {_lower(error)}") from error
            if stat.S_ISDIR(mode):
                raise OSError(errno.EISDIR, f"exec: {json.dumps(name)}: is a directory")
            if not mode & 0o111:
                raise OSError(errno.EACCES, f"exec: {json.dumps(name)}: permission denied")
            return wanted
        for directory in path.split(":"):
            candidate = posixpath.join(cwd, directory or ".", name)
            place = self.translate(candidate)
            if os.path.isfile(place) and os.access(place, os.X_OK):
                return candidate
        raise OSError(errno.ENOENT, f"exec: {json.dumps(name)}: executable file not found in $PATH")


def _mount_point(path: str, is_directory: bool) -> None:
    """proot shows a bound path without one, but not in the listing of the directory above."""
    if os.path.lexists(path):
        return
    os.makedirs(path if is_directory else os.path.dirname(path), exist_ok=True)
    if not is_directory:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _lower(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
