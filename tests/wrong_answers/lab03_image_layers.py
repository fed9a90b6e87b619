"""Mistakes in lab03."""

from __future__ import annotations

from typing import Any


def predicted(**changes: str) -> str:
    right = {"FROM": "layer", "LABEL": "none", "RUN": "layer", "ENV": "none", "COPY": "layer", "EXPOSE": "none",
             "ENTRYPOINT": "none"}
    return f'lab.answer("layers", {right | changes!r})'


def built(tag: str, dockerfile: str, files: str = "{}", **args: str) -> str:
    """A build; args: expressions."""
    given = ", ".join(f'"{name}": {value}' for name, value in args.items())
    return f'build("{tag}", """{dockerfile}""", {files}, {{{given}}})\n'


LISTED = '["httpd", "-f", "-p", "8080", "-h", "/srv/www"]'
START = f"ENTRYPOINT {LISTED}\n"
PAGE = '{"index.html": "<h1>Warm bread</h1>\\n"}'


def bakery(*lines: str, base: str = "busybox") -> str:
    return built("lab03/bakery:1", "\n".join((f"FROM {base}", *lines)) + "\n", PAGE)


WHERE = """where = {}
for number, layer in enumerate(open_layers("lab03/cellar:1"), 1):
    for name in layer.getnames():
        if name.startswith("cellar/"):
            where.setdefault(name.removeprefix("cellar/"), []).append(number)
cellar = {"menu": where["menu"][-1], "ghost": where["ghost"][0], "barrel": where["barrel"][0]}
"""


def cellar(change: str) -> str:
    return f'{WHERE}{change}\nlab.answer("cellar", cellar)'


RUN = "RUN mkdir -p /opt && cat /proc/sys/kernel/random/uuid > /opt/oven\n"
COPY = "COPY index.html /srv/www/\n"


def oven(*lines: str, entrypoint: int = 0, page: int = 2, pages: tuple[str, str] = ("Rye", "Wheat")) -> str:
    text = "FROM busybox\n" + "".join(lines or (RUN, COPY)) + 'CMD ["cat", "/opt/oven"]\n'
    return (f'lab.answer("new_layers", {{"entrypoint": {entrypoint}, "page": {page}}})\n'
            + built("lab03/oven:rye", text, f'{{"index.html": "{pages[0]}\\n"}}')
            + built("lab03/oven:wheat", text, f'{{"index.html": "{pages[1]}\\n"}}'))


FLOUR = "FROM busybox\nRUN mkdir -p /opt && head -c 700000 /dev/urandom > /opt/flour"


def shares(base: str = "FROM lab03/bakehouse:1", *, more: str = "", then: str = "!docker rmi lab03/bakehouse:1",
           layers: int = 4, bread: str = "whole") -> str:
    each = "".join(built(f"lab03/{name}:1", f"{base if name == 'cake' else base.replace('700000', '700001')}\n"
                                            f"RUN echo {name} > /opt/{name}\n{more}") for name in ("bread", "cake"))
    return f'{each}lab.answer("sharing", {{"layers": {layers}, "bread": "{bread}"}})\n{then}\n'


def diff(**changes: str) -> str:
    right = {"/srv": "C", "/srv/recipe": "-", "/srv/menu": "C", "/srv/old": "D", "/srv/special": "A", "/srv/book": "C",
             "/srv/crumb": "-"}
    return f'lab.answer("diff", {right | {f"/srv/{name}": value for name, value in changes.items()}!r})'


CHANGE = """--change 'CMD ["cat", "/srv/cookie"]' """
BAKED = "mkdir -p /srv && echo chocolate > /srv/cookie"


def cookie(command: str = BAKED, *, change: str = CHANGE, image: str = "busybox", history: str = "the command") -> str:
    return (f'run("lab03-baker", "{image}", "{command}")\n!docker commit {change}lab03-baker lab03/cookie:1\n'
            f'lab.answer("history", "{history}")\n')


KEY = 'key = open_layers("lab03/leaky:1")[1].extractfile("secret.key").read().decode()\n'


def leak(key: str = "key", layer: int = 2) -> str:
    return f'{KEY}lab.answer("leak", {{"key": {key}, "layer": {layer}}})'


SEALS = "RUN mkdir -p /srv && sha256sum < /secret.key | cut -c 1-64 > /srv/seal\n"
SEALING = "FROM busybox AS sealing\nCOPY secret.key /\n" + SEALS + "FROM busybox\n"


def sealed(text: str, key: str = "key", **args: str) -> str:
    return f"{KEY}secret = {key}\n" + built("lab03/sealed:1", text, '{"secret.key": secret}', **args)


LIST = "RUN mkdir -p /var/lists && yes flour | head -c 600000 > /var/lists/packages\n"
BAG = "RUN mkdir -p /opt && head -c 300000 /var/lists/packages > /opt/bag\n"
ALL = LIST.rstrip() + " && " + BAG.removeprefix("RUN ").rstrip() + " && rm -r /var/lists"
SERVE = "COPY serve /srv/app/\n"
MODE = "chmod 755 /opt/bag /srv/app/serve"


