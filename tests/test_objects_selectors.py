"""Label and field selectors: what they match, and the real parser's sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.objects.errors import StatusError
from kitlib.objects.selectors import FieldSelector, LabelSelector

WEB, DB, BARE = {"tier": "web", "env": "prod", "size": "30"}, {"tier": "db", "size": "3", "empty": ""}, {}


@pytest.mark.parametrize(("text", "matched"), [
    ("", [WEB, DB, BARE]),
    ("tier=web", [WEB]),
    ("tier==web,env=prod", [WEB]),
    ("tier!=web", [DB, BARE]),
    ("tier in (web,db)", [WEB, DB]),
    ("env notin (prod)", [DB, BARE]),
    ("tier", [WEB, DB]),
    ("!tier", [BARE]),
    ("empty=", [DB]),
    ("env in (prod,)", [WEB]),
    ("env in ()", []),
    ("size>5", [WEB]),
    ("size<5", [DB]),
    ("size>2,size<10", [DB]),
])
def test_a_text_selector_matches(text: str, matched: list[dict[str, str]]) -> None:
    selector = LabelSelector.parse(text)
    assert [labels for labels in (WEB, DB, BARE) if selector.matches(labels)] == matched


@pytest.mark.parametrize(("text", "sentence"), [
    ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
    ("a in b", "unable to parse requirement: found 'b' expected: '('"),
    ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
    ("tier=web,", "found '', expected: identifier after ','"),
    ("tier=a b", "found 'b', expected: ',' or 'end of string'"),
    ("=x", "found '=', expected: !, identifier, or 'end of string'"),
    ("size>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must "
               "be an integer"),
])
def test_a_bad_text_selector_is_a_400_with_the_parsers_sentence(text: str, sentence: str) -> None:
    with pytest.raises(StatusError) as caught:
        LabelSelector.parse(text)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (400, "BadRequest", sentence)


def test_a_bad_key_and_a_bad_value_are_named_with_their_place() -> None:
    with pytest.raises(StatusError, match='<nil>: Invalid value: "a/b/c": a qualified name must consist of'):
        LabelSelector.parse("a/b/c=d")
    with pytest.raises(StatusError, match=r'values\[0\]\[k\]: Invalid value: "x_": a valid label must be'):
        LabelSelector.parse("k=x_")


def test_a_spec_selector_needs_all_labels_and_expressions() -> None:
    selector = LabelSelector.of({"matchLabels": {"tier": "web"}, "matchExpressions": [
        {"key": "env", "operator": "In", "values": ["prod", "dev"]}, {"key": "old", "operator": "DoesNotExist"}]})
    assert selector.matches(WEB)
    assert not selector.matches({**WEB, "old": "1"})
    assert not selector.matches({"tier": "web"})


def test_a_missing_selector_matches_nothing_and_an_empty_one_everything() -> None:
    assert not LabelSelector.of(None).matches(WEB)
    assert LabelSelector.of({}).matches(BARE)
    assert not LabelSelector.of_labels({}).matches(WEB)
    assert LabelSelector.of_labels({"tier": "db"}).matches(DB)


def test_an_unknown_operator_in_a_spec_is_refused() -> None:
    with pytest.raises(StatusError, match='"Odd" is not a valid label selector operator'):
        LabelSelector.of({"matchExpressions": [{"key": "a", "operator": "Odd"}]})


word = st.text("abc123", min_size=1, max_size=3)


@given(st.dictionaries(word, word, max_size=3), st.dictionaries(word, word, max_size=3))
def test_a_selector_of_labels_matches_exactly_the_supersets(wanted: dict[str, str], labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    selector = LabelSelector.parse(text)
    assert selector.matches(labels) == (wanted.items() <= labels.items())
    assert LabelSelector.parse(str(selector)).requirements == selector.requirements


def test_field_selectors_compare_and_escape() -> None:
    selector = FieldSelector.parse(r"a=1\,2,b!=x,c==y")
    assert selector.matches({"a": "1,2", "b": "z", "c": "y"})
    assert not selector.matches({"a": "1,2", "b": "x", "c": "y"})
    assert selector.exact("a") == "1,2"
    assert selector.exact("b") is None
    assert FieldSelector.parse(str(selector)).requirements == selector.requirements


@pytest.mark.parametrize(("text", "sentence"), [
    ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
    ("a=b=c", "invalid field selector: unescaped character in value: ="),
])
def test_a_bad_field_selector_is_a_400(text: str, sentence: str) -> None:
    with pytest.raises(StatusError) as caught:
        FieldSelector.parse(text)
    assert (caught.value.code, caught.value.message) == (400, sentence)
