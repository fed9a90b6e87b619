"""Checks of lab03: image layers (the talk's pages 33 to 40 and 42).

An image is judged by what is in it: it is fetched whole and verified (checks/engine.py).  Layers are compared by their
diff ids: equal ids are the same files.  Every exercise has images of its own, so that all checks can pass at the end.
"""

from __future__ import annotations

import json
from typing import Any

from kitlib.checks.engine import Image
from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World
from kitlib.images.descriptor import digest_of
from kitlib.images.explorer.scan import WHITEOUT

TITLE = "Image layers"
MINUTES = 110
NAMESPACE = "lab03"
ENGINE = True

HTTPD = ["httpd", "-f", "-p", "8080", "-h", "/srv/www"]
MAKES = {
    "FROM": ("layer", "It brings all the layers of another image along: without them, where would `sh` come from?"),
    "LABEL": ("none", "A label is a note about the image. Which file would it be in?"),
    "RUN": ("layer", "It writes a photo of half a megabyte. Where should that go?"),
    "ENV": ("none", "A variable is told to processes when they start. It changes no file."),
    "COPY": ("layer", "There was no `index.html` before, and then there is one."),
    "EXPOSE": ("none", "It opens nothing and writes nothing: a note for readers, about a port."),
    "ENTRYPOINT": ("none", "It says what will be started, some day. Nothing is started, nothing is written."),
}
LETTERS = frozenset("ACD-")
DIFF = {
    "/srv": "A directory whose entries change is changed, too: its list of names is another.",
    "/srv/recipe": "It was only read. Reading goes down to the layer that has the file, and leaves it there.",
    "/srv/menu": "It was there before, and now it ends differently.",
    "/srv/old": "The image still has it; the container's layer says that it is not to be seen.",
    "/srv/special": "No layer of the image has it.",
    "/srv/book": "Mode and owner are kept with the file, and the file of the image cannot be changed. So?",
    "/srv/crumb": "It came and went in the same layer. Is there anything below that would have to be hidden?",
}
LIST, BAG, SERVE = "var/lists/packages", "opt/bag", "srv/app/serve"
MOST_ABOVE, LEAST_EFFICIENCY = 310_000, 0.999


def _on_busybox(world: World, name: str, hint: str = "Is its name written just so? `docker images` lists them, and the "
                                                     "build's last lines say why there may be none.") -> Image:
    """An image of the learner's whose lowest layers are busybox's own."""
    image, base = world.engine.image(name, hint), _busybox(world)
    if image.layers[:len(base.layers)] != base.layers:
        raise Wrong(f"the lowest layer of {name} is not busybox's", "Which image does its *last* `FROM` name? What is "
                    "copied from there file by file is a layer of its own, that nobody shares.",
                    expected=list(base.layers), actual=list(image.layers))
    return image


def _busybox(world: World) -> Image:
    return world.engine.image("busybox", "The cell at the beginning of the chapter sees to it: run it again.")


def _own(world: World, image: Image) -> int:
    """How many layers it has above busybox."""
    return len(image.layers) - len(_busybox(world).layers)


def _shell(command: list[str] | None) -> bool:
    return (command or [])[:2] == ["/bin/sh", "-c"]


@exercise()
def predict_layers(world: World) -> None:
    """Predict which instruction makes a layer"""
    given = world.answer("layers", dict.fromkeys(MAKES, frozenset(("layer", "none"))))
    for name, (truth, hint) in MAKES.items():
        if given[name] != truth:
            raise Wrong(f"{name}: not {given[name]!r}", hint, actual=given[name])


