"""From instructions to a graph of steps: stages, arguments and what every step stands on.

    FROM golang AS build ──▶ COPY . . ──▶ RUN go build ─┐
    FROM scratch ────────────────────────────────────────▶ COPY --from=build /app / ──▶ CMD

Nothing is run here.  Configurations of base images are asked for (`base`), since their ENV and WORKDIR decide what
later steps mean.

Source: moby/buildkit, frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kitlib.images.build import configuring, copying, platforms, running
from kitlib.images.build.dockerfile import Dockerfile, DockerfileError, Heredoc, Instruction
from kitlib.images.build.operations import From, Mkdir, Note, Operation, Step
from kitlib.images.build.words import WordError, expand, split
from kitlib.images.errors import ImageError
from kitlib.images.reference import parse as parse_reference

Base = Callable[[str], Mapping[str, Any]]  # an image's name → its OCI config; raises ImageError
SCRATCH = "scratch"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Arguments that every build knows without ARG: they are not part of any cache key until they are used.
PROXIES = tuple(name for each in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
                for name in (each, each.lower()))


@dataclass
class Stage:
    """A stage while it is read."""

    number: int
    name: str
    config: dict[str, Any]
    last: int  # its newest step
    args: dict[str, str | None] = field(default_factory=dict)  # ARGs that have been declared; None: without a value
    variables: dict[str, str] = field(default_factory=dict)  # ARG and ENV as they came, of the stage below first
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    onbuild: list[str] = field(default_factory=list)
    command_set: bool = False  # CMD was given in this stage

    classic: bool = False

    def env(self) -> dict[str, str]:
        """What RUN sees and what $VARIABLES mean: of ARG and ENV whichever came last (classic: ENV over ARG)."""
        if not self.classic:
            return self.variables
        declared = {name: value for name, value in self.args.items() if value is not None}
        return {**declared, **dict(item.partition("=")[::2] for item in self.config["config"].get("Env") or ())}

    def begin(self, below: Mapping[str, str]) -> None:
        """below: the variables of the stage that it is based upon; the image's ENV is over them."""
        settings = self.config["config"].get("Env") or ()
        self.variables = {**below, **dict(item.partition("=")[::2] for item in settings)}

    @property
    def cwd(self) -> str:
        return self.config["config"].get("WorkingDir") or "/"


@dataclass(frozen=True)
class Plan:
    """The graph.  steps[i].number == i; target: the step that is the image; stages: names or numbers."""

    steps: tuple[Step, ...]
    target: int
    stages: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def needed(self) -> list[Step]:
        """Only what the target stands on: a stage that nobody asks for is not built."""
        wanted, waiting = set(), [self.target]
        while waiting:
            number = waiting.pop()
            if number not in wanted:
                wanted.add(number)
                waiting += self.steps[number].needs()
        return [step for step in self.steps if step.number in wanted]


