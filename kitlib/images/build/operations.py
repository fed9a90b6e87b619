"""What a step does to an image's files.  Everything a step depends on is in here, so that a cache can compare it.

    From   the files of another image, or none (scratch)
    Run    a program
    Copy   files of the context, of another stage, of an image, or written in the Dockerfile itself
    Mkdir  WORKDIR makes its directory
    Note   nothing: ENV, CMD, LABEL and others change the configuration only
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MOUNT_TYPES = ("bind", "cache", "secret", "ssh", "tmpfs")


@dataclass(frozen=True)
class From:
    """image: a name, or "scratch"."""

    image: str


@dataclass(frozen=True)
class Mount:
    """One RUN --mount.  node: the step whose files `bind` and `cache` take (None: the context, or nothing)."""

    kind: str
    target: str
    source: str = ""
    node: int | None = None
    identity: str = ""  # of a cache or a secret
    readonly: bool = False
    required: bool = False
    mode: int = 0
    uid: int = 0
    gid: int = 0
    sharing: str = "shared"
    env: str = ""  # a secret that is wanted as a variable
    size: int = 0


@dataclass(frozen=True)
class Run:
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    user: str
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    script: str = ""  # a heredoc with a #! line: it is put where argv[0] says
    args: Mapping[str, str] = field(default_factory=dict)  # the ARGs among env: the history names them
    forgotten: tuple[str, ...] = ()  # volumes, whose changes the classic builder loses


@dataclass(frozen=True)
class Copy:
    """sources: paths of `node`'s files, or of the context if it is None; texts: (name, content) of heredocs."""

    sources: tuple[str, ...]
    target: str
    node: int | None = None
    texts: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()
    owner: str = ""
    mode: str = ""
    unpack: bool = False  # ADD: a local tar is extracted
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""


@dataclass(frozen=True)
class Mkdir:
    """owner: who is to have it, as USER says it."""

    path: str
    owner: str = ""


@dataclass(frozen=True)
class Note:
    pass


Operation = From | Run | Copy | Mkdir | Note


@dataclass(frozen=True)
class Step:
    """One node of the graph.

    base: the step before it in its stage (None for FROM).  stage: its stage's number; title: as it stands in the
    file, in one line.  config: the image's configuration after it.  said: what the history says of it, variables filled
    in; shell: what RUN would use; written: the instruction in one line, and its number in the file.
    """

    number: int
    stage: int
    line: int
    title: str
    operation: Operation
    base: int | None
    config: Mapping[str, object] = field(default_factory=dict)
    said: str = ""
    shell: tuple[str, ...] = ()
    written: str = ""
    instruction: int = 0
    column: int = 1

    def needs(self) -> tuple[int, ...]:
        """The steps whose files it reads."""
        found = [] if self.base is None else [self.base]
        if isinstance(self.operation, Copy) and self.operation.node is not None:
            found.append(self.operation.node)
        if isinstance(self.operation, Run):
            found += [m.node for m in self.operation.mounts if m.node is not None]
        return tuple(dict.fromkeys(found))

    @property
    def writes(self) -> bool:
        """Whether it may make a layer."""
        return isinstance(self.operation, (Run, Copy, Mkdir))