@exercise()
def first_image(world: World) -> None:
    """lab03/bakery:1 has one layer of its own, and starts without a shell"""
    image = _on_busybox(world, "lab03/bakery:1")
    page = image.read("srv/www/index.html")
    if page is None:
        there = sorted(path for path in image.files if path.endswith("index.html"))
        raise Wrong("there is no /srv/www/index.html", "`COPY WHAT WHERE/`: the second word is a path in the image.",
                    expected="/srv/www/index.html", actual=["/" + path for path in there])
    if b"Warm bread" not in page:
        raise Wrong("the page is not the one beside the Dockerfile", "`COPY` it from the build context: then a "
                    "new page needs no new Dockerfile.", actual=page.decode(errors="replace")[:80])
    if _own(world, image) != 1:
        raise Wrong(f"it has {_own(world, image)} layers above busybox", "Every `RUN` and every `COPY` makes one. "
                    "`COPY` makes the directories on its way itself.", expected=1, actual=_own(world, image))
    if "OVEN=hot" not in (image.config.get("Env") or ()):
        raise Wrong("the oven is cold", "An `ENV` is missing; `export` in a `RUN` is forgotten when that shell ends.",
                    expected="OVEN=hot", actual=image.config.get("Env"))
    starts = image.config.get("Entrypoint")
    if not starts:
        raise Wrong("there is no ENTRYPOINT", "`CMD` is what `docker run IMAGE some words` puts aside; the "
                    "`ENTRYPOINT` stays.", expected=HTTPD, actual=image.config.get("Cmd"))
    if _shell(starts):
        raise Wrong("a shell stands between the container and httpd", "Written without brackets it is a line for "
                    "`sh -c`. The list form starts the program itself.", expected=HTTPD, actual=starts)
    if starts != HTTPD:
        raise Wrong("it starts something else", "One item of the list for each word.", expected=HTTPD, actual=starts)


@exercise(points=2)
def which_layer(world: World) -> None:
    """In the cellar: where the menu comes from, where the ghost still is, what weighs most"""
    given = world.answer("cellar", {"menu": int, "ghost": int, "barrel": int})
    image = _on_busybox(world, "lab03/cellar:1")
    menus, base = image.holding("cellar/menu"), len(_busybox(world).layers)
    truth = {"menu": menus[-1], "ghost": image.holding("cellar/ghost")[0],
             "barrel": max(image.report.layers[base:], key=lambda layer: layer.size).number}
    if all(given[name] == number - 1 for name, number in truth.items()):
        raise Wrong("every number is one too small", "Python counts from 0; here busybox's layer is number 1. "
                    "`enumerate(…, 1)`.", actual=given)
    for name, number in truth.items():
        if given[name] == number:
            continue
        hint = "Look into layer after layer: `kit.layers` shows what each of them adds (+), changes (~), removes (-)."
        if name == "menu" and given[name] in menus:
            hint = "That is the old menu. Which of two files of the same name does a container see: the lower or the " \
                   "upper one?"
        if name == "ghost" and given[name] in image.holding("cellar/ghost", WHITEOUT):
            hint = "There lies `.wh.ghost`: a note that says *do not look*. The ghost itself is further down."
        if name == "barrel" and given[name] <= base:
            hint = "busybox is heavier than any barrel, but it was not asked for: look above it."
        raise Wrong(f"{name} is not in layer {given[name]}", hint, actual=given[name])


@exercise(points=2)
def order(world: World) -> None:
    """What a change costs, and an order of lines in which a new page costs one layer"""
    given = world.answer("new_layers", {"entrypoint": int, "page": int})
    if given["entrypoint"] != 0:
        raise Wrong(f"a new ENTRYPOINT makes {given['entrypoint']} new layers?", "Exercise 1: what does an "
                    "`ENTRYPOINT` add to the files?", actual=given["entrypoint"])
    if given["page"] != 2:
        raise Wrong(f"not {given['page']} layers are made anew", "The `COPY` has another page. And the `RUN` above it "
                    "in the cake: does it still stand on what it stood on?" if given["page"] < 2 else
                    "busybox stays what it is, and `CMD` makes none. Which steps are left?", actual=given["page"])
    rye, wheat = (_on_busybox(world, f"lab03/oven:{name}") for name in ("rye", "wheat"))
    for image, page in ((rye, b"Rye"), (wheat, b"Wheat")):
        if page not in (image.read("srv/www/index.html") or b""):
            raise Wrong(f"{image.name} has not the page of its own", "Both builds are in the cell already: they give "
                        "the same Dockerfile two pages. Leave its `COPY` in.", expected=page.decode())
        if not image.read("opt/oven"):
            raise Wrong(f"{image.name} has no oven", "The hour of installing cannot be left out: only put elsewhere.",
                        expected="/opt/oven")
    if rye.read("opt/oven") != wheat.read("opt/oven"):
        raise Wrong("the oven was built twice", "Its number differs, so `RUN` ran for each page. What a step stands on "
                    "must not have changed: what changes often belongs at the end.",
                    expected="the same number", actual="another one for each page")
    if rye.layers[:-1] != wheat.layers[:-1]:
        raise Wrong("more than the topmost layer differs", "Nothing that makes files may follow after the `COPY`.",
                    expected=list(rye.layers[:-1]), actual=list(wheat.layers[:-1]))


