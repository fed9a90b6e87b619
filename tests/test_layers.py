"""The layer explorer: what a layer does, what is wasted (as dive counts it), what is hidden below, and comparing."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import docker
import pytest
from image_files import docker_archive, layer

import kitlib as kit
from kitlib.cluster.errors import KitError
from kitlib.images import archive
from kitlib.images.explorer.analyse import analyse
from kitlib.images.explorer.report import Report, instruction_of
from kitlib.images.store import ImageStore
from kitlib.views.compare_figure import ComparisonFigure
from kitlib.views.layers_figure import LayersFigure

KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n"
STACK = [
    layer(("etc/", None), ("etc/motd", b"hello"), ("etc/old", b"x" * 1000), ("data/a", b"1" * 500), ("data/b", b"2")),
    layer(("root/", None), ("root/id_rsa", KEY), ("app/settings.ini", b"[db]\npassword = hunter22\n")),
    layer(("etc/motd", b"hello, world"), ("etc/.wh.old", b""), ("data/.wh..wh..opq", b""), ("data/c", b"3" * 10)),
    layer(("root/.wh.id_rsa", b""), ("etc/motd", b"bye"))]


def report(place: Path, layers: list[bytes], name: str = "kit/app:1", **config: object) -> Report:
    store = ImageStore(place / "store")
    [image] = archive.load(store, docker_archive(place / "a.tar", layers, name, **config))
    return analyse(store, image)


@pytest.fixture
def found(tmp_path: Path) -> Report:
    return report(tmp_path, STACK, Env=["API_TOKEN=abc", "PATH=/bin"])


def test_what_each_layer_does(found: Report) -> None:
    def changes(number: int) -> list[tuple[str, str, int]]:
        return [(c.kind, c.path, c.size) for c in found.layers[number - 1].changes]

    assert changes(1) == [("added", "data/a", 500), ("added", "data/b", 1), ("added", "etc", 0),
                          ("added", "etc/motd", 5), ("added", "etc/old", 1000)]
    assert changes(3) == [("removed", "data/a", 500), ("removed", "data/b", 1), ("added", "data/c", 10),
                          ("changed", "etc/motd", 12), ("removed", "etc/old", 1000)]
    assert changes(4) == [("changed", "etc/motd", 3), ("removed", "root/id_rsa", len(KEY))]
    assert [each.size for each in found.layers] == [1506, len(KEY) + 25, 22, 3]
    assert [step.layer for step in found.steps] == [1, 2, 3, 4]


def test_bytes_are_hidden_when_the_last_of_a_files_names_is(tmp_path: Path) -> None:
    base = layer(("d/one", b"1" * 100), ("d/two", "= d/one"), ("other", "-> d/one"))
    found = report(tmp_path, [base, layer(("d/one", b"2"))])
    assert [each.hidden for each in found.layers] == [0, 0]
    assert [found.layers[0].changes[1].json()[key] for key in ("type", "target")] == ["hard link", "d/one"]
    assert "two → d/one\n" in LayersFigure(found.json()).text(files="*").replace("  0644 0:0", "")
    found = report(tmp_path, [base, layer(("d/one", b"2")), layer(("d/.wh.two", b""))])
    assert [each.hidden for each in found.layers] == [100, 0, 0]


def test_the_json_text_is_the_json_form(found: Report, tmp_path: Path) -> None:
    assert json.loads("".join(found.text({"container": {"x": 1}}))) == {**found.json(), "container": {"x": 1}}
    odd = report(tmp_path, [layer(('a"b\\ü\n', b"1"), ("x\udcff", "-> \udcfe"))], "kit/odd:1")
    assert json.loads("".join(odd.text())) == odd.json()


def test_a_figure_draws_and_says_the_same(found: Report) -> None:
    figure = LayersFigure(found.json())
    picture = xml.dom.minidom.parseString(figure.svg)
    words = [node.firstChild.data for node in picture.getElementsByTagName("text") if node.firstChild]
    assert "1.51 kB" in words
    assert "1.51 kB hidden" in words
    assert "Layer 3, layer 2: 22 B, 12 B of it hidden by later layers; 1 added, 1 changed, 3 removed." in \
        picture.getElementsByTagName("desc")[0].firstChild.data
    assert [(c["kind"], c["path"]) for c in figure.changes(4)] == [("changed", "/etc/motd"),
                                                                   ("removed", "/root/id_rsa")]
    with pytest.raises(KeyError, match="there is: 1, 2, 3, 4"):
        figure.changes(5)
    assert "<b>layer 4 only hides it</b>" in figure.html
    assert {each["path"]: each["layer"] for each in figure.seen} == {
        "/etc": 1, "/etc/motd": 4, "/root": 2, "/app/settings.ini": 2, "/data/c": 3}
    assert "  4    motd  3 B  0644 0:0\n" in figure.text(tree="/etc/*")
    assert "script" not in figure.html
    assert "http" not in figure.html.replace("http://www.w3.org/2000/svg", "")


def test_secrets_that_a_later_layer_only_hides_come_first(found: Report) -> None:
    assert [(s.where, s.layer, s.hidden_by) for s in found.secrets] == [
        ("/root/id_rsa", 2, 4), ("ENV API_TOKEN", 0, None), ("/app/settings.ini", 2, None)]
    assert found.secrets[0].why == "a private key"


def test_waste_is_what_stands_in_more_than_one_layer(found: Report) -> None:
    assert {(w.path, w.count, w.size) for w in found.wasted} == {
        ("etc/motd", 3, 20), ("etc/old", 2, 1000), ("root/id_rsa", 2, len(KEY))}


@pytest.mark.parametrize(("created_by", "expected"), [
    ("RUN /bin/sh -c make # buildkit", "RUN make"), ("/bin/sh -c make", "RUN make"),
    ("/bin/sh -c #(nop)  CMD [\"sh\"]", 'CMD ["sh"]'), ("COPY a b # buildkit", "COPY a b"), ("ENV A=1", "ENV A=1")])
def test_the_instruction_behind_a_line_of_history(created_by: str, expected: str) -> None:
    assert instruction_of(created_by) == expected


def compared(tmp_path: Path, before: list[bytes], after: list[bytes], *words: list[str]) -> ComparisonFigure:
    """words: the instructions of both."""
    places = []
    for number, layers in enumerate((before, after)):
        history = [{"created_by": text, "empty_layer": text.startswith("ENV")} for text in words[number]]
        places.append(docker_archive(tmp_path / f"{number}.tar", layers, f"kit/app:{number}", history=history))
    return kit.layers(places[1], compare=places[0])


class Page(html.parser.HTMLParser):
    """Which elements are open, and whether each is closed by its own end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_and_shows_names_as_they_are(tmp_path: Path) -> None:
    odd = "<script>alert(1)</script>&\"'"
    path = docker_archive(tmp_path / "a.tar", [layer((odd, b"1"), ("d/" + odd, b"22"))], "kit/odd:1",
                          history=[{"created_by": f"RUN {odd}"}], Env=[f"TOKEN{odd}=1"])
    other = docker_archive(tmp_path / "b.tar", [layer((odd, b"2"))], "kit/odd:2", history=[{"created_by": "COPY x y"}])
    for figure in (kit.layers(path), kit.layers(other, compare=path)):
        page = Page(figure.save(tmp_path / "page.html").read_text())
        assert page.open == []
        assert "script" not in page.seen
        assert page.seen.count("summary") == page.seen.count("details") > 1
        xml.dom.minidom.parseString(figure.svg)