def slim(*lines: str, predict: str = "the same", base: str = "FROM busybox\n") -> str:
    return f'lab.answer("predict", "{predict}")\n' + built(
        "lab03/slim:1", base + "".join(lines) + 'CMD ["/srv/app/serve"]\n', "serve")


def by_hand(*, entries: str = '{"srv/hello": b"made by hand\\n"}', start: str = '{"Cmd": ["cat", "/srv/hello"]}',
            ids: str = 'layer["digest"] for layer in [*busybox_layers, own]',
            listed: str = "*busybox_layers, own") -> str:
    return f"""own = blob(tar({entries}), "layer.v1.tar")
config = {{"architecture": architecture, "os": "linux", "config": {start},
          "rootfs": {{"type": "layers", "diff_ids": [{ids}]}}}}
manifest = {{"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": blob(json.dumps(config).encode(), "config.v1+json"), "layers": [{listed}]}}
name = "lab03/hand:1"
index = {{"schemaVersion": 2, "manifests": [{{
    **blob(json.dumps(manifest).encode(), "manifest.v1+json"),
    "annotations": {{"io.containerd.image.name": f"docker.io/{{name}}", "org.opencontainers.image.ref.name": "1"}}}}]}}
files["oci-layout"] = b'{{"imageLayoutVersion": "1.0.0"}}'
files["index.json"] = json.dumps(index).encode()
place = lambda found: "blobs/sha256/" + found["digest"].removeprefix("sha256:")
files["manifest.json"] = json.dumps([{{"Config": place(manifest["config"]), "RepoTags": [name],
                                      "Layers": [place(layer) for layer in manifest["layers"]]}}]).encode()
try:
    engine.images.load(tar(files))
except docker.errors.DockerException as refusal:
    print("refused:", refusal)
lab.answer("layout", {{"index": index, "manifest": manifest, "config": config}})
"""


CONTEXT = """context = {"index.html": "<h1>Good bread</h1>\\n", "start": "#!/bin/sh\\nid -u; exec ls /srv/www\\n",
           ".env": "PASSWORD=sourdough-1867\\n", "notes/todo": "ask the boss for more butter\\n"}
"""
INSTALL = "RUN mkdir -p /opt && cat /proc/sys/kernel/random/uuid > /opt/installed\n"
LABEL = "LABEL org.opencontainers.image.version=1\n"
SEND = "COPY . /srv/www/\n"
NOBODY = "USER 65534\n"
SCRIPT = 'ENTRYPOINT ["sh", "/srv/www/start"]\n'


def good(*lines: str, ignore: str = ".env\\nnotes\\n") -> str:
    return CONTEXT + f'context[".dockerignore"] = "{ignore}"\n' + built(
        "lab03/good:1", "FROM busybox\n" + "".join(lines), "context")