@exercise(points=2)
def from_shares(world: World) -> None:
    """Bread and cake stand on the same bakehouse, which needs no name for that"""
    given = world.answer("sharing", {"layers": int, "bread": frozenset(("whole", "broken"))})
    bread, cake = (_on_busybox(world, f"lab03/{name}:1") for name in ("bread", "cake"))
    for image, name in ((bread, "bread"), (cake, "cake")):
        if image.read(f"opt/{name}") is None:
            raise Wrong(f"{image.name} has no /opt/{name}", "One `RUN echo … > …` or `COPY` each.",
                        actual=["/" + path for path in image.files if path.startswith("opt/")])
        if image.read("opt/flour") is None:
            raise Wrong(f"{image.name} has no flour", "`FROM lab03/bakehouse:1`: that is where the flour is.")
    if bread.layers[:-1] != cake.layers[:-1]:
        if len(bread.layers) == len(cake.layers) == 3 and bread.read("opt/flour") != cake.read("opt/flour"):
            raise Wrong("bread and cake have each a flour of its own", "The recipe was repeated: random flour is never "
                        "the same twice, and the layer neither. Say `FROM lab03/bakehouse:1`.")
        raise Wrong("bread and cake differ in more than their topmost layer", "One instruction that writes files, in "
                    "each of them; the rest is the bakehouse's.", expected=list(bread.layers[:-1]),
                    actual=list(cake.layers[:-1]))
    if given["layers"] != len({*bread.layers, *cake.layers}):
        raise Wrong(f"it is not {given['layers']} layers", "Write them down, each name once: busybox's, the "
                    "bakehouse's, and what bread and cake have of their own.", actual=given["layers"])
    if given["bread"] != "whole":
        raise Wrong("bread is not broken", "Just look: `docker run --rm lab03/bread:1 ls /opt`. Who still needs the "
                    "layer with the flour?", actual=given["bread"])
    if "lab03/bakehouse:1" in world.engine.names("lab03/"):
        raise Wrong("lab03/bakehouse:1 is still there", "Take the courage: `docker rmi lab03/bakehouse:1`.")


@exercise(points=2)
def copy_on_write(world: World) -> None:
    """Predict what docker diff says of a container"""
    given = world.answer("diff", dict.fromkeys(DIFF, LETTERS))
    if world.engine.container("lab03-kitchen") is None:
        raise Wrong("there is no container lab03-kitchen", "You have predicted; now run the cell that makes it.")
    seen = world.engine.diff("lab03-kitchen")
    world.evidence["docker diff"] = seen
    for path, hint in DIFF.items():
        if given[path] != seen.get(path, "-"):
            raise Wrong(f"{path} is not {given[path]!r}", hint, actual=given[path])


