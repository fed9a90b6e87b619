"""Mistakes in lab04: (the cell that a learner hands in, words of its hint)."""

from __future__ import annotations

from typing import Any

PKG = "RUN pkg install $(cat packages.txt)\n"
HEAD = "FROM kit/toolchain AS program\nWORKDIR /shop\nCOPY packages.txt .\n"
SRC = "COPY src src\n"
BUNDLE = "RUN bundle /usr/bin/shop src/*.awk /usr/lib/awk/*.awk\n"
PROGRAM = HEAD + PKG + SRC + BUNDLE
SMALL = "FROM busybox\nCOPY --from=program /usr/bin/shop /usr/bin/shop\n"
CMP = "RUN shop | cmp - tests/expected.txt\n"
PICTURES = "COPY pictures /pictures\nRUN sleep 0.4; gzip -9 /pictures/*\n"
PACKED = "COPY --from=pictures /pictures /var/www\n"


def file(name: str, text: str, before: str = "") -> str:
    return f"{before}lab.answer({name!r}, {text!r})"


def graph(runs: int = 3, stages: tuple[str, ...] = ("test",), **pairs: bool) -> str:
    right = {"pkg install, gzip": True, "bundle, gzip": True, "pkg install, bundle": False, "the two last COPYs": False}
    named = {name.replace("_", " ").replace("  ", ", "): value for name, value in pairs.items()}
    given = {"RUN steps that run": runs, "stages that are not built": list(stages), "side by side": right | named}
    return f'lab.answer("graph", {given!r})'


def mended(line: int = 11, steps: int = 0, *, copi: bool = True, instal: bool = True, picture: bool = True) -> str:
    first = {"line": line, "steps that ran": steps}
    return ('from pathlib import Path\nmended = Path("shop/broken.Dockerfile").read_text()\n'
            + ('mended = mended.replace("COPI", "COPY")\n' if copi else "")
            + ('mended = mended.replace("instal ", "install ")\n' if instal else "")
            + ('mended = mended.replace("COPY --from=picture /pictures /var/www\\n", "")\n' if picture else "")
            + f'lab.answer("first", {first!r})\nlab.answer("mended", mended)')


def leaked(told: str) -> str:
    return ("import re, subprocess\n"
            'said = subprocess.run(["kit", "image", "inspect", "kit/leaky"], capture_output=True, text=True).stdout\n'
            'found = {n: re.search(rf"\\b{n}=(\\w+)", said)[1] for n in ("TOKEN", "API_KEY")}\n'
            f'lab.answer("leaked", {told})')


def invoice(install: str, *, more: str = "", end: str = "") -> str:
    return file("secret", "FROM kit/toolchain\nWORKDIR /invoice\nCOPY packages.txt .\n" + more + install + SRC
                + "RUN bundle /usr/bin/invoice src/*.awk /usr/lib/awk/*.awk\n" + end)


def same(version: str, *, copy: bool = True) -> str:
    return file("reproducible", PROGRAM + version + SMALL
                + ("COPY --from=program /shop/version /etc/shop-version\n" if copy else ""))


def nobody(text: str, **who: str) -> str:
    right = {"inside RUN": "root", "files of COPY after USER": "root"}
    given = right | {name.replace("_", " "): value for name, value in who.items()}
    return f'lab.answer("who", {given!r})\n' + file("rootless", PROGRAM + SMALL + text)


MINE = "COPY --chown=10001 packages.txt /data/prices\n"

