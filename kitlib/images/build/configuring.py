"""Instructions that change an image's configuration and none of its files.

    ENV ARG LABEL USER CMD ENTRYPOINT EXPOSE VOLUME STOPSIGNAL HEALTHCHECK SHELL ONBUILD MAINTAINER

Source: OCI image-spec, config.md; docs.docker.com/reference/dockerfile; moby/buildkit, dockerfile2llb.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kitlib.images.build import dockerfile, history
from kitlib.images.build.dockerfile import DockerfileError, Instruction
from kitlib.images.build.operations import Note
from kitlib.images.build.words import pieces

if TYPE_CHECKING:
    from kitlib.images.build.plan import Planner, Stage

_PAIR = re.compile(r"(?P<name>\"[^\"]*\"|'[^']*'|[^\s=]+)=(?P<value>.*)", re.DOTALL)
_PORT = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?(?:/(?P<protocol>tcp|udp|sctp))?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(h|ms|m|us|µs|s|ns))+")
_UNITS = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1.0}


def apply(planner: Planner, stage: Stage, at: Instruction) -> None:
    """One such instruction.  Raises DockerfileError."""
    if at.flags and at.name != "HEALTHCHECK":
        raise planner.fail(at, f"unknown flag: {at.flags[0][0]}", f"--{at.flags[0][0]}")
    said = _APPLY[at.name](planner, stage, at)
    planner.add(stage, at, Note(), said=f"{at.name} {said}".rstrip())


def _pairs(planner: Planner, at: Instruction, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """NAME=value …, or the old form: NAME and all the rest."""
    words = pieces(at.text, planner.dockerfile.escape)
    if "=" not in words[0]:
        name, _, value = at.text.partition(" ")
        if not value.strip():
            raise planner.fail(at, f"{at.name} must have two arguments: {at.name} {name}=…")
        yield planner.words(at, name, env), planner.words(at, value.strip(), env)
        return
    for word in words:
        if word.startswith("="):
            raise planner.fail(at, f"{at.name} names can not be blank", word)
        match = _PAIR.fullmatch(word)
        if match is None:
            raise planner.fail(at, f"syntax error: can't find = in {word!r}. Must be of the form: name=value", word)
        yield planner.words(at, match["name"], env), planner.words(at, match["value"], env)


def arguments(planner: Planner, at: Instruction, env: Mapping[str, str]) -> Iterator[tuple[str, str | None]]:
    """ARG NAME[=default] …"""
    for word in pieces(at.text, planner.dockerfile.escape):
        name, there, value = word.partition("=")
        if not name:
            raise planner.fail(at, "ARG names can not be blank", word)
        yield name, planner.words(at, value, env) if there else None


# Each of these changes the stage, and says what the history is to say behind the instruction's name.


def _env(planner: Planner, stage: Stage, at: Instruction) -> str:
    settings = dict(item.partition("=")[::2] for item in stage.config["config"].get("Env") or ())
    found = list(_pairs(planner, at, stage.env()))  # all of one ENV see the values of before it
    settings.update(found)
    stage.variables.update(found)
    stage.config["config"]["Env"] = [f"{name}={value}" for name, value in settings.items()]
    return history.pairs(found)


def _arg(planner: Planner, stage: Stage, at: Instruction) -> str:
    said = []
    for name, value in arguments(planner, at, stage.env()):
        planner.used.add(name)
        said.append(name if value is None else f"{name}={value}")
        real = planner.given.get(name, planner.globals.get(name) if value is None else value)
        stage.args.pop(name, None)
        stage.args[name] = real
        if real is not None:
            stage.variables[name] = real
    return " ".join(said)


def _label(planner: Planner, stage: Stage, at: Instruction) -> str:
    found = list(_pairs(planner, at, stage.env()))
    stage.config["config"].setdefault("Labels", {}).update(found)
    return history.pairs(found)


def _maintainer(planner: Planner, stage: Stage, at: Instruction) -> str:
    stage.config["author"] = at.text
    return at.text


def _user(planner: Planner, stage: Stage, at: Instruction) -> str:
    user = stage.config["config"]["User"] = planner.words(at, at.text, stage.env())
    return user


def _command(planner: Planner, stage: Stage, at: Instruction) -> list[str]:
    if at.json:
        return list(at.words)
    return [*stage.shell, at.text] if at.text else []


def _cmd(planner: Planner, stage: Stage, at: Instruction) -> str:
    words = stage.config["config"]["Cmd"] = _command(planner, stage, at)
    stage.command_set = True
    return history.quoted_list(words)


def _entrypoint(planner: Planner, stage: Stage, at: Instruction) -> str:
    config = stage.config["config"]
    words = config["Entrypoint"] = _command(planner, stage, at)
    if not stage.command_set:
        config.pop("Cmd", None)  # a base image's CMD are arguments for its own entrypoint
    return history.quoted_list(words)


def _expose(planner: Planner, stage: Stage, at: Instruction) -> str:
    ports: dict[str, dict[str, Any]] = {}
    words = planner.split(at, stage.env())
    for word in words:
        match = _PORT.fullmatch(word)
        first, last = (int(match["first"]), int(match["last"] or match["first"])) if match else (0, 0)
        if match is None and re.fullmatch(r"\d+(-\d+)?/\w+", word):
            raise planner.fail(at, f"invalid proto: {word.rpartition('/')[2]}", word)
        if match is None or not 0 < first <= last <= 65535:
            raise planner.fail(at, f"invalid containerPort: {word}", word)
        for port in range(first, last + 1):
            ports[f"{port}/{(match['protocol'] or 'tcp').lower()}"] = {}
    stage.config["config"].setdefault("ExposedPorts", {}).update(ports)
    return " ".join(sorted(words)) if planner.classic else f"map[{' '.join(f'{port}:{{}}' for port in sorted(ports))}]"


def _volume(planner: Planner, stage: Stage, at: Instruction) -> str:
    words = at.words if at.json else planner.split(at, stage.env())
    paths = [planner.words(at, word, stage.env()) if at.json else word for word in words]
    if not all(paths):
        raise planner.fail(at, "VOLUME specified can not be an empty string")
    stage.config["config"].setdefault("Volumes", {}).update({path: {} for path in paths})
    return f"[{' '.join(paths)}]"


def _stopsignal(planner: Planner, stage: Stage, at: Instruction) -> str:
    wanted = planner.words(at, at.text, stage.env())
    upper, known = wanted.upper(), {s.name for s in signal.Signals}
    if not (wanted.isdigit() or upper in known or f"SIG{upper}" in known or upper.startswith("SIGRTM")):
        raise planner.fail(at, f"invalid stopsignal: {at.text}", at.text)
    stage.config["config"]["StopSignal"] = wanted
    return wanted


def _shell(planner: Planner, stage: Stage, at: Instruction) -> str:
    if not at.json or not at.words:
        raise planner.fail(at, 'SHELL requires the arguments to be in JSON form: SHELL ["/bin/bash", "-c"]')
    stage.shell = at.words
    stage.config["config"]["Shell"] = list(at.words)
    return f"[{' '.join(at.words)}]"


def _healthcheck(planner: Planner, stage: Stage, at: Instruction) -> str:
    kind, _, rest = at.text.partition(" ")
    if kind.upper() == "NONE":
        if rest.strip() or at.flags:
            raise planner.fail(at, "HEALTHCHECK NONE takes no arguments")
        stage.config["config"]["Healthcheck"] = {"Test": ["NONE"]}
        return history.healthcheck({"Test": ["NONE"]}).partition(" ")[2]
    if kind.upper() != "CMD":
        raise planner.fail(at, f"unknown type {kind!r} in HEALTHCHECK (try CMD)", kind)
    if not rest.strip():
        raise planner.fail(at, "missing command after HEALTHCHECK CMD")
    words = dockerfile.parse(f"CMD {rest.strip()}").instructions[0]
    check: dict[str, Any] = {"Test": ["CMD", *words.words] if words.json else ["CMD-SHELL", rest.strip()]}
    for name, value in at.flags:
        field = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
                 "start-interval": "StartInterval", "retries": "Retries"}.get(name)
        if field is None:
            raise planner.fail(at, f"unknown flag: {name}", f"--{name}")
        if field == "Retries":
            if not value.isdigit() or value == "0":
                raise planner.fail(at, f"--retries must be at least 1 (not {value})", value)
            check[field] = int(value)
        else:
            check[field] = _nanoseconds(planner, at, name, value)
    stage.config["config"]["Healthcheck"] = check
    return history.healthcheck(check).partition(" ")[2]


def _nanoseconds(planner: Planner, at: Instruction, name: str, value: str) -> int:
    if not _DURATION.fullmatch(value):
        raise planner.fail(at, f"--{name}: invalid duration {value!r}: it is written like 30s or 1m30s", value)
    total = sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|s|ns)", value))
    if total >= 1 << 63:
        raise planner.fail(at, f"--{name}: no health check takes longer than 292 years")
    return int(total)


def _onbuild(planner: Planner, stage: Stage, at: Instruction) -> str:
    name = at.text.split(" ")[0].upper()
    if name in ("ONBUILD", "FROM", "MAINTAINER"):
        what = "Chaining ONBUILD via `ONBUILD ONBUILD`" if name == "ONBUILD" else name
        raise planner.fail(at, f"{what} isn't allowed{'' if name == 'ONBUILD' else ' as an ONBUILD trigger'}")
    try:
        dockerfile.parse(at.text)  # a mistake in it is found here, not by whoever builds upon this image
    except DockerfileError as error:
        raise planner.fail(at, error.sentence, at.text) from error
    stage.config["config"].setdefault("OnBuild", []).append(at.text)
    return at.text


def run_trigger(planner: Planner, stage: Stage, at: Instruction, text: str) -> None:
    """An ONBUILD of the base image: as if it stood behind this FROM."""
    for each in dockerfile.parse(text).instructions:
        planner.step(stage, Instruction(each.name, at.place, each.text, each.flags, each.words, each.json,
                                        each.heredocs, f"{text}", at.end, text, at.number))


_APPLY: dict[str, Callable[[Planner, Stage, Instruction], str]] = {
    "ENV": _env, "ARG": _arg, "LABEL": _label, "MAINTAINER": _maintainer, "USER": _user, "CMD": _cmd,
    "ENTRYPOINT": _entrypoint, "EXPOSE": _expose, "VOLUME": _volume, "STOPSIGNAL": _stopsignal, "SHELL": _shell,
    "HEALTHCHECK": _healthcheck, "ONBUILD": _onbuild}