@exercise(points=2)
def by_commit(world: World) -> None:
    """lab03/cookie:1 was baked by hand"""
    given = world.answer("history", frozenset(("the command", "the whole Dockerfile", "nothing")))
    image = _on_busybox(world, "lab03/cookie:1", "`docker commit CONTAINER IMAGE`.")
    if world.engine.container("lab03-baker") is None:
        raise Wrong("there is no container lab03-baker", "A Dockerfile would be easier, but this time you are the "
                    "builder: a container, then `docker commit`.", actual=image.report.layers[-1].instruction)
    cookie = image.read("srv/cookie")
    if not cookie:
        raise Wrong("there is no cookie in /srv", "What does `docker diff lab03-baker` show?")
    if _own(world, image) != 1:
        raise Wrong("the cookie stands on more than busybox", "Begin with a container of `busybox` itself.",
                    expected=1, actual=_own(world, image))
    crumbs = [f.path for f in image.report.layers[-1].files if f.path not in ("", "srv", "srv/cookie")]
    if crumbs:
        raise Wrong("there are crumbs in the layer", "All that the container wrote is in it, wanted or not. Begin with "
                    "a fresh one.", expected=["/srv/cookie"], actual=["/" + path for path in crumbs])
    code, said = world.engine.run(image.name)
    if code != 0 or said.encode() != cookie:
        raise Wrong("a container of it does not show the cookie", "A commit keeps files; what to start it takes from "
                    "the container, unless `--change` says something else.", expected=["cat", "/srv/cookie"],
                    actual=image.config.get("Cmd"))
    if given != "the command":
        raise Wrong(f"the history does not know {given}", "Read it to the end: "
                    "`docker history --no-trunc lab03/cookie:1`.", actual=given)


def _secret(world: World) -> tuple[str, Image]:
    """The oven's key, as the lower layer has it."""
    leaky = world.engine.image("lab03/leaky:1", "The cell of exercise 8 builds it: run it again.")
    number = leaky.holding("secret.key")
    if not number:
        raise Wrong("lab03/leaky:1 has no key in any layer", "It was built by somebody more careful. Run the cell of "
                    "exercise 8 again.")
    return (leaky.read_in(number[0], "secret.key") or b"").decode(errors="replace").strip(), leaky


@exercise()
def find_secret(world: World) -> None:
    """The key that was deleted, and the layer in which it lies"""
    given = world.answer("leak", {"key": str, "layer": int})
    key, leaky = _secret(world)
    if given["key"].strip() == (leaky.read("srv/seal") or b"").decode().strip():
        raise Wrong("that is the seal", "What the container shows is made *from* the key, and leads nowhere. The key "
                    "is in a layer that the container does not show.", actual=given["key"])
    if given["key"].strip() != key:
        raise Wrong("that is not the key", "It is what is *in* the file: `open_layers(…)[n].extractfile(\"secret.key\")"
                    ".read().decode()`.", actual=given["key"])
    truth = leaky.holding("secret.key")[0]
    if given["layer"] in leaky.holding("secret.key", WHITEOUT):
        raise Wrong("there lies what hides it", "That layer says `.wh.secret.key`. The key is where it was copied in.",
                    actual=given["layer"])
    if given["layer"] != truth:
        raise Wrong(f"layer {given['layer']} has no key", "Count from below, and begin with 1.", actual=given["layer"])


@exercise(points=2)
def keep_secret(world: World) -> None:
    """lab03/sealed:1 has the seal, and the key is nowhere in it"""
    key, leaky = _secret(world)
    image = world.engine.image("lab03/sealed:1", "The build's last lines say why there is none.")
    if image.read("srv/seal") is None:
        raise Wrong("there is no /srv/seal", "The seal is what the image is for. Where did your last stage put it?",
                    expected="/srv/seal", actual=["/" + path for path in image.files if path.endswith("seal")])
    if image.read("srv/seal") != leaky.read("srv/seal"):
        raise Wrong("it is the seal of another key", "`secret` has to be the key that you found in exercise 8, to the "
                    "letter, and `sha256sum` has to read just that.", expected=(leaky.read("srv/seal") or b"").decode(),
                    actual=(image.read("srv/seal") or b"").decode(errors="replace"))
    found = image.layers_with(key.encode())
    if found and "secret.key" not in image.files and image.holding("secret.key"):
        raise Wrong(f"layer {found[0]} still has the key, hidden", "A later `rm` hides it, as before. It must not get "
                    "into a layer of *this* image at all.", actual=f"layer {found[0]}")
    if found:
        raise Wrong(f"the key lies open in layer {found[0]}", "Take from the first stage only what you need, by its "
                    "name; not everything.", actual=f"layer {found[0]}")
    if key in json.dumps([image.config]):
        raise Wrong("every container is told the key", "`ENV` (or `CMD`, or a label) is configuration, and that is "
                    "public: `docker inspect` prints it.")
    if key in json.dumps(image.history):
        raise Wrong("the history tells the key", "Build arguments are written down with each step that could use them: "
                    "`docker history --no-trunc lab03/sealed:1`.")
    _on_busybox(world, "lab03/sealed:1")


