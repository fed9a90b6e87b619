"""What an image's history says of a step: `docker history` shows it beside the layer that it made.

    kind          RUN make                                  ENV A=1 B="x y"
    BuildKit      RUN |1 V=2 /bin/sh -c make # buildkit     ENV A=1 B=x y
    classic       |1 V=2 /bin/sh -c make                    /bin/sh -c #(nop)  ENV A=1 B=x y

Values are those that the step had, variables filled in; lists and quotes are written as Go's %q writes them.

Source: moby/buildkit, dockerfile2llb (commitToHistory); moby, builder/dockerfile/dispatchers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kitlib.images.build.operations import Copy, Mkdir, Run, Step

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
            "\v": "\\v"}  # fmt: skip


def quoted(text: str) -> str:
    """Go's strconv.Quote."""
    out = "".join(_ESCAPES.get(c) or (c if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 128 else
                                      f"\\u{ord(c):04x}") for c in text)
    return f'"{out}"'


def quoted_list(words: Iterable[str]) -> str:
    return f"[{' '.join(map(quoted, words))}]"


def pairs(found: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in found)


def duration(nanoseconds: int) -> str:
    """Go's time.Duration: 1m30s, 500ms, 0s."""
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{nanoseconds / size:g}{unit}"
        return "0s"
    minutes, seconds = divmod(nanoseconds / 1e9, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{seconds:g}s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


def healthcheck(check: Mapping[str, Any]) -> str:
    """As %q prints Docker's HealthConfig; the number of retries comes out as a character."""
    times = [duration(check.get(name, 0)) for name in ("Interval", "Timeout", "StartPeriod")]
    if "StartInterval" in check:
        times.append(duration(check["StartInterval"]))
    retries = check.get("Retries", 0)
    shown = chr(retries) if 32 <= retries < 127 else f"\\x{retries:02x}"
    return f"HEALTHCHECK &{{{quoted_list(check['Test'])} {' '.join(map(quoted, times))} '{shown}'}}"


def command(argv: Iterable[str], args: Mapping[str, str]) -> str:
    """A RUN's words, and before them the ARGs that it could see."""
    counted = [f"|{len(args)}", *(f"{name}={value}" for name, value in args.items())] if args else []
    return " ".join([*counted, *argv])


def created_by(step: Step) -> str:
    """BuildKit's form."""
    written = isinstance(step.operation, (Run, Copy))
    return f"{step.said} # buildkit" if written else step.said


def classic(step: Step, taken: str = "") -> str:
    """The classic builder's.  taken: by a COPY: file:…, dir:… or multi:… and a digest."""
    operation, shell = step.operation, " ".join(step.shell)
    if isinstance(operation, Run):
        return command(operation.argv, dict(sorted(operation.args.items())))
    if isinstance(operation, Copy):
        name, _, rest = step.said.partition(" ")
        owner = f"--chown={operation.owner}" if operation.owner else ""
        return f"{shell} #(nop) {name} {owner}{taken} in {rest} "
    return f"{shell} #(nop) {'' if isinstance(operation, Mkdir) else ' '}{step.said}"