def test_two_builds_the_first_instruction_that_differs_broke_the_cache(tmp_path: Path) -> None:
    words = ["FROM base", "ENV A=1", "COPY dir:0123456789abcdef in /srv", "RUN make", "RUN date"]
    before = [STACK[0], layer(("srv/app.c", b"one"), ("srv/same", b"1")), layer(("srv/app", b"1" * 9)),
              layer(("d", b"1"), mtime=1)]
    after = [STACK[0], layer(("srv/app.c", b"two"), ("srv/same", b"1"), mtime=5), layer(("srv/app", b"2" * 9)),
             layer(("d", b"1"), mtime=2)]
    figure = compared(tmp_path, before, after, words, [*words[:2], "COPY dir:fedcba9876543210 in /srv",
                                                             *words[3:]])
    steps = figure.data["steps"]
    assert [step["verdict"] for step in steps] == ["same", "same", "broke", "follows", "follows"]
    assert figure.broke == steps[2]
    assert steps[2]["why"] == "what it copies changed: /srv/app.c (content)"
    assert steps[2]["onlyTimes"] == 1
    assert steps[3]["why"] == "made again, since what is below it changed: /srv/app (content)"
    assert steps[4]["why"] == "made again, since what is below it changed: only times (1 of them)"
    assert (len(figure.shared), figure.data["sharedBytes"]) == (1, 1506)
    assert [(f["path"], f["kind"], f["differs"]) for f in figure.files] == [
        ("/srv/app", "changed", ["content"]), ("/srv/app.c", "changed", ["content"])]
    xml.dom.minidom.parseString(figure.svg)
    assert "≠    3" in str(figure)
    assert "↑ the cache broke here: what it copies changed: /srv/app.c (content)" in str(figure)


