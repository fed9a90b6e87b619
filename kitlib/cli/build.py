"""`kit build`: an image out of a Dockerfile.

    kit build . -t kit/app:v1
    kit build . -f app.Dockerfile --build-arg VERSION=2 --target test
    kit build . --secret id=token,src=token.txt
    kit build . --graph              which steps there were, what ran, what the cache knew, and why not
    kit build . --svg graph.svg      the same as a picture

The image lands in the store that clusters on this machine run images from: see `kit image list`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.cli.common import Commands, command, note, print_json
from kitlib.cluster.errors import KitError, UsageError
from kitlib.images.build import again

if TYPE_CHECKING:
    from kitlib.images.build.build import Built
    from kitlib.images.build.report import Report


def register(commands: Commands) -> None:
    parser = command(commands, "build", run_build, cluster=False, description=__doc__)
    parser.add_argument("context", help="a directory: what COPY can take")
    parser.add_argument("-t", "--tag", action="append", default=[], metavar="NAME")
    parser.add_argument("-f", "--file", metavar="FILE", help="default: Dockerfile in the context; - for stdin")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--secret", action="append", default=[], metavar="id=ID,src=FILE|env=NAME")
    parser.add_argument("--target", default="", metavar="STAGE")
    parser.add_argument("--platform", default="", metavar="OS/ARCH", help="what the image says it is for")
    parser.add_argument("--no-cache", action="store_true", help="run every step")
    parser.add_argument("--graph", action="store_true", help="afterwards, what became of every step")
    parser.add_argument("--svg", metavar="FILE", help="write the graph as a picture")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the image's id only")


def run_build(arguments: argparse.Namespace) -> int | None:
    from kitlib.cli.buildprinter import Printer
    from kitlib.images.build.build import BuildError, Settings
    from kitlib.images.build.dockerfile import DockerfileError
    from kitlib.images.build.ignore import Context
    from kitlib.images.build.job import make
    from kitlib.images.errors import ImageError
    from kitlib.images.store import default_store

    context = Path(arguments.context)
    if not context.is_dir():
        raise UsageError(f"{context} is no directory: a build needs one as its context.")
    file, text = _dockerfile(context, arguments.file)
    settings = Settings(_pairs(arguments.build_arg, "--build-arg"), arguments.target,
                        _pairs(arguments.label, "--label"), _secrets(arguments.secret), arguments.no_cache, file,
                        arguments.platform)
    names = [_name(tag) for tag in arguments.tag]
    began, seen = time.time_ns(), again.look(str(context), Context(context, file).ignore.hides)
    try:
        with Printer(quiet=arguments.quiet or arguments.json) as printer:
            built, report = make(default_store(), context, text, settings, names, tell=printer.tell, say=printer.say)
    except (DockerfileError, BuildError, ImageError) as error:
        raise KitError(f"{error}.") from error
    if not (arguments.json or arguments.graph or arguments.svg or arguments.no_cache or arguments.file == "-"):
        _keep(arguments, built, seen, began)
    for warning in built.plan.warnings:
        note(warning)
    if arguments.svg:
        _draw(report, arguments)
    if arguments.json:
        print_json(_document(built, report))
    elif arguments.quiet:
        print(built.image.id)
    else:
        if arguments.graph:
            from kitlib.views import build_text

            print(build_text.render(report))
        print(f"{', '.join(arguments.tag) or 'built'}  {built.image.id}  in {built.seconds:.1f} s")
    return None


def _draw(report: Report, arguments: argparse.Namespace) -> None:
    from kitlib.views import build_svg

    try:
        Path(arguments.svg).write_text(build_svg.render(report, f"kit build {arguments.context}"), encoding="utf-8")
    except OSError as error:
        raise KitError(f"{arguments.svg} cannot be written: {error.strerror}.") from error


def _dockerfile(context: Path, wanted: str | None) -> tuple[str, str]:
    """Its name, as complaints call it, and its text."""
    if wanted == "-":
        return "stdin", sys.stdin.read()
    path = Path(wanted) if wanted else context / "Dockerfile"
    if wanted and not path.exists() and (context / wanted).exists():
        path = context / wanted
    try:
        return path.name, path.read_text()
    except FileNotFoundError as error:
        raise KitError(f"failed to read dockerfile: open {path}: no such file.") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise KitError(f"{path} is no text that could be a Dockerfile.") from error


def _pairs(words: list[str], option: str) -> dict[str, str]:
    """NAME=VALUE; a NAME alone takes its value from the environment."""
    found = {}
    for word in words:
        name, there, value = word.partition("=")
        if not name:
            raise UsageError(f"{option} {word!r}: it is written NAME=VALUE.")
        found[name] = value if there else os.environ.get(name, "")
    return found


def _secrets(words: list[str]) -> dict[str, bytes]:
    found = {}
    for word in words:
        fields = dict(part.partition("=")[::2] for part in word.split(","))
        source = fields.get("src") or fields.get("source")
        identity = fields.get("id") or (Path(source).name if source else "")
        if not identity:
            raise UsageError(f"--secret {word!r}: it is written id=ID,src=FILE or id=ID,env=NAME.")
        try:
            found[identity] = Path(source).read_bytes() if source else os.environ[fields.get("env", identity)].encode()
        except (OSError, KeyError) as error:
            raise KitError(f"secret {identity}: {source or 'variable ' + fields.get('env', identity)} cannot be read."
                           ) from error
    return found


def _name(tag: str) -> str:
    from kitlib.images.reference import parse

    found = parse(tag)
    if found is None or found.digest:
        raise UsageError(f"{tag!r} is no name for an image: try something like kit/app:v1.")
    return str(found)


def _keep(arguments: argparse.Namespace, built: Built, seen: again.Look, began: int) -> None:
    from kitlib.images.build.operations import From
    from kitlib.images.reference import parse
    from kitlib.images.store import default_store

    context, names = Path(arguments.context), default_store().names()
    bases = [s.operation.image for s in built.plan.steps
             if isinstance(s.operation, From) and s.operation.image != "scratch"]
    full = [str(parse(name)) for name in (*bases, *arguments.tag)]
    if any(name not in names for name in full):
        return  # a base that is named by its id or digest
    file = Path(arguments.file) if arguments.file else context / "Dockerfile"
    file = file if file.exists() else context / file
    steps = [f"#{s.number} CACHED {s.title}" for s in built.plan.steps
             if s.number in built.outcomes and built.outcomes[s.number].how != "noted"]
    image = built.image
    line = image.id if arguments.quiet else f"{', '.join(arguments.tag) or 'built'}  {image.id}  unchanged"
    again.keep(arguments.command_line, str(context), seen, began, files=map(str, (
        file, file.with_name(f"{file.name}.dockerignore"), context / f"{file.name}.dockerignore",
        context / ".dockerignore")), named={name: names[name].digest for name in full},
        blobs=[image.digest, image.id, *(layer.digest for layer in image.layers)],
        variables=[word for word in arguments.build_arg if "=" not in word],
        answer={"steps": [] if arguments.quiet else [*built.plan.warnings, *steps], "line": line})


def _document(built: Built, report: Report) -> dict[str, Any]:
    steps = [{"step": step.pop("number"), **step} for step in report.json()["steps"]]
    return {"id": built.image.id, "digest": built.image.digest, "name": built.image.name, "seconds": report.seconds,
            "isolation": report.isolation, "steps": steps}