@exercise(points=3)
def waste(world: World) -> None:
    """lab03/slim:1 has the same files, and no ballast"""
    given = world.answer("predict", frozenset(("smaller", "the same", "larger")))
    if given != "the same":
        raise Wrong(f"the image does not get {given}", "The line adds a layer. What is in that? `docker history` shows "
                    "its size.", actual=given)
    image = world.engine.image("lab03/slim:1", "The build's last lines say why there is none.")
    for path, size in ((BAG, 300_000), (SERVE, len(b"#!/bin/sh\nwc -c < /opt/bag\n"))):
        there = image.files.get(path)
        if there is None or there.size != size:
            raise Wrong(f"/{path} is not as it was", "Light, but complete: whoever starts the image must not notice "
                        "any difference.", expected=f"{size} bytes", actual=f"{there.size} bytes" if there else "gone")
        if there.mode != 0o755:
            raise Wrong(f"/{path} cannot be executed", "`chmod` was there for a reason. It costs nothing where the "
                        "file is made.", expected="755", actual=f"{there.mode:o}")
    if LIST in image.files:
        raise Wrong("the list is still there", "Nobody needs it once the bag is filled.", actual=f"/{LIST}")
    listed, bags = image.holding(LIST), image.holding(BAG)
    own = sum(layer.size for layer in image.report.layers[len(_busybox(world).layers):])
    if listed:
        raise Wrong(f"layer {listed[0]} still carries the list", "It was removed one layer too late. What is made and "
                    "removed by the same `RUN` was never in a layer.", expected=f"{MOST_ABOVE} bytes", actual=own)
    if len(bags) > 1:
        raise Wrong(f"the bag is in {len(bags)} layers", "Exercise 6: a change of mode copies the whole file. Do it "
                    "where the file is made.", expected=f"{MOST_ABOVE} bytes", actual=own)
    _on_busybox(world, "lab03/slim:1")
    if own > MOST_ABOVE:
        raise Wrong("there is something else that weighs", "`kit.layers(\"lab03/slim:1\")` shows every layer's files.",
                    expected=f"{MOST_ABOVE} bytes", actual=own)
    if image.report.efficiency < LEAST_EFFICIENCY:
        raise Wrong("some files are shipped more than once", "`kit.layers(\"lab03/slim:1\")` lists them as wasted.",
                    expected=LEAST_EFFICIENCY, actual=round(image.report.efficiency, 4))


def _named(document: Any) -> str:
    return digest_of(json.dumps(document).encode())


