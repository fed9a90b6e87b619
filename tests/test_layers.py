"""The layer explorer: what a layer does, what is wasted (as dive counts it), what is hidden below, and comparing."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import pytest
from image_files import docker_archive, layer

from kitlib.images import archive
from kitlib.images.explorer.analyse import analyse
from kitlib.images.explorer.compare import compare
from kitlib.images.explorer.report import Report, instruction_of
from kitlib.images.store import ImageStore
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


def test_two_images_share_layers_and_differ_in_files(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    one = report(tmp_path / "x", STACK[:2], "kit/app:1")
    other = report(tmp_path / "y", [STACK[0], layer(("new", b"n"), ("etc/.wh.old", b""), ("etc/motd", b"other"))])
    difference = compare(one, other)
    assert (len(difference.shared), difference.shared_bytes) == (1, 1506)
    assert difference.added == ("new",)
    assert difference.removed == ("app/settings.ini", "etc/old", "root", "root/id_rsa")
    assert difference.changed == {}  # motd has another content but the same size and time: headers cannot tell


def dive(path: Path, out: Path) -> dict[str, object]:
    program = Path(sys.executable).with_name("dive")
    subprocess.run([program, f"docker-archive://{path}", "--json", str(out)], check=True, capture_output=True,
                   timeout=60)
    found: dict[str, object] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize("layers", [STACK, STACK[:2], [STACK[0], STACK[2]], [
    layer(("a/b/c", b"x" * 100), ("a/d", b"y" * 50), ("e", b"z")), layer(("a/.wh.b", b""), ("a/d", b"y" * 70)),
    layer((".wh.a", b""), ("e", b""), ("f/", None)), layer(("f/g", b"1"), ("l", "-> e"))]])
def test_dive_counts_the_same(tmp_path: Path, layers: list[bytes]) -> None:
    ours = report(tmp_path, layers)
    theirs = dive(tmp_path / "a.tar", tmp_path / "dive.json")
    image, their_layers = theirs["image"], theirs["layer"]
    assert isinstance(image, dict)
    assert isinstance(their_layers, list)
    assert [each["sizeBytes"] for each in their_layers] == [each.size for each in ours.layers]
    assert image["sizeBytes"] == ours.size
    assert image["inefficientBytes"] == ours.wasted_bytes
    assert image["efficiencyScore"] == pytest.approx(ours.efficiency)
    assert {(f["file"], f["count"], f["sizeBytes"]) for f in image["fileReference"]} == {
        ("/" + w.path, w.count, w.size) for w in ours.wasted}


def test_kit_layers_on_the_command_line(tmp_path: Path) -> None:
    def kit(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "kitlib.cli.main", "layers", *arguments], capture_output=True,
                              text=True, check=False, env={**__import__("os").environ, "KIT_HOME": str(tmp_path / "k")})

    file = str(docker_archive(tmp_path / "a.tar", STACK, "kit/app:1"))
    shown = kit(file, "--files").stdout
    assert "       +   id_rsa  37 B\n" in shown
    assert "layer 4 only hides it" in shown
    assert json.loads(kit(file, "--json").stdout)["wastedBytes"] == 1057
    assert kit(file, "--compare", file).stdout == "4 layers are shared, 1593 B\n"
    refused = kit("nothing/here")
    assert refused.returncode == 1
    assert refused.stderr.startswith("kit: there is no image nothing/here in the store, and no file of that name")