@pytest.mark.parametrize(("words", "layers", "verdicts", "why"), [
    (["FROM base", "RUN one"], STACK[:2], ["same", "same"], ""),
    (["FROM base", "RUN two"], STACK[:2], ["same", "broke"], "its words changed"),
    (["FROM base", "ENV A=1", "RUN one"], STACK[:2], ["same", "broke", "same bytes"], "it is new"),
    (["FROM base"], STACK[:1], ["same", "broke"], "it is not there any more"),
    (["FROM base", "RUN one"], [STACK[1], STACK[0]], ["broke", "follows"], "the image begins with another layer"),
    (["FROM base", "RUN one"], [STACK[0], layer(("x", b"1"))], ["same", "broke"],
     "the same words on the same layers ran again, and made something else: /app/settings.ini (removed), "
     "/root/id_rsa (removed), /x (added)")])
def test_why_the_cache_broke(words: list[str], layers: list[bytes], verdicts: list[str], why: str,
                             tmp_path: Path) -> None:
    figure = compared(tmp_path, STACK[:2], layers, ["FROM base", "RUN one"], words)
    assert [step["verdict"] for step in figure.data["steps"]] == verdicts
    assert (figure.broke or {"why": ""})["why"].startswith(why)


def test_two_images_differ_in_what_containers_see(tmp_path: Path) -> None:
    other = [STACK[0], layer(("new", b"n"), ("etc/.wh.old", b""), ("etc/motd", b"other"), ("data/a", "-> b"))]
    figure = compared(tmp_path, STACK[:2], other, ["a", "b"], ["a", "c"])
    assert {f["path"]: (f["kind"], *f["differs"]) for f in figure.files} == {
        "/new": ("added",), "/app/settings.ini": ("removed",), "/etc/old": ("removed",), "/root": ("removed",),
        "/root/id_rsa": ("removed",), "/data/a": ("changed", "type"), "/etc/motd": ("changed", "content")}
    assert "<h3>What a container sees differently</h3>" in figure.html


def test_layers_that_images_share_are_named(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "k" / "images" / "oci")
    for number, layers in enumerate((STACK[:1], STACK[:2], STACK)):
        archive.load(store, docker_archive(tmp_path / "a.tar", layers, f"kit/app:{number}"))
    shown = kit_command(tmp_path, "kit/app:2", "--json").stdout
    assert [layer["sharedWith"] for layer in json.loads(shown)["layers"]] == [
        ["kit/app:0", "kit/app:1"], ["kit/app:1"], [], []]
    archive_of_all = tmp_path / "all.tar"
    with archive_of_all.open("wb") as out:
        archive.save(store, store.images(), out)
    one = kit.layers(f"{archive_of_all}:kit/app:1")
    assert [each["sharedWith"] for each in one.layers] == [["kit/app:0", "kit/app:2"],
                                                           ["kit/app:2"]]
    with pytest.raises(KitError, match=r"there is no image kit/app:7 in .*; it has: kit/app:0, "):
        kit.layers(f"{archive_of_all}:kit/app:7")


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize(("target", "options"), [("oci:{}/layout:one", ()), ("oci-archive:{}/oci.tar:one", ()),
                                                 ("oci:{}/layout:one", ("--dest-compress-format", "zstd"))])
