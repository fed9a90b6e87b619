"""RUN: what is executed, with which variables and mounts.

    RUN make                        /bin/sh -c make
    RUN ["make", "all"]             no shell
    RUN --mount=type=cache,target=/root/.cache pip install …
    RUN <<EOF                       the lines are a script; with #! in the first one, for that program

Source: docs.docker.com/reference/dockerfile (RUN, RUN --mount); moby/buildkit, instructions/commands_runmount.go.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from kitlib.images.build import history
from kitlib.images.build.dockerfile import Instruction
from kitlib.images.build.operations import MOUNT_TYPES, Mount, Run
from kitlib.images.build.plan_types import boolean, size_of

if TYPE_CHECKING:
    from kitlib.images.build.plan import Planner, Stage

SCRIPT = "/dev/pipes/script"
_KEYS = {"bind": {"target", "source", "from", "rw", "readwrite", "readonly", "ro"},
         "cache": {"id", "target", "ro", "readonly", "sharing", "from", "source", "mode", "uid", "gid"},
         "secret": {"id", "target", "env", "required", "mode", "uid", "gid", "source"},
         "ssh": {"id", "target", "required", "mode", "uid", "gid"}, "tmpfs": {"target", "size"}}
_ALIASES = {"dst": "target", "destination": "target", "src": "source"}


def run(planner: Planner, stage: Stage, at: Instruction) -> None:
    mounts, network = [], "default"
    for name, value in at.flags:
        if name == "mount":
            mounts.append(_mount(planner, stage, at, planner.words(at, value, stage.env())))
        elif name == "network":
            if value not in ("default", "none", "host"):
                raise planner.fail(at, f"--network can be default, none or host, not {value!r}", value)
            network = value
        elif name != "security":
            raise planner.fail(at, f"unknown flag: {name}", f"--{name}")
    argv, script = _command(stage, at)
    if not argv:
        raise planner.fail(at, "RUN has no command")
    env = {name: value for name, value in planner.given.items() if name.upper().endswith("_PROXY")} | stage.env()
    args = {name: value or "" for name, value in stage.args.items()}
    volumes: tuple[str, ...] = ()
    if planner.classic:
        if mounts:
            raise planner.fail(at, "the --mount option requires BuildKit: `kit build` has it")
        settings = {item.partition("=")[0] for item in stage.config["config"].get("Env") or ()}
        args = {name: value for name, value in args.items() if value and name not in settings}
        volumes = tuple(stage.config["config"].get("Volumes") or ())
    planner.add(stage, at, Run(argv, env, stage.cwd, str(stage.config["config"].get("User") or ""), tuple(mounts),
                               network, script, args, volumes), said=f"RUN {history.command(argv, args)}")


def _command(stage: Stage, at: Instruction) -> tuple[tuple[str, ...], str]:
    if at.json:
        return at.words, ""
    if not at.heredocs:
        return (*stage.shell, at.text), ""
    first = at.heredocs[0]
    if len(at.heredocs) == 1 and at.text.strip("'\" ").lstrip("<-").strip("'\"") == first.name:
        if first.content.startswith("#!"):
            return (SCRIPT,), first.content
        return (*stage.shell, first.content), ""
    inside = "".join(f"{each.content}{each.name}\n" for each in at.heredocs)
    return (*stage.shell, f"{at.text}\n{inside}"), ""


def _mount(planner: Planner, stage: Stage, at: Instruction, text: str) -> Mount:
    fields: dict[str, str] = {}
    for part in text.split(","):
        key, there, value = part.strip().partition("=")
        fields[_ALIASES.get(key.lower(), key.lower())] = value if there else "true"
    kind = fields.pop("type", "bind")
    if kind not in MOUNT_TYPES:
        raise planner.fail(at, f"unsupported mount type {kind!r}: there are {', '.join(MOUNT_TYPES)}", kind)
    unknown = sorted(set(fields) - _KEYS[kind])
    if unknown:
        raise planner.fail(at, f"unexpected key {unknown[0]!r} for mount type {kind!r}", unknown[0])
    identity = fields.get("id", "")
    target = fields.get("target", "")
    if kind == "secret":
        identity = identity or posixpath.basename(target)
        if not identity:
            raise planner.fail(at, "a secret mount needs an id")
        target = target or ("" if "env" in fields else f"/run/secrets/{identity}")
    if not target and kind in ("bind", "cache", "tmpfs"):
        raise planner.fail(at, f"a mount of type {kind} needs a target")
    source = fields.get("from", "")
    readonly = boolean(fields.get("readonly", fields.get("ro", "false")))
    if kind == "bind":
        readonly = not boolean(fields.get("rw", fields.get("readwrite", "false")))
    try:
        numbers = {key: int(fields[key], 8 if key == "mode" else 10) for key in ("mode", "uid", "gid") if key in fields}
        size = size_of(fields.get("size", "0"))
    except ValueError as error:
        raise planner.fail(at, f"mount option: {error}") from error
    sharing = fields.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        raise planner.fail(at, f"sharing can be shared, private or locked, not {sharing!r}")
    target = posixpath.join(stage.cwd, target) if target else ""
    return Mount(kind, target, fields.get("source", ""), planner.source_step(source, stage, at) if source else None,
                 identity or (target if kind == "cache" else ""), readonly, boolean(fields.get("required", "false")),
                 sharing=sharing, env=fields.get("env", "") if kind == "secret" else "", size=size, **numbers)
