"""Names, owners and copies of objects."""

from __future__ import annotations

import re
import uuid

from kitlib.objects import meta, names

OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "rs", "namespace": "d", "uid": "u1"}}


def test_an_object_key_has_the_namespace_only_if_there_is_one() -> None:
    assert meta.object_key(OWNER) == "d/rs"
    assert meta.object_key({"metadata": {"name": "node"}}) == "node"
    assert [meta.split_key(key) for key in ("d/rs", "node")] == [("d", "rs"), ("", "node")]


def test_the_controller_is_the_owner_that_says_so() -> None:
    reference = meta.owner_reference(OWNER)
    child = {"metadata": {"name": "p", "ownerReferences": [{"kind": "X", "name": "x", "uid": "u0"}, reference]}}
    assert meta.controller_of(child) == reference
    assert meta.is_controlled_by(child, OWNER)


def test_a_namesake_of_the_controller_is_not_the_controller() -> None:
    child = {"metadata": {"name": "p", "ownerReferences": [meta.owner_reference(OWNER)]}}
    later = {**OWNER, "metadata": {**OWNER["metadata"], "uid": "u2"}}
    assert not meta.is_controlled_by(child, later)


def test_a_reference_of_a_mere_owner_does_not_block_its_deletion() -> None:
    assert meta.owner_reference(OWNER, controller=False) == {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u1"}


def test_generated_names_are_valid_and_end_in_five_safe_characters() -> None:
    name = meta.generate_name("web-")
    assert re.fullmatch("web-[bcdfghjklmnpqrstvwxz2456789]{5}", name)
    long = meta.generate_name("a" * 100)
    assert len(long) == 63
    assert names.dns_label(long) == []


def test_generated_names_differ() -> None:
    assert len({meta.generate_name("x-") for _ in range(200)}) == 200


def test_uids_are_random_uuids_of_version_4() -> None:
    made = {meta.new_uid() for _ in range(200)}
    assert len(made) == 200
    for text in made:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)


def test_a_clone_shares_nothing_that_can_change() -> None:
    original = {"a": [{"b": {"c": [1, 2]}}], "d": "x", "e": None}
    copy = meta.clone(original)
    assert copy == original
    copy["a"][0]["b"]["c"].append(3)
    assert original["a"][0]["b"]["c"] == [1, 2]


def test_metadata_is_replaced_without_touching_the_original() -> None:
    labelled = meta.with_labels(OWNER, {"a": "b"})
    assert labelled["metadata"]["labels"] == {"a": "b"}
    assert "labels" not in OWNER["metadata"]
    assert "labels" not in meta.with_labels(labelled, {"a": None})["metadata"]
    assert meta.with_annotations(labelled, {"x": "y"})["metadata"]["annotations"] == {"x": "y"}
    assert "kind" not in meta.with_fields(OWNER, kind=None)