WRONG: dict[str, dict[str, Any]] = {
    "read_graph": {
        "all stages are built": (graph(4, ()), "Begin at the end"),
        "counts the test": (graph(4), "only in the stages that are built"),
        "order of the lines": (graph(bundle__gzip=False), "The order of the lines in the file does not count"),
        "all at once": (graph(the_two_last_COPYs=True), "the second needs the first one's files"),
    },
    "mend": {
        "from top to bottom": (mended(4), "It is not the first mistake in the file"),
        "ran until there": (mended(steps=4), "The whole file is read before the first step begins"),
        "the word in a RUN": (mended(instal=False), "read what the step itself has printed"),
        "not even the first": (mended(copi=False), "It never began: a word is wrong."),
    },
    "order": {
        "copies everything first": (file("order", HEAD.replace("packages.txt", ".") + PKG + BUNDLE),
                                    "What does pkg install really need?"),
        "sources first": (file("order", HEAD + SRC + PKG + BUNDLE), "Does it need the sources?"),
        "the list in the Dockerfile": (file("order", HEAD + "RUN pkg install money table\n" + SRC + BUNDLE),
                                       "The list belongs into the file"),
        "all in one RUN": (file("order", HEAD + SRC + PKG.strip() + " && " + BUNDLE.removeprefix("RUN ")),
                           "One RUN is one node of the graph"),
    },
    "cache_mount": {
        "no mount": (file("cache_mount", PROGRAM), "one line more, and all is fetched again"),
        "another directory": (file("cache_mount", PROGRAM.replace(
            "RUN pkg", "RUN --mount=type=cache,target=/root/.cache pkg")), "not the one in which pkg looks"),
        "memory": (file("cache_mount", PROGRAM.replace("RUN pkg", "RUN --mount=type=tmpfs,target=/var/cache/pkg pkg")),
                   "That kind of mount is gone after its step"),
        "in the image": (file("cache_mount", "FROM kit/toolchain AS program\nWORKDIR /shop\nRUN pkg install money table"
                              "\nCOPY packages.txt .\n" + PKG + SRC + BUNDLE), "everybody who pulls the image"),
    },
    "dockerignore": {
        "one star": (file("dockerignore", "*.log\n"), "Two stars stand for any number of directories"),
        "everything": (file("dockerignore", "*\n"), "packages.txt is hidden, too"),
        "the sources": (file("dockerignore", "*.log\nsrc\n"), "Hide the log beside them"),
        "pictures, too": (file("dockerignore", "**/*.log\npictures\n"), "belong into this image"),
    },
    "multi_stage": {
        "one stage": (file("multi_stage", PROGRAM), "A second FROM begins anew"),
        "rm": (file("multi_stage", PROGRAM + "RUN rm -rf /usr/share/manuals /usr/share/mirror\n"),
               "`rm` in a later layer hides"),
        "the same base again": (file("multi_stage", PROGRAM + SMALL.replace("FROM busybox", "FROM kit/toolchain")),
                                "What does it begin with, and what does it copy?"),
        "from scratch": (file("multi_stage", PROGRAM + SMALL.replace("FROM busybox", "FROM scratch")),
                         "what does an image need to run that?"),
    },
    "side_by_side": {
        "one after the other": (file("side_by_side", HEAD + PICTURES + PKG + SRC + BUNDLE + SMALL),
                                "Give the pictures a stage of their own"),
        "one shell": (file("side_by_side", HEAD + "COPY pictures /pictures\nRUN pkg install $(cat packages.txt) & "
                           "sleep 0.4; gzip -9 /pictures/*; wait\n" + SRC + BUNDLE + SMALL),
                      "the graph knows nothing of it"),
        "nobody needs the pictures": (file("side_by_side", "FROM kit/toolchain AS pictures\n" + PICTURES + PROGRAM
                                           + SMALL), "Nothing copies from it"),
        "one stage on the other": (file("side_by_side", PROGRAM + "FROM program AS pictures\n" + PICTURES + SMALL
                                        + PACKED), "one stage begins FROM the other"),
    },
    "target": {
        "everybody tests": (file("target", PROGRAM + "FROM program AS test\nCOPY tests tests\n" + CMP
                                 + SMALL.replace("=program", "=test")), "The image stands on the test"),
        "no such stage": (file("target", PROGRAM + "COPY tests tests\n" + CMP + SMALL), "gives a stage its name"),
        "the last stage": (file("target", PROGRAM + SMALL + "FROM program AS test\nCOPY tests tests\n" + CMP),
                           "Let another one be the last"),
        "or true": (file("target", PROGRAM + "FROM program AS test\nCOPY tests tests\n" + CMP.strip() + " || true\n"
                         + SMALL), "Something swallows the answer"),
    },
    "leaked": {
        "swapped": (leaked('{"TOKEN": found["API_KEY"], "API_KEY": found["TOKEN"], "not in the image": "STAGE_TOKEN"}'),
                    "Each stands beside its name"),
        "the hint of nothing": (leaked('{**found, "TOKEN": "token", "not in the image": "STAGE_TOKEN"}'),
                                "created_by in the history"),
        "an ARG is safe": (leaked('{**found, "not in the image": "TOKEN"}'), "Of which stage is only a file"),
        "a variable's name": (leaked('{**found, "API_KEY": "$API_KEY", "not in the image": "STAGE_TOKEN"}'),
                              "every container of the image begins with"),
    },
    "secret": {
        "an ARG": (invoice(PKG, more="ARG TOKEN\n"), "stands in the history beside each RUN"),
        "copied and deleted": (invoice("COPY token .\nRUN TOKEN=$(cat token) pkg install $(cat packages.txt)\n"
                                       "RUN rm token\n"), "It came in by COPY"),
        "no token": (invoice(PKG), "It has to say so"),
        "written down": (invoice("RUN --mount=type=secret,id=token pkg install $(cat packages.txt) && cat "
                                 "/run/secrets/token > /etc/pkg.conf\n"), "A RUN has written it down"),
    },
    "reproducible": {
        "the clock": (same('RUN echo "built $(date)" > version\n'), "asks this machine's clock"),
        "dice": (same('ARG SOURCE_DATE_EPOCH\nRUN echo "built $(date -u -d @$SOURCE_DATE_EPOCH) as '
                      '$(head -c 6 /dev/urandom | sha256sum)" > version\n'), "Chance is a poor version number"),
        "no line": (same("RUN echo 1.0 > version\n"), "Keep the line"),
        "a fixed day": (same('RUN echo "built on a Monday" > version\n'), "comes as an argument"),
    },
    "rootless": {
        "not root inside": (nobody(MINE + "USER 10001\n", inside_RUN="me"), "inside RUN you are root"),
        "still root": (nobody(MINE), "USER says as whom"),
        "a name": (nobody(MINE + "USER nobody\n"), "looks at numbers"),
        "USER above COPY": (nobody("USER 10001\nCOPY packages.txt /data/prices\n"), "COPY --chown=… says whose"),
    },
}
