"""COPY and ADD: which files come from where, and where they go.

    COPY a b dir/                     several need a directory as their target (it ends with a slash)
    COPY --from=build /app /app       out of another stage, or an image
    COPY <<EOF /etc/motd              out of the Dockerfile itself
    ADD src.tar.gz /src               a tar is unpacked; a URL is fetched

Source: docs.docker.com/reference/dockerfile (COPY, ADD); moby/buildkit, dockerfile2llb (dispatchCopy).
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from kitlib.images.build.dockerfile import Instruction
from kitlib.images.build.operations import Copy
from kitlib.images.build.plan_types import boolean
from kitlib.images.build.words import pieces

if TYPE_CHECKING:
    from kitlib.images.build.plan import Planner, Stage

_URL = re.compile(r"https?://")
_GIT = re.compile(r"git@|git://|ssh://git@|https?://\S+\.git(?:[#?]\S*)?$")
_FLAGS = {"COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
          "ADD": ("chown", "chmod", "link", "checksum", "keep-git-dir", "exclude", "unpack")}
_MODE = re.compile(r"[0-7]{3,4}|(?:[ugoa]*[-+=][rwxXst]*)(?:,[ugoa]*[-+=][rwxXst]*)*")


def copy(planner: Planner, stage: Stage, at: Instruction) -> None:
    env = stage.env()
    for name, _ in at.flags:
        if name not in _FLAGS[at.name]:
            raise planner.fail(at, f"unknown flag: {name}", f"--{name}")
    words = list(at.words) if at.json else pieces(at.text, planner.dockerfile.escape)
    words = [word if at.json and "$" not in word else planner.words(at, word, env) for word in words]
    if len(words) < 2:
        raise planner.fail(at, f"{at.name} requires at least two arguments, but only {len(words)} was provided: what, "
                               "and where to")
    *sources, target = words
    written = {f"<<{each.name}" for each in at.heredocs} | {f"<<-{each.name}" for each in at.heredocs}
    texts = tuple((each.name, planner.words_of_heredoc(at, each, env)) for each in at.heredocs)
    for each in sources:
        if at.name == "ADD" and _GIT.match(each):
            raise planner.fail(at, f"ADD {each}: a git repository is not fetched here; clone it into the context "
                                   "(`git clone`), and COPY it", each)
    urls = tuple(s for s in sources if at.name == "ADD" and _URL.match(s))
    if at.flag("checksum") and not urls:
        raise planner.fail(at, "checksum can't be specified for non-HTTP(S) sources", "--checksum")
    plain = tuple(s for s in sources if s not in urls and s not in written)
    if len(sources) > 1 and not target.endswith("/"):
        raise planner.fail(at, f"When using {at.name} with more than one source file, the destination must be a "
                               "directory and end with a /")
    origin = planner.words(at, at.flag("from"), env)
    mode = planner.words(at, at.flag("chmod"), env)
    if mode and not _MODE.fullmatch(mode):
        raise planner.fail(at, f"invalid chmod parameter: {mode!r}. it should be octal string and between 0 and 07777")
    absolute = posixpath.join(stage.cwd, target)
    if target.endswith("/") or target in (".", ""):
        absolute = absolute.rstrip("/") + "/"
    planner.add(stage, at, Copy(
        plain, posixpath.normpath(absolute) + ("/" if absolute.endswith("/") and absolute != "/" else ""),
        planner.source_step(origin, stage, at) if origin else None, texts, urls,
        planner.words(at, at.flag("chown"), env), mode, at.name == "ADD" and boolean(at.flag("unpack", "true")),
        boolean(at.flag("parents", "false")), tuple(value for name, value in at.flags if name == "exclude"),
        at.flag("checksum")), said=" ".join([at.name, target] if planner.classic else [at.name, *words]))
