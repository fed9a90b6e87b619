"""One engine as its clients see it (the docker CLI, the docker SDK, its HTTP API); answers of two that are compared.

A test of the suite takes the fixture `engine` and runs twice: with the real Docker Engine, and with ours.  It asserts
what everybody may expect, and hands over what both have to say alike:

    engine.agree("history", [...])      the second engine that says something else fails the test

Whatever tests make is called PREFIX…, so that nothing of anybody else is touched, and all of it is removed again.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from image_files import layer

WHOSE = os.environ.get("KIT_SUITE") or str(os.getpid())  # the same for two runs whose answers are compared
PREFIX = f"kit-suite-{WHOSE}"
BASE = f"{PREFIX}/base-{WHOSE}"  # part of its history: an image that nobody else has
LABEL = f"kit.suite={WHOSE}"
OURS = {"kit.suite": WHOSE}  # the same, for the SDK
ANSWERS = os.environ.get("KIT_SUITE_ANSWERS", "")  # of another run: as JSON, or a file that takes them to the next
FOREVER = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done")  # ends at once when it is told to
SAID: dict[str, list[Any]] = json.loads(ANSWERS if ANSWERS[:1] == "{" else Path(ANSWERS).read_text()
                                        if ANSWERS and Path(ANSWERS).exists() else "{}")
_NEWER_CLI = re.compile(r"\n*(See 'docker [^\n]*'\.|Run 'docker [^\n]*' for more information)\n*")


@dataclass(frozen=True)
class Done:
    """What a run of the CLI came to."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What it was refused with, as all versions of the CLI say it: without the program's name and its advice."""
        text = _NEWER_CLI.sub("\n", self.err).strip()
        for prefix in ("docker: ", "Error response from daemon: ", "Error: "):
            text = text.removeprefix(prefix)
        return text.rstrip(".")