@exercise(points=3)
def by_hand(world: World) -> None:
    """lab03/hand:1: every digest is right, and it runs"""
    given = world.answer("layout", {"index": dict, "manifest": dict, "config": dict})
    index, manifest, config = given["index"], given["manifest"], given["config"]
    base = _busybox(world)
    listed = [layer.get("digest") for layer in manifest.get("layers") or () if isinstance(layer, dict)]
    ids = (config.get("rootfs") or {}).get("diff_ids") or []
    if not listed:
        raise Wrong("the manifest lists no layers", "busybox's, then your own: they are in variables already.")
    if listed[:len(base.layers)] != list(base.layers):
        raise Wrong("the lowest layer is not busybox's", "Without it there is no `cat` in the image. And the order is "
                    "the cake's: what lies below comes first.", expected=list(base.layers), actual=listed)
    if len(listed) == len(base.layers):
        raise Wrong("the manifest lists no layer of your own", "`own` is its descriptor.", actual=listed)
    if ids != listed:
        raise Wrong("the config's diff_ids are not the layers of the manifest", "Here the tars are not compressed, so "
                    "both are the same digests, in the same order: the lowest first. Whoever unpacks compares them.",
                    expected=listed, actual=ids)
    if manifest.get("config", {}).get("digest") != _named(config) or \
            [each.get("digest") for each in index.get("manifests") or ()] != [_named(manifest)]:
        raise Wrong("a digest does not fit what it names", "`blob` computes them: call it *after* its content is "
                    "finished. Run the whole cell again.")
    image = world.engine.image("lab03/hand:1", "The engine has refused it: the cell's output says why.")
    if image.id != _named(config):
        raise Wrong("the engine has another lab03/hand:1", "Was it loaded before you changed something, and refused "
                    "now? The cell's last lines say so.", expected=_named(config), actual=image.id)
    code, said = world.engine.run(image.name)
    if code != 0 or said.strip() != "made by hand":
        raise Wrong("it does not say 'made by hand'", "`Cmd` in the config is what to start, as a list; the path in "
                    "your tar is the path in the image, without the first slash.", expected="made by hand",
                    actual=said.strip()[:200] or f"exit code {code}")


@exercise(points=2)
def practices(world: World) -> None:
    """lab03/good:1 keeps to page 33"""
    image = _on_busybox(world, "lab03/good:1")
    if image.read("srv/www/index.html") is None or image.read("srv/www/start") is None:
        raise Wrong("the page, or the script, is not in /srv/www", "`.dockerignore` says what is *not* sent. Does it "
                    "say too much?", actual=sorted(path for path in image.files if path.startswith("srv/www/")))
    for needle, what in ((b"sourdough-1867", "srv/www/.env"), (b"more butter", "srv/www/notes/todo")):
        found = image.layers_with(needle)
        if found and what not in image.files:
            raise Wrong(f"/{what} is hidden in layer {found[0]}", "Exercise 8. What `.dockerignore` names never gets "
                        "as far as the builder.", actual=f"layer {found[0]}")
        if found:
            raise Wrong(f"/{what} is in the image", "One line in `.dockerignore` for each thing that stays at home. It "
                        "is a file beside the Dockerfile, with this very name.", actual=f"/{what}")
    starts = image.config.get("Entrypoint")
    if not starts or _shell(starts):
        raise Wrong("the entrypoint is not in the list form", "With brackets, and one item for each word: "
                    "then no `sh -c` is put in front.", actual=starts or image.config.get("Cmd"))
    _, who = world.engine.run(image.name, "-u", entrypoint=["id"])
    if who.strip() == "0":
        raise Wrong("it runs as root", "A `USER` that is not 0, after all that root has to do.",
                    actual=image.config.get("User") or "no USER")
    installed, page = image.holding("opt/installed"), image.holding("srv/www/index.html")
    if not installed:
        raise Wrong("nothing was installed", "The `RUN` stays; only its place was wrong.", expected="/opt/installed")
    if installed[0] > page[0]:
        raise Wrong("every new page installs everything anew", "Exercise 4: what changes seldom comes first.",
                    expected="RUN, then COPY", actual="COPY, then RUN")
    if (image.config.get("Labels") or {}).get("org.opencontainers.image.version") != "1":
        raise Wrong("nobody can tell its version", "`LABEL KEY=VALUE`.",
                    expected={"org.opencontainers.image.version": "1"}, actual=image.config.get("Labels") or {})
    code, said = world.engine.run(image.name)
    if code != 0 or "index.html" not in said:
        raise Wrong("its container does not come to its end", "`docker run --rm lab03/good:1` shows what it says.",
                    expected="exit code 0", actual=f"exit code {code}: {said.strip()[:200]}")
