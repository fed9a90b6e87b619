"""The pictures of lab07: a three-way merge, and who owns which field."""

from __future__ import annotations

import json
import re

import pytest

from kitlib.objects.apply import apply, track_update
from kitlib.objects.schema.schema import schema_for
from kitlib.views import deck_declarative, grid, merge, owners

NODE = schema_for("", "v1", "ConfigMap").node


def configmap(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "menu"}, "data": data}


@pytest.mark.parametrize(("last", "live", "wanted", "result", "words", "role"), [
    ("1", "1", "1", "1", "same", "same"),
    ("1", "1", "2", "2", "set: your new value", "set"),
    (None, None, "2", "2", "set: new", "set"),
    ("1", "9", "1", "1", "put back: changed meanwhile", "put back"),
    ("1", None, "1", "1", "put back: it was gone", "put back"),
    ("1", "1", None, None, "removed: you had it, now not", "removed"),
    ("2", "4", None, "1", "yours no more: the default", "default"),
    ("1", None, None, None, "gone already", "same"),
    (None, "9", None, "9", "kept: was never yours", "kept"),
])
def test_what_becomes_of_a_field(last, live, wanted, result, words, role):
    assert merge.verdict(last, live, wanted, result) == (words, role)


def test_fields_that_a_person_writes_are_found_and_the_servers_are_not():
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 1}, "metadata": {
        "name": "a", "uid": "u", "generation": 3, "labels": {"app.kubernetes.io/name": "x"},
        "annotations": {merge.LAST_APPLIED: "{}"}}, "spec": {"replicas": 0, "template": {"spec": {"containers": [
            {"name": "echo", "image": "kit/echo", "args": ["-v"], "env": []}]}}}}
    assert merge.leaves(obj) == {
        'metadata.labels["app.kubernetes.io/name"]': "x", "spec.replicas": "0",
        "spec.template.spec.containers[echo].name": "echo", "spec.template.spec.containers[echo].image": "kit/echo",
        "spec.template.spec.containers[echo].args[0]": "-v"}


def test_an_object_that_nobody_applied_is_named_as_such():
    drawn = merge.grid("t", None, configmap(a="1", b="2"), configmap(a="1"), configmap(a="1", b="2"))
    assert [(name, words) for name, _, words, _ in drawn.rows] == [("data.a", "same"),
                                                                   ("data.b", "kept: was never yours")]
    assert "remembers nothing" in drawn.footnotes[0]


def run_of(live, result):
    """kubectl as it answers: a List for a file."""
    def run(command, manifest):
        return json.dumps({"kind": "List", "items": [live]} if command.startswith("get") else result) if live else \
            ("" if command.startswith("get") else json.dumps(result))
    return run


def test_the_figure_is_made_of_what_kubectl_says():
    live = configmap(a="9", c="3")
    live["metadata"]["annotations"] = {merge.LAST_APPLIED: json.dumps(configmap(a="1", b="2"))}
    figure = merge.figure("{apiVersion: v1, kind: ConfigMap, metadata: {name: menu}, data: {a: '1'}}",
                          run_of(live, configmap(a="1", c="3")))
    assert [row[2] for row in figure.grid.rows] == ["put back: changed meanwhile", "gone already",
                                                    "kept: was never yours"]
    assert "data.a" in str(figure)
    assert figure._repr_mimebundle_()["text/html"].startswith("<svg")


@pytest.mark.parametrize(("manifest", "part"), [("a: [", "not YAML"), ("", "has 0"), ("a: 1\n---\nb: 2", "has 2")])
def test_another_manifest_is_refused_in_a_sentence(manifest, part):
    with pytest.raises(ValueError, match=part):
        merge.figure(manifest, run_of(None, configmap()))


def test_owners_are_those_of_managed_fields():
    live = apply(None, configmap(a="1", b="2"), "one", NODE, time=None)
    live = apply(live, configmap(b="2"), "two", NODE, time=None)
    live = track_update(live, {**live, "data": {"a": "1", "b": "2", "c": "3"}}, "hand", NODE, time=None)
    assert owners.owners(live) == {".data.a": [("one", "Apply")], ".data.b": [("one", "Apply"), ("two", "Apply")],
                                   ".data.c": [("hand", "Update")]}
    drawn = owners.grid("t", live)
    assert [words for _, _, words, _ in drawn.rows] == ["one's: others conflict", "shared: all must let go",
                                                        "last written by hand"]
    assert [row[0] for row in owners.grid("t", live, keep=".c").rows] == [".data.c"]


def test_a_figure_says_in_words_what_it_shows_and_fits_its_frame():
    for picture in (deck_declarative.menu(), *(deck_declarative.board(str(n)) for n in (1, 2, 3))):
        assert "<desc>data." in picture or "<desc>.data." in picture
        width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', picture).groups())
        assert all(0 <= float(x) < width and 0 <= float(y) <= height
                   for x, y in re.findall(r'<text x="(\S+)" y="(\S+)"', picture))
    last = deck_declarative.board("3")
    assert "data.size: app yes, platform nothing; app&#x27;s: others conflict" in last
    with pytest.raises(ValueError, match="steps 1 to 3"):
        deck_declarative.board("4")


def test_long_values_are_shortened_and_nothing_is_never_blank():
    cell = grid.Cell("x" * 500)
    made = grid.svg(grid.Grid("t", (grid.Column("live"),), (("f", (cell,), "same", "same"),)))
    drawn = re.sub(r"<desc>.*</desc>", "", made)
    assert "…" in drawn
    assert "x" * 200 not in drawn
    assert "nothing" in grid.svg(grid.Grid("t", (grid.Column("live"),), (("f", (grid.Cell(),), "", ""),)))


def test_a_manager_keeps_its_colour_when_others_come():
    first, both = (re.findall(r'height="4" rx="2" fill="(#\w+)"', deck_declarative.board(step)) for step in ("1", "2"))
    assert len(set(both)) == 2
    assert first[0] == both[1]  # platform comes after app
    assert len(set(grid.colours("abc", ["x", "y", "z", "w"]).values())) == 3