@dataclass
class Engine:
    """name: "real" or "embedded".  host: as in DOCKER_HOST.  test: what asks now, for `agree`."""

    name: str
    host: str
    config: Path
    test: str = ""
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sdk = docker.DockerClient(base_url=self.host, version="auto", timeout=60)
        self.environment = {**os.environ, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.config),
                            "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"}
        for name in ("DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS_VERIFY"):
            self.environment.pop(name, None)

    # The CLI.

    def docker(self, *arguments: str, stdin: bytes | str = b"", timeout: float = 60) -> Done:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(["docker", *arguments], input=data, capture_output=True, check=False, timeout=timeout,
                              env=self.environment)
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def __call__(self, *arguments: str, stdin: bytes | str = b"", timeout: float = 60) -> str:
        """What it prints, without the last line's end; a refusal fails the test with its words."""
        done = self.docker(*arguments, stdin=stdin, timeout=timeout)
        assert done.code == 0, f"docker {' '.join(arguments)}: {done.code} {done.err}{done.out}"
        return done.out.removesuffix("\n")

    def refused(self, *arguments: str, code: int = 1) -> str:
        done = self.docker(*arguments)
        assert done.code == code, f"docker {' '.join(arguments)}: {done}"
        return done.sentence

    def popen(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["docker", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.environment)

    def inspect(self, name: str, kind: str = "container") -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self(kind, "inspect", name))
        return found[0]

    # The API.

    def api(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """One request, as it is: its status, and its answer if that is JSON."""
        client = self.sdk.api
        answer = client.request(method, f"{client.base_url}{path}", json=body, params=query, timeout=60)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    # Containers, with names that are not anybody else's.

    def named(self, name: str) -> str:
        return f"{PREFIX}-{name}"

    def run(self, *command: str, image: str = BASE, **settings: Any) -> Container:
        """Start a container and leave it running.  Without a command it lives until it is told to end."""
        return self.sdk.containers.run(image, list(command or FOREVER), detach=True, labels=OURS, **settings)

    def agree(self, question: str, answer: Any) -> None:
        """Both engines have to answer a test's question alike."""
        key = f"{self.test}: {question}"
        assert key not in self.asked, f"asked twice: {key}"
        self.asked.add(key)
        answer = json.loads(json.dumps(masked(answer)))
        if ANSWERS and self.name == "real":
            SAID.pop(key, None)
        other, expected = SAID.setdefault(key, [self.name, answer])
        lines = difflib.unified_diff(_lines(expected), _lines(answer), other, self.name, lineterm="", n=0)
        assert answer == expected, f"{key}\n" + "\n".join(lines)

    def close(self) -> None:
        self.sdk.close()
        if ANSWERS and ANSWERS[:1] != "{":
            Path(ANSWERS).write_text(json.dumps(SAID))

    def clean(self) -> None:
        """Remove whatever has our name."""
        for kind, listing, removal in (
                ("container", ("ps", "-aq", "--filter", f"name={PREFIX}"), ("rm", "-fv")),
                ("container", ("ps", "-aq", "--filter", f"label={LABEL}"), ("rm", "-fv")),
                ("network", ("network", "ls", "-q", "--filter", f"name={PREFIX}"), ("network", "rm")),
                ("volume", ("volume", "ls", "-q", "--filter", f"name={PREFIX}"), ("volume", "rm", "-f"))):
            found = self(*listing).split()
            if found:
                done = self.docker(*removal, *found)
                assert done.code == 0, (kind, done)
        self.clean_images()

    def clean_images(self) -> None:
        """All images with our name, and what was built upon our base and has none: the youngest first."""
        base = self.docker("image", "inspect", "-f", "{{.Id}}", BASE).out.strip()
        known = {image["Id"]: image for image in self.sdk.api.images(all=True)}

        def is_ours(image: dict[str, Any]) -> bool:
            ours = image["Id"] == base or any(PREFIX in name for name in image["RepoTags"] or ())
            return ours or (image["ParentId"] in known and is_ours(known[image["ParentId"]]))

        def depth(image: dict[str, Any]) -> int:
            return 1 + depth(known[image["ParentId"]]) if image["ParentId"] in known else 0

        for image in sorted(filter(is_ours, known.values()), key=depth, reverse=True):
            self.docker("rmi", "-f", *(n for n in image["RepoTags"] or () if "<none>" not in n), image["Id"])
        left = [image for image in self.sdk.api.images(all=True) if is_ours(image)]
        assert not left, left


# What is different each time is made the same.

_MASKS = ((re.compile(r"sha256:[0-9a-f]{64}"), "sha256:…"), (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
          (re.compile(r"\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{12}\b"), "SHORT"),
          (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "TIME"),
          (re.compile(re.escape(PREFIX)), "kit-suite"))


def masked(answer: Any) -> Any:
    """The answer with ids, digests and times that are no longer anybody's."""
    if isinstance(answer, str):
        for pattern, word in _MASKS:
            answer = pattern.sub(word, answer)
        return answer
    if isinstance(answer, dict):
        return {masked(key): masked(value) for key, value in answer.items()}
    return [masked(each) for each in answer] if isinstance(answer, (list, tuple)) else answer


def _lines(answer: Any) -> list[str]:
    """For people: one line for each item."""
    if isinstance(answer, dict):
        return [f"{key}: {value!r}" for key, value in sorted(answer.items())]
    return [repr(each) for each in answer] if isinstance(answer, list) else [repr(answer)]


# File trees, as tars have them.

def entries(data: bytes) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each path of a tar: kind, mode, owner, and the content's digest or the link's target.  No times."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            what = hashlib.sha256(content.read()).hexdigest()[:16] if content else member.linkname
            kind = "d" if member.isdir() else "l" if member.issym() else "f"
            if member.islnk():  # a hard link is the file that it is linked to, whichever of them came first
                what = "= " + member.linkname.removeprefix("./")
            yield (member.name.removeprefix("./").strip("/"),
                   (kind, oct(member.mode & 0o7777), member.uid, member.gid, what))


@dataclass(frozen=True)
class Saved:
    """An image as `docker save` hands it out: its config, and the entries of each layer."""

    config: dict[str, Any]
    layers: list[dict[str, tuple[Any, ...]]]

    def tree(self) -> dict[str, tuple[Any, ...]]:
        """All layers, one over the other."""
        found: dict[str, tuple[Any, ...]] = {}
        for one in self.layers:
            for path in [path for path in one if path.rpartition("/")[2].startswith(".wh.")]:
                folder, _, name = path.rpartition("/")
                gone = f"{folder}/{name[4:]}".lstrip("/") if name != ".wh..wh..opq" else folder
                for old in [old for old in found if old.startswith(f"{gone}/") or (old == gone and name[4:5] != ".")]:
                    del found[old]
            found |= {path: what for path, what in one.items() if ".wh." not in path and path}
        return found

    def changes(self) -> list[dict[str, Any]]:
        """What each layer brings: files, links and whiteouts, and directories that are new or other than before."""
        seen: dict[str, tuple[Any, ...]] = {}
        found = []
        for one in self.layers:
            found.append({path: what if ".wh." not in path else "gone" for path, what in one.items()
                          if path and seen.get(path) != what})
            seen |= one
        return found


def saved(engine: Engine, image: str) -> Saved:
    archive = subprocess.run(["docker", "save", image], capture_output=True, check=True, env=engine.environment).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        def read(name: str) -> bytes:
            member = tar.getmember(name)
            if member.issym():  # as Docker has it: a layer of an image that stands on another one
                member = tar.getmember(os.path.normpath(os.path.join(os.path.dirname(name), member.linkname)))
            file = tar.extractfile(member)
            assert file is not None, name
            return file.read()

        [manifest] = json.loads(read("manifest.json"))
        return Saved(json.loads(read(manifest["Config"])), [dict(entries(read(name))) for name in manifest["Layers"]])


def at_once(do: Callable[[Any], Any], what: Iterable[Any]) -> dict[Any, Any]:
    """Do it with each, several at a time: an engine mostly waits."""
    things = list(what)
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(things, pool.map(do, things), strict=True))


def context(root: Path, **files: str | bytes) -> Path:
    """A build context.  In a name `__` is a slash and `_` a dot."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def small_tar(**files: bytes) -> bytes:
    return layer(*((name.replace("__", "/"), data) for name, data in files.items()))