def test_the_same_image_in_another_form_gives_the_same_report(target: str, options: tuple[str, ...],
                                                              tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a.tar", STACK, "kit/app:1")
    place = target.format(tmp_path)
    subprocess.run(["skopeo", "--insecure-policy", "copy", *options, f"docker-archive:{path}", place], check=True,
                   capture_output=True)

    def told(figure: LayersFigure) -> list[object]:
        return [figure.size, figure.efficiency, figure.secrets, figure.steps,
                [(each["diffId"], each["changes"]) for each in figure.layers]]

    found = kit.layers(place, verify=True)
    assert told(found) == told(kit.layers(path))
    assert {each["digest"] == each["diffId"] for each in found.layers} == {False}  # compressed
    assert str(kit.layers(place)) == str(found)


def kit_command(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KIT_HOME": str(tmp_path / "k"), "DOCKER_HOST": f"unix://{tmp_path}/none"}
    return subprocess.run([sys.executable, "-m", "kitlib.cli.main", "layers", *arguments], capture_output=True,
                          text=True, check=False, env=environment)


def test_kit_layers_on_the_command_line(tmp_path: Path) -> None:
    file = str(docker_archive(tmp_path / "a.tar", STACK, "kit/app:1"))
    shown = kit_command(tmp_path, file, "--files").stdout
    assert "       +   id_rsa  37 B  0644 0:0\n" in shown
    assert "layer 4 only hides it" in shown
    assert json.loads(kit_command(tmp_path, file, "--json").stdout)["wastedBytes"] == 1057
    assert "4 layers shared, 1.59 kB; containers of both see the same files" in kit_command(
        tmp_path, file, "--compare", file).stdout
    page = tmp_path / "a.html"
    assert kit_command(tmp_path, file, "--html", str(page)).stderr == f"kit: wrote {page}\n"
    assert page.read_text().startswith("<!DOCTYPE html>")
    refused = kit_command(tmp_path, "nothing/here")
    assert refused.returncode == 1
    assert refused.stderr.startswith("kit: there is no image nothing/here in the store, and no file of that name")
    assert kit_command(tmp_path, file, "--container", "web").returncode == 2
    listed = kit_command(tmp_path, file, "--files", "/etc/m*", "--lowest-efficiency", "0.9",
                         "--highest-wasted-bytes", "2kB")
    assert listed.returncode == 1
    assert listed.stderr == "kit: its efficiency is 0.3384, below 0.9.\n"
    assert "       ~   motd  12 B  0644 0:0  was 5 B\n" in listed.stdout
    assert "id_rsa  37" not in listed.stdout


@pytest.mark.needs("docker")
@pytest.mark.needs("busybox")
def test_what_a_container_has_written(tmp_path: Path) -> None:
    client = docker.from_env()
    name = "explorer-test:written"
    base = layer(("bin/", None), ("bin/busybox", Path("/bin/busybox").read_bytes()), mode=0o755)
    client.images.load(docker_archive(tmp_path / "a.tar", [base, *STACK[:1]], name).read_bytes())
    script = "cd /bin && ./busybox rm /etc/old && echo 12 >> /etc/motd && ./busybox mkdir /d && echo 123 > /d/new"
    box = client.containers.create(name, ["/bin/busybox", "sh", "-c", script], network_mode="none")
    try:
        box.start()
        box.wait(timeout=60)
        figure = kit.layers(container=box)
        assert figure.container is not None
        assert (figure.name, figure.container["status"], figure.container["name"]) == (name, "exited", box.name)
        assert [(c["kind"], c["path"], c["type"], c["size"], c["before"], c["from"]) for c in figure.changes("RW")] == [
            ("added", "/d", "directory", 0, 0, None), ("added", "/d/new", "file", 4, 0, None),
            ("changed", "/etc/motd", "file", 8, 5, 2), ("removed", "/etc/old", "file", 1000, 1000, 2)]
        assert figure.container["size"] == 12
        assert f"container {box.name} (exited), read-write" in figure.svg
        assert [each["diffId"] for each in kit.layers(name, client=client).layers] == [
            each["diffId"] for each in figure.layers]
    finally:
        box.remove(force=True)
        client.images.remove(name, force=True)
        client.close()
    with pytest.raises(KitError, match="no container explorer-test-gone"):
        kit.layers(container="explorer-test-gone")