WRONG: dict[str, dict[str, tuple[str, Any]]] = {
    "predict_layers": {
        "every line makes one": (predicted(LABEL="layer", ENV="layer", EXPOSE="layer", ENTRYPOINT="layer"),
                                 "Which file would it be in"),
        "a variable is a file": (predicted(ENV="layer"), "told to processes when they start"),
        "FROM is only a name": (predicted(FROM="none"), "where would `sh` come from"),
        "what starts is written down in a layer": (predicted(ENTRYPOINT="layer"), "what will be started, some day"),
    },
    "first_image": {
        "a directory for itself": (bakery("ENV OVEN=hot", "RUN mkdir -p /srv/www", COPY, START),
                                   "makes the directories on its way"),
        "without brackets": (bakery("ENV OVEN=hot", COPY, START.translate(str.maketrans("", "", '[],"'))),
                             "a line for `sh -c`"),
        "CMD": (bakery("ENV OVEN=hot", COPY, f"CMD {LISTED}"), "puts aside"),
        "an exported variable": (bakery("RUN export OVEN=hot; mkdir -p /srv/www; echo Warm bread > /srv/www/index.html",
                                        START), "when that shell ends"),
        "copied to the root": (bakery("ENV OVEN=hot", "COPY index.html /", START), "a path in the image"),
    },
    "which_layer": {
        "the first menu": (cellar('cellar["menu"] = where["menu"][0]'), "That is the old menu"),
        "what hides the ghost": (cellar('cellar["ghost"] = where[".wh.ghost"][0]'), "do not look"),
        "busybox is heaviest": (cellar('cellar["barrel"] = 1'), "busybox is heavier"),
        "counted from zero": (cellar("cellar = {name: n - 1 for name, n in cellar.items()}"), "Python counts from 0"),
    },
    "order": {
        "ENTRYPOINT costs a layer": (oven(entrypoint=1), "what does an `ENTRYPOINT` add"),
        "only the page is new": (oven(page=1), "does it still stand on"),
        "left as it was": (oven(COPY, RUN), "What a step stands on must not have changed"),
        "no more installing": (oven(COPY), "cannot be left out"),
        "the same page twice": (oven(pages=("Rye", "Rye")), "two pages"),
    },
    "from_shares": {
        "the recipe repeated": (shares(FLOUR), "The recipe was repeated"),
        "counted for each image": (shares(layers=9), "each name once"),
        "afraid for the bread": (shares(bread="broken"), "Who still needs the layer"),
        "afraid of rmi": (shares(then=""), "Take the courage"),
        "no flour": (shares("FROM busybox\nRUN mkdir /opt"), "that is where the flour is"),
    },
    "copy_on_write": {
        "reading is a change": (diff(recipe="C"), "It was only read"),
        "a mode is no change": (diff(book="-"), "kept with the file"),
        "what came and went was deleted": (diff(crumb="D"), "came and went in the same layer"),
        "a new file changes": (diff(special="C"), "No layer of the image has it"),
    },
    "by_commit": {
        "with a Dockerfile": (
            built("lab03/cookie:1", f'FROM busybox\nRUN {BAKED}\nCMD ["cat", "/srv/cookie"]\n')
            + 'lab.answer("history", "the command")', "you are the builder"),
        "crumbs": (cookie(BAKED + "; echo eggs > /root/.shopping"), "All that the container wrote"),
        "nothing to start": (cookie(change=""), "A commit keeps files"),
        "it remembers everything": (cookie(history="the whole Dockerfile"), "Read it to the end"),
        "on another cake": (cookie(image="lab03/kitchen:1"), "Begin with a container of `busybox`"),
    },
    "find_secret": {
        "the seal": (leak('engine.containers.run("lab03/leaky:1", remove=True).decode().strip()'), "leads nowhere"),
        "the layer that hides it": (leak(layer=4), "where it was copied in"),
        "the file's name": (leak('"secret.key"'), "what is *in* the file"),
        "counted from zero": (leak(layer=1), "begin with 1"),
    },
    "keep_secret": {
        "removed later": (sealed("FROM busybox\nCOPY secret.key /\n" + SEALS + "RUN rm /secret.key\n"),
                          "A later `rm` hides it"),
        "a build argument": (
            sealed("FROM busybox\nARG KEY\nRUN mkdir -p /srv && printf %s $KEY | sha256sum | cut -c 1-64 > /srv/seal\n",
                   KEY="secret"), "Build arguments are written down"),
        "a variable": (
            sealed("FROM busybox\nARG KEY\nENV KEY=$KEY\nRUN mkdir -p /srv && printf %s $KEY | sha256sum | "
                   "cut -c 1-64 > /srv/seal\n", KEY="secret"), "that is public"),
        "all of the first stage": (sealed(SEALING + "COPY --from=sealing / /\n"), "not everything"),
        "another key": (sealed(SEALING + "COPY --from=sealing /srv/seal /srv/\n", key='"oven-of-mine"'),
                        "that you found in exercise 8"),
    },
    "waste": {
        "removed, so smaller": (slim(SERVE, ALL + f" && {MODE}\n", predict="smaller"), "The line adds a layer"),
        "one layer too late": (slim(SERVE, LIST, BAG.rstrip() + f" && {MODE} && rm -r /var/lists\n"),
                               "was never in a layer"),
        "the mode last": (slim(SERVE, ALL + "\n", f"RUN {MODE}\n"), "copies the whole file"),
        "squashed": (slim("COPY --from=0 / /\n", base="FROM lab03/fat:1\nFROM scratch\n"), "that nobody shares"),
        "not to be executed": (slim(SERVE, ALL + "\n"), "for a reason"),
    },
    "by_hand": {
        "only the own layer": (by_hand(listed="own", ids='own["digest"]'), "there is no `cat`"),
        "only the base": (by_hand(listed="*busybox_layers", ids='layer["digest"] for layer in busybox_layers'),
                          "`own` is its descriptor"),
        "the config has them the other way round": (
            by_hand(ids='layer["digest"] for layer in [own, *busybox_layers]'), "the lowest first. Whoever unpacks"),
        "nothing to start": (by_hand(start="{}"), "`Cmd` in the config"),
        "no layers at all": (by_hand(listed="", ids=""), "busybox's, then your own"),
    },
    "practices": {
        "removed later": (good(INSTALL, LABEL, SEND, "RUN rm -r /srv/www/.env /srv/www/notes\n", NOBODY, SCRIPT,
                               ignore=""), "never gets as far as the builder"),
        "nothing is ignored": (good(INSTALL, LABEL, SEND, NOBODY, SCRIPT, ignore=""), "stays at home"),
        "root": (good(INSTALL, LABEL, SEND, SCRIPT), "after all that root has to do"),
        "a shell in front": (good(INSTALL, LABEL, SEND, NOBODY, "ENTRYPOINT sh /srv/www/start\n"), "no `sh -c`"),
        "installs for every page": (good(LABEL, SEND, INSTALL, NOBODY, SCRIPT), "what changes seldom"),
    },
}