class Planner:
    """Reads a Dockerfile from top to bottom.  args: --build-arg; file: for complaints; classic: as Docker's classic
    builder understands it, where that differs from BuildKit (who owns WORKDIR, ARG beside ENV, volumes)."""

    def __init__(self, dockerfile: Dockerfile, base: Base, args: Mapping[str, str], file: str, classic: bool,
                 platform: str) -> None:
        self.classic, self.platform = classic, platform
        self.warnings: list[str] = []
        self.dockerfile, self.base, self.given, self.file = dockerfile, base, dict(args), file
        self.steps: list[Step] = []
        self.stages: list[Stage] = []
        self.named: dict[str, int] = {}      # stage name → its number
        self.images: dict[str, int] = {}     # image of COPY --from → its step
        self.used: set[str] = set()
        found = platforms.read(platform) if platform else platforms.HERE
        if found is None:
            raise DockerfileError(dockerfile.instructions[0].place, f"failed to parse platform {platform}: it is "
                                  "written os/architecture, linux/arm64 for instance", file)
        self.globals = {**platforms.arguments("BUILD", platforms.HERE), **platforms.arguments("TARGET", found)}
        self.predefined = dict(self.globals)

    def fail(self, at: Instruction, sentence: str, part: str = "") -> DockerfileError:
        """part: what of it is wrong, as it stands in the file."""
        return DockerfileError(at.where(part), sentence, self.file)

    def words(self, at: Instruction, text: str, env: Mapping[str, str]) -> str:
        try:
            return expand(text, env, self.dockerfile.escape)
        except WordError as error:
            raise self.fail(at, f"failed to process {text!r}: {error.sentence}", text) from error

    def split(self, at: Instruction, env: Mapping[str, str]) -> list[str]:
        try:
            return split(at.text, env, self.dockerfile.escape)
        except WordError as error:
            raise self.fail(at, f"failed to process {at.text!r}: {error.sentence}") from error

    def words_of_heredoc(self, at: Instruction, given: Heredoc, env: Mapping[str, str]) -> str:
        """Its lines, with variables filled in but quotes kept, unless its name was quoted."""
        if not given.expand:
            return given.content
        try:
            return expand(given.content, env, self.dockerfile.escape, keep_quotes=True)
        except WordError as error:
            raise self.fail(at, f"heredoc {given.name}: {error.sentence}") from error

    def read(self, target: str, labels: Mapping[str, str]) -> Plan:
        for instruction in self.dockerfile.instructions:
            if instruction.name == "FROM":
                self._from(instruction)
            elif not self.stages and instruction.name == "ARG":
                for name, value in configuring.arguments(self, instruction, self.globals):
                    known = self.globals.get(name, "") if value is None else value
                    self.globals[name] = self.given.get(name, known)
                    self.used.add(name)
            elif not self.stages:
                raise self.fail(instruction, f"no build stage in current context: {instruction.name} stands before the "
                                             "first FROM")
            else:
                self.step(self.stages[-1], instruction)
        if not self.stages:
            raise DockerfileError(self.dockerfile.instructions[-1].place, "the file has no FROM", self.file)
        unused = sorted(set(self.given) - self.used - {*PROXIES, *self.predefined, "SOURCE_DATE_EPOCH"})
        if unused:
            self.warnings.append(f"[Warning] One or more build-args {unused} were not consumed")
        stage = self._target(target)
        for number, (name, value) in enumerate(sorted(labels.items()), len(self.dockerfile.instructions) + 1):
            said = f"LABEL {name}={value}"
            stage.config["config"].setdefault("Labels", {})[name] = value
            self.add(stage, Instruction("LABEL", self.dockerfile.instructions[-1].place, f"{name}={value}", source=said,
                                        joined=said, number=number), Note(), said=said)
        return Plan(tuple(self.steps), stage.last, tuple(s.name or str(s.number) for s in self.stages),
                    tuple(self.warnings))

    def _target(self, wanted: str) -> Stage:
        if not wanted:
            return self.stages[-1]
        number = self.named.get(wanted.lower(), int(wanted) if wanted.isdigit() else -1)
        if not 0 <= number < len(self.stages):
            known = ", ".join(s.name or str(s.number) for s in self.stages)
            raise DockerfileError(self.dockerfile.instructions[0].place,
                                  f"target stage {wanted!r} could not be found; there are: {known}", self.file)
        return self.stages[number]

    def add(self, stage: Stage, at: Instruction, operation: Operation, base: int | None = None, *,
            said: str = "") -> int:
        title = " ".join(f"{at.name} {at.source.strip().partition(' ')[2].strip()}".replace("\\\n", " ").split())
        before = base if base is not None else (None if isinstance(operation, From) else stage.last)
        step = Step(len(self.steps), stage.number, at.place.line, title, operation, before,
                    copy.deepcopy(stage.config), said or title, stage.shell, at.joined, at.number, at.place.column)
        self.steps.append(step)
        stage.last = step.number
        return step.number

    def _from(self, at: Instruction) -> None:
        for name, _ in at.flags:
            if name != "platform":
                raise self.fail(at, f"unknown flag: {name}", f"--{name}")
        parts = at.text.split()
        if len(parts) not in (1, 3) or (len(parts) == 3 and parts[1].upper() != "AS"):
            raise self.fail(at, "FROM requires either one or three arguments: FROM image [AS name]")
        image = self.words(at, parts[0], self.globals)
        if not image:
            raise self.fail(at, f"base name ({parts[0]}) should not be blank: no ARG before the first FROM has a value "
                                "for it", parts[0])
        name = parts[2].lower() if len(parts) == 3 else ""
        if name in self.named:
            self.warnings.append(f"[Warning] {self.file}:{at.place.line}: duplicate stage name {parts[2]}: from here "
                                 "on it means this stage")
        number = len(self.stages)
        known = self.named.get(image.lower())
        if known is not None:
            source = self.stages[known]
            stage = Stage(number, name, copy.deepcopy(source.config), source.last, shell=source.shell,
                          classic=self.classic)
            stage.begin(source.variables)
            stage.onbuild = list(stage.config["config"].pop("OnBuild", None) or ())
            self.stages.append(stage)
            self.add(stage, at, Note(), source.last)
        else:
            stage = Stage(number, name, self._config_of(image, at, parts[0]), -1, classic=self.classic)
            stage.onbuild = list(stage.config["config"].pop("OnBuild", None) or ())
            stage.begin({})
            self.stages.append(stage)
            self.add(stage, at, From(image))
        if name:
            self.named[name] = number
        for trigger in stage.onbuild:
            configuring.run_trigger(self, stage, at, trigger)

    def _config_of(self, image: str, at: Instruction, part: str = "") -> dict[str, Any]:
        wanted = platforms.read(self.words(at, at.flag("platform"), self.globals) or self.platform) \
            if at.flag("platform") or self.platform else None
        if wanted is None and at.flag("platform"):
            raise self.fail(at, f"failed to parse platform {at.flag('platform')}: it is written os/architecture, "
                                "linux/arm64 for instance", at.flag("platform"))
        if image == SCRATCH:
            found: dict[str, Any] = {**platforms.fields(wanted or platforms.HERE), "config": {}}
        else:
            if parse_reference(image) is None and not image.startswith("sha256:"):
                raise self.fail(at, f'failed to parse stage name "{image}": invalid reference format'
                                    f"{': repository name must be lowercase' if image != image.lower() else ''}", part)
            found = copy.deepcopy(dict(self.base(image)))
            has = platforms.of(found)
            if wanted is not None and has != wanted:
                self.warnings.append(f"[Warning] {self.file}:{at.place.line}: {image} is for {has}, not for {wanted}; "
                                     "RUN uses it as it is")
        config = found.setdefault("config", {}) or {}
        found["config"] = dict(config)
        if not any(item.startswith("PATH=") for item in config.get("Env") or ()):
            found["config"]["Env"] = [f"PATH={DEFAULT_PATH}", *(config.get("Env") or ())]
        return found

    def image_step(self, image: str, at: Instruction) -> int:
        """The step of an image that files are taken from; each image once."""
        if image not in self.images:
            try:
                stage = Stage(-1, image, self._config_of(image, at), -1)
            except ImageError as error:
                raise ImageError(f"invalid from flag value {image}: {error}") from error
            self.images[image] = self.add(stage, at, From(image))
        return self.images[image]

    def source_step(self, wanted: str, stage: Stage, at: Instruction) -> int:
        """What --from means: a stage before this one, or an image."""
        number = self.named.get(wanted.lower(), int(wanted) if wanted.isdigit() else -1)
        if number == stage.number:
            raise self.fail(at, f"invalid from flag value {wanted}: a stage cannot take files from itself", wanted)
        if 0 <= number < stage.number:
            return self.stages[number].last
        if wanted.isdigit():
            raise self.fail(at, f"invalid from flag value {wanted}: there is no stage {wanted} before this one", wanted)
        return self.image_step(wanted, at)

    def step(self, stage: Stage, at: Instruction) -> None:
        if at.name == "RUN":
            running.run(self, stage, at)
        elif at.name in ("COPY", "ADD"):
            copying.copy(self, stage, at)
        elif at.name == "WORKDIR":
            path = self.words(at, at.text, stage.env())
            path = posixpath.normpath(posixpath.join(stage.cwd, path))
            stage.config["config"]["WorkingDir"] = path
            owner = "" if self.classic else str(stage.config["config"].get("User") or "")
            self.add(stage, at, Mkdir(path, owner), said=f"WORKDIR {path}")
        else:
            configuring.apply(self, stage, at)


def plan(dockerfile: Dockerfile, base: Base, *, args: Mapping[str, str] | None = None, target: str = "",
         file: str = "Dockerfile", classic: bool = False, labels: Mapping[str, str] | None = None,
         platform: str = "") -> Plan:
    """labels: as if the target's stage ended with a LABEL for each.  Raises DockerfileError, and what `base` raises."""
    return Planner(dockerfile, base, args or {}, file, classic, platform).read(target, labels or {})
