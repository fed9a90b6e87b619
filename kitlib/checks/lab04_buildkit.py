"""Checks of lab04: the graph of a build, what its cache keeps, and what it leaves behind.

Every Dockerfile that is handed in is built anew by the check (`builds.py`): with the book's own files, a fresh cache,
and secrets that the learner has never seen.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from typing import Any

from kitlib.checks.builds import Failure, Image, attempt, images, is_moment, said, step_with, whole
from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World
from kitlib.images.build.dockerfile import DockerfileError, parse
from kitlib.images.build.plan import plan
from kitlib.images.build.report import planned
from kitlib.images.samples import INVOICE, SHOP

TITLE = "Building images"
MINUTES = 100
NAMESPACE = "lab04"

PAIRS = {"pkg install, gzip": ("pkg install", "gzip"), "bundle, gzip": ("RUN bundle", "gzip"),
         "pkg install, bundle": ("pkg install", "RUN bundle"), "the two last COPYs": ("COPY --from=program",
                                                                                    "COPY --from=pictures")}
DEARER = {"src/goods.awk": SHOP["src/goods.awk"].replace("350", "360")}
MORE = {"packages.txt": SHOP["packages.txt"] + "tax\n"}
PORTION = 0.5  # of the tool chain's bytes: there is room for busybox, and a little
IGNORING = """FROM kit/toolchain
WORKDIR /shop
COPY packages.txt .
RUN pkg install $(cat packages.txt)
COPY . .
RUN bundle /usr/bin/shop src/*.awk /usr/lib/awk/*.awk
"""


def _shop_runs(built: Image | Failure, price: str) -> None:
    """The last step of a build was `RUN shop`."""
    if isinstance(built, Failure):
        raise Wrong("the image has no program `shop` that runs", "It belongs to /usr/bin/shop, and it is written in "
                    "awk: what does an image need to run that?", actual=built.output.strip() or str(built))
    if price not in said(built, "RUN shop"):
        raise Wrong("the shop sells something else", "It is bundled from src/*.awk and the packages.",
                    expected=f"tea {price}", actual=said(built, "RUN shop"))


@exercise(points=2)
def read_graph(world: World) -> None:
    """The graph was read: what runs, what does not, and what may run side by side"""
    given = world.answer("graph", {"RUN steps that run": int, "stages that are not built": [str],
                                   "side by side": dict.fromkeys(PAIRS, bool)})
    report = planned(plan(parse(SHOP["Dockerfile"]), lambda name: {"config": {}}))
    skipped = sorted({step.stage for step in report.steps if step.how == "skipped"})
    if sorted(given["stages that are not built"]) != skipped:
        raise Wrong("those are not the stages that nobody needs", "Begin at the end: what does the last stage copy, "
                    "and from where? Follow the arrows backwards. What you never come by is not built.",
                    actual=given["stages that are not built"])
    runs = sum(step.kind == "run" and step.how != "skipped" for step in report.steps)
    if given["RUN steps that run"] != runs:
        raise Wrong(f"{given['RUN steps that run']} is not the number of RUN steps", "Count the RUNs, but only in the "
                    "stages that are built. A stage that others build on runs once.",
                    actual=given["RUN steps that run"])
    for name, (one, other) in PAIRS.items():
        allowed = report.independent(report.step(one).number, report.step(other).number)
        if given["side by side"][name] != allowed:
            raise Wrong(f"{name}: not so", "There is a way of arrows from one to the other: the second needs the "
                        "first one's files." if not allowed else "Is there a way of arrows from one to the other? The "
                        "order of the lines in the file does not count.", actual=given["side by side"][name])


@exercise(points=1)
def mend(world: World) -> None:
    """Three mistakes were found at their places, and mended"""
    given = world.answer("first", {"line": int, "steps that ran": int})
    try:
        parse(SHOP["broken.Dockerfile"])
        raise OSError("the broken Dockerfile is not broken")
    except DockerfileError as error:
        line = error.place.line
    if given["line"] != line:
        raise Wrong(f"the first complaint is not about line {given['line']}", "The builder names file, line and "
                    "column: Dockerfile:LINE:COLUMN. It is not the first mistake in the file, and the question is why.",
                    actual=given["line"])
    if given["steps that ran"] != 0:
        raise Wrong("nothing had run by then", "The whole file is read before the first step begins. A word that is no "
                    "instruction costs you nothing but the laugh.", expected=0, actual=given["steps that ran"])
    text = world.answer("mended", str)
    if "pkg instal" not in text or "pictures" in text:
        raise Wrong("something is gone that was no mistake", "Mend the words, and take out only the COPY from a stage "
                    "that is not there." if "pictures" in text else "The packages still have to be installed.")
    built, ran = attempt(world, {"dockerfile": text, "files": SHOP}, {"dockerfile": text + "\nRUN shop\n"})
    if isinstance(built, Failure):
        kinds = {"dockerfile": "It never began: a word is wrong.", "image": "A --from that is no stage of this file is "
                 "taken for the name of an image.", "step": "This one began, and failed: read what the step itself "
                 "has printed."}
        raise Wrong(f"there is another mistake: {built}", kinds[built.kind], actual=built.output.strip() or None)
    _shop_runs(ran, "3.50")


@exercise(points=2)
def order(world: World) -> None:
    """A changed source does not install the packages again"""
    text = world.answer("order", str)
    install = "Keep `pkg install $(cat packages.txt)`, and `bundle` in a RUN of its own."
    *results, ran = attempt(world, {"dockerfile": text, "files": SHOP}, {"dockerfile": text, "files": DEARER},
                            {"dockerfile": text, "files": MORE},
                            {"dockerfile": text + "\nRUN shop\n", "files": {**SHOP, **DEARER}})
    _, again, more = (image.report for image in whole(results))
    step = step_with(again, "pkg install", install)
    if "bundle" in step.title:
        raise Wrong("pkg install and bundle are one step", "One RUN is one node of the graph: it is kept whole, or "
                    "carried out whole.", actual=step.title)
    if step.how != "cached":
        blamed = next(s for s in again.steps if s.number == again.blame(step.number))
        everything = re.fullmatch(r"COPY (--\S+ )*\.\S* \S+", blamed.title)
        raise Wrong(f"only src/goods.awk has changed, and {step.title} ran again ({blamed.title}: {blamed.why})",
                    "`COPY . .` takes everything, so every change comes by there. What does pkg install really need?"
                    if everything else "What stands above `pkg install` is what it depends on. "
                    "Does it need the sources?")
    if step_with(again, "bundle", install).how != "ran":
        raise Wrong("the price has changed, and bundle did not run", "The sources have to be copied by an instruction "
                    "above bundle.")
    listed = step_with(more, "pkg install", install)
    if listed.how != "ran" or "tax" not in listed.output:
        raise Wrong("packages.txt has a new line, and nobody noticed", "The list belongs into the file, not into the "
                    "Dockerfile: copy packages.txt, and nothing else, before pkg install.", actual=step.title)
    _shop_runs(ran, "3.60")


@exercise(points=2)
def cache_mount(world: World) -> None:
    """A new package is fetched, and only the new one"""
    text = world.answer("cache_mount", str)
    first, second = images(world, {"dockerfile": text, "files": SHOP}, {"dockerfile": text, "files": MORE})
    step = step_with(second.report, "pkg install", "Keep `RUN pkg install $(cat packages.txt)`; give it a mount.")
    fetched = re.findall(r"^fetch (\w+)", said(second, "pkg install"), re.MULTILINE)
    world.evidence["seconds of pkg install"] = [
        round(image.report.step("pkg install").seconds, 2) for image in (first, second)]
    if fetched != ["tax"]:
        mounts = re.findall(r"--mount=\S+", step.title)
        if not mounts:
            elsewhere = [s.title for s in second.report.steps if "--mount=type=cache" in s.title]
            hint = ("A mount is there for its own RUN only. Which one downloads?" if elsewhere else
                    "The layer cache keeps a step whole, or not at all: one line more, and all is fetched again. "
                    "`RUN --mount=type=cache,target=…` keeps a directory.")
        elif "type=cache" not in mounts[0]:
            hint = "That kind of mount is gone after its step. Which kind outlives the build?"
        else:
            hint = "A directory is kept, but not the one in which pkg looks: `head -4 toolchain/pkg` says which."
        raise Wrong(f"{len(fetched)} packages were fetched after one was added to the list", hint, expected=["tax"],
                    actual=fetched)
    kept = [path for path in second.tree if path.startswith("var/cache/pkg/")]
    if kept:
        raise Wrong("the downloads are in the image", "What a RUN writes lands in its layer, and everybody who pulls "
                    "the image pulls it, too. A mount is a place beside the layers.", actual=sorted(kept))


@exercise(points=2)
def dockerignore(world: World) -> None:
    """A log file changes, and the cache stays"""
    text = world.answer("dockerignore", str)
    results = attempt(world, {"dockerfile": IGNORING, "files": {**SHOP, ".dockerignore": text}},
                      {"dockerfile": IGNORING, "files": {"build.log": "tuesday\n", "src/debug.log": "tuesday\n"}},
                      {"dockerfile": IGNORING, "files": DEARER})
    for result in results:
        if isinstance(result, Failure):
            raise Wrong(f"too much is hidden: {result}", "packages.txt is hidden, too: an exception begins with `!`, "
                        "but why not hide just the logs?" if "packages.txt" in result.text else "bundle no longer "
                        "finds its sources. Hide the log beside them, not the directory.",
                        actual=result.output.strip() or None)
    first, again, dearer = (result for result in results if isinstance(result, Image))
    copied = next(step for step in again.report.steps if step.title == "COPY . .")
    if copied.how != "cached":
        nested = "src/debug.log" in copied.why
        raise Wrong(f"only logs have changed, and COPY . . ran again: {copied.why}", "A pattern counts from the top of "
                    "the context: `*.log` does not mean src/debug.log. Two stars stand for any number of directories."
                    if nested else "A pattern a line: what matches is not even sent to the builder.")
    missing = [path for path in ("shop/tests/expected.txt", "shop/pictures/tea.svg", "shop/README.md")
               if path not in first.tree]
    if missing:
        raise Wrong("more than the logs is hidden", "Pictures, tests and README.md belong into this image.",
                    actual=missing)
    if dearer.report.step("bundle").how != "ran":
        raise Wrong("the price has changed, and nobody noticed", "The sources are hidden: what the builder does not "
                    "see, it does not miss.")


@exercise(points=2)
def multi_stage(world: World) -> None:
    """The image has the program, and not what made it"""
    text = world.answer("multi_stage", str)
    built, ran, toolchain = attempt(world, {"dockerfile": text, "files": SHOP}, {"dockerfile": text + "\nRUN shop\n"},
                                {"dockerfile": "FROM kit/toolchain\n"})
    if isinstance(built, Failure) or isinstance(toolchain, Failure):
        raise Wrong(f"your Dockerfile does not build: {built}", "Build it in the notebook, and read what the step "
                    "itself has printed.", actual=built.output.strip() or None if isinstance(built, Failure) else None)
    size, largest = built.report.bytes, PORTION * toolchain.report.bytes
    manuals = "usr/share/manuals" in built.tree
    if size > largest and not manuals:
        raise Wrong(f"nothing is to be seen of the tool chain, and yet the layers have {size / 1e6:.1f} MB",
                    "`rm` in a later layer hides; the layer below still has all of it. Begin the last stage with "
                    "something small instead, and copy into it.", expected=f"at most {largest / 1e6:.1f} MB")
    if size > largest:
        stages = len(built.report.stages)
        raise Wrong(f"the layers have {size / 1e6:.1f} MB, and the tool chain is among them",
                    "The tool chain makes the program; nobody needs it afterwards. A second FROM begins anew." if stages
                    == 1 else "Only the last stage is the image. What does it begin with, and what does it copy?",
                    expected=f"at most {largest / 1e6:.1f} MB")
    _shop_runs(ran, "3.50")


@exercise(points=2)
def side_by_side(world: World) -> None:
    """Packages and pictures really ran at the same time"""
    text = world.answer("side_by_side", str)
    for last in (False, True):  # a machine that was busy elsewhere gets a second chance
        built = images(world, {"dockerfile": text, "files": SHOP})[0]
        report = built.report
        packages = step_with(report, "pkg install", "Keep `RUN pkg install $(cat packages.txt)`.")
        pictures = step_with(report, "gzip", "Keep `RUN sleep 0.4; gzip -9 /pictures/*`.")
        if packages.number == pictures.number:
            raise Wrong("that is one step", "The shell ran both at once, and the graph knows nothing of it: change a "
                        "picture, and the packages are fetched again. Two stages are two branches.")
        for step in (packages, pictures):
            if step.how == "skipped":
                raise Wrong(f"{step.title} did not run: the image does not need its stage", "Nothing copies from it. "
                            "The last stage has to take what the stage made.")
        if not report.independent(packages.number, pictures.number):
            first, second = sorted((packages, pictures), key=lambda step: step.number)
            same = first.stage == second.stage
            raise Wrong(f"{second.title} stands on {first.title}", "Within a stage each step waits for the one above. "
                        "Give the pictures a stage of their own." if same else "Follow the arrows: one stage begins "
                        "FROM the other, or copies from it.")
        seconds = report.overlap(packages.number, pictures.number)
        world.evidence["seconds side by side"] = round(seconds, 2)
        if seconds >= 0.3 * min(packages.seconds, pictures.seconds):
            break
        if last:
            raise Wrong("both are there, but they hardly met", "The graph allows it. Is the machine busy? Try again.",
                        actual=f"{seconds:.2f} s")
    if not any(path.startswith("var/www/") and path.endswith(".gz") for path in built.tree):
        raise Wrong("the packed pictures are not in /var/www", "COPY --from=… /pictures /var/www",
                    actual=[path for path in built.tree if path.endswith(".gz")])


@exercise(points=2)
def target(world: World) -> None:
    """Tests run when they are asked for, and then they count"""
    text = world.answer("target", str)
    plain, tested, broken, unasked = attempt(
        world, {"dockerfile": text, "files": SHOP}, {"dockerfile": text, "target": "test"},
        {"dockerfile": text, "target": "test", "files": DEARER}, {"dockerfile": text})
    if isinstance(tested, Failure):
        raise Wrong(f"--target test does not build: {tested}", "FROM … AS test gives a stage its name."
                    if "could not be found" in tested.text else "With the sources as they are the test has to pass. "
                    "What does the stage begin with, and is the program in there?",
                    actual=tested.output.strip() or None)
    checking = [step for step in tested.report.steps if "cmp" in step.title and step.kind == "run"]
    if not any(step.how in ("ran", "cached") for step in checking):
        raise Wrong("nothing was compared", "Keep `RUN shop | cmp - tests/expected.txt`, in the stage test.")
    if isinstance(plain, Failure) or any("cmp" in s.title and s.how != "skipped" for s in plain.report.steps):
        last = not isinstance(plain, Failure) and plain.report.stages[-1] == "test"
        raise Wrong("a plain build runs the tests, too", "The last stage of the file is what a plain build makes. Let "
                    "another one be the last." if last else "The image stands on the test. Let it begin with, or copy "
                    "from, the stage above it.")
    if not isinstance(broken, Failure):
        raise Wrong("the price has changed, and the test is still content", "Something swallows the answer of `cmp`. A "
                    "RUN fails if its exit code is not 0.")
    if isinstance(unasked, Failure):
        raise Wrong("the dearer shop cannot be built at all", "A plain build is not to run the test.",
                    actual=str(unasked))


@exercise(points=2)
def leaked(world: World) -> None:
    """Two tokens were found in a finished image, and the third was not there to be found"""
    given = world.answer("leaked", {"TOKEN": str, "API_KEY": str, "not in the image": {"TOKEN", "API_KEY",
                                                                                     "STAGE_TOKEN"}})
    secret = world.find("Secret", "secrets", "leak-diary", "Run the cell that builds kit/leaky.")
    diary = json.loads(base64.b64decode(secret["data"]["diary"]))
    if given["TOKEN"] == diary["API_KEY"] or given["API_KEY"] == diary["TOKEN"]:
        raise Wrong("those two are the other way round", "Each stands beside its name.")
    if given["TOKEN"] != diary["TOKEN"]:
        raise Wrong("that is not TOKEN", "An ARG is for the build only, and yet every RUN that could see it is noted "
                    "down with it: look at created_by in the history.", actual=given["TOKEN"])
    if given["API_KEY"] != diary["API_KEY"]:
        raise Wrong("that is not API_KEY", "ENV is what every container of the image begins with: config, Env.",
                    actual=given["API_KEY"])
    if given["not in the image"] != "STAGE_TOKEN":
        raise Wrong(f"{given['not in the image']} is in there: you have found it", "Of which stage is only a file in "
                    "the image, and no history?", actual=given["not in the image"])


@exercise(points=3)
def secret(world: World) -> None:
    """The private package is there, and of the token no trace"""
    text = world.answer("secret", str)
    token = secrets.token_hex(16)
    files = {**INVOICE, "token": token}
    licence = hashlib.sha256(token.encode()).hexdigest()[:12]
    options = {"secrets": {"token": token}, "args": {"TOKEN": token}, "find": [token]}
    built, ran = attempt(world, {"dockerfile": text, "files": files, **options},
                         {"dockerfile": text + "\nRUN invoice\n", **options})
    if isinstance(built, Failure):
        unauthorized = "401" in built.output
        raise Wrong(f"your Dockerfile does not build: {built}", "pkg looks for the token in /run/secrets/token. Which "
                    "RUN needs it there? It has to say so: --mount=type=secret,id=…" if unauthorized else "Build it in "
                    "the notebook, and read what the step itself has printed.", actual=built.output.strip() or None)
    found = built.found[token]
    layer = next((place for place in found if place.startswith("layer")), "")
    if "config" in found:
        raise Wrong("the token is in the configuration", "ENV is for ever: every container of the image begins with "
                    "it.",
                    actual=found)
    if any(place.startswith("history") for place in found):
        raise Wrong("the token is in the history", "An ARG stands in the history beside each RUN that saw it; `kit "
                    "image inspect` shows it to everybody.", actual=found)
    if layer:
        path = layer.partition(" /")[2]
        raise Wrong(f"the token is in the image: {layer}", "A RUN has written it down. Let the program read it where "
                    "it is mounted." if path in built.tree and path.rpartition("/")[2] != "token" else "It came in by "
                    "COPY, and what is in a layer stays in it, whatever a later one deletes.", actual=found)
    if isinstance(ran, Failure) or licence not in said(ran, "RUN invoice"):
        raise Wrong("the invoice is not stamped with the licence of this token", "/usr/bin/invoice is bundled from "
                    "src/invoice.awk and the packages money and stamp.", expected=f"licence {licence}",
                    actual=str(ran) if isinstance(ran, Failure) else said(ran, "RUN invoice"))


@exercise(points=2)
def reproducible(world: World) -> None:
    """Built twice, with nothing from the cache: the same digest, bit for bit"""
    text = world.answer("reproducible", str)
    moment = str(1_700_000_000 + secrets.randbelow(10_000_000))
    build: dict[str, Any] = {"dockerfile": text, "files": SHOP, "args": {"SOURCE_DATE_EPOCH": moment}, "no_cache": True}
    first, second, shown = images(world, build, {**build, "files": {}},
                                  {**build, "files": {}, "no_cache": False,
                                   "dockerfile": text + "\nRUN cat /etc/shop-version\n"})
    version = said(shown, "RUN cat /etc/shop-version")
    if "built" not in version:
        raise Wrong("/etc/shop-version no longer says when the shop was built", "Keep the line, with a time that is "
                    "given: ARG SOURCE_DATE_EPOCH.", actual=version)
    if any(is_moment(version, int(time.time()) - ago) for ago in (0, 60)):
        raise Wrong("that is the time of this build, and not the time that was given", "`date` asks this machine's "
                    "clock. `date -u -d @SECONDS` asks nobody.", expected=f"the time of {moment}", actual=version)
    if first.report.digest != second.report.digest:
        differ = [a.title for a, b in zip(first.report.steps, second.report.steps, strict=True) if a.digest != b.digest]
        culprit = next((title for title in differ if title.startswith("RUN")), differ[0] if differ else "")
        hint = ("Something in it comes out differently each time: a clock, chance, the number of a process. What may "
                "it depend on instead?")
        if "random" in culprit:
            hint = "Chance is a poor version number. Nothing may come out of /dev/urandom."
        raise Wrong(f"two builds, two digests; the first difference is in: {culprit}", hint,
                    actual=[first.report.digest, second.report.digest])
    if not is_moment(version, int(moment)):
        raise Wrong("the same each time, but not the time that was given", "SOURCE_DATE_EPOCH comes as an argument: "
                    "declare it (ARG) in the stage that uses it.", expected=f"the time of {moment}", actual=version)


@exercise(points=2)
def rootless(world: World) -> None:
    """The shop runs as somebody who owns nothing but its data"""
    given = world.answer("who", {"inside RUN": {"root", "me"}, "files of COPY after USER": {"root", "the user"}})
    if given["inside RUN"] != "root":
        raise Wrong("inside RUN you are root", "`id -u` said 0. Whether that 0 is worth anything outside is another "
                    "question: a user namespace, or proot, makes it up.", actual=given["inside RUN"])
    if given["files of COPY after USER"] != "root":
        raise Wrong("COPY does not ask USER", "USER is for RUN, CMD and ENTRYPOINT. Who owns what COPY brings, if "
                    "nobody says --chown?", actual=given["files of COPY after USER"])
    text = world.answer("rootless", str)
    built = images(world, {"dockerfile": text, "files": SHOP})[0]
    user = str(built.settings.get("User") or "")
    name = user.partition(":")[0]
    if name in ("", "0", "root"):
        raise Wrong("containers of this image run as root", "USER says as whom; a number needs no entry in "
                    "/etc/passwd.",
                    actual=user or "no USER")
    if not name.isdigit():
        raise Wrong(f"{name!r} is a name: Kubernetes cannot know that it is not root", "runAsNonRoot looks at numbers. "
                    "USER 10001 says it plainly.", actual=user)
    data, program = built.tree.get("data/prices"), built.tree.get("usr/bin/shop")
    if data is None or program is None:
        raise Wrong("/data/prices or /usr/bin/shop is missing", "Keep the two COPYs.",
                    actual=sorted(p for p in built.tree if p.startswith(("data", "usr/bin"))))
    if data[1] != int(name):
        raise Wrong(f"/data/prices belongs to {data[1]}", "COPY --chown=… says whose a file is to be.", expected=name,
                    actual=data[1])
    if data[3] & 0o002 or program[3] & 0o002:
        raise Wrong("everybody may write there", "777 is not a permission, it is a sigh. The owner is enough.",
                    actual=[f"{mode:o}" for mode in (data[3], program[3])])
    if program[1] != 0:
        raise Wrong("the program belongs to the user that runs it", "Whoever breaks in as that user could change it. "
                    "Only the data are the user's.", expected=0, actual=program[1])
