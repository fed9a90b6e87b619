"""A check says what is wrong, never blames the learner for our bugs, and cannot silently find nothing."""

from __future__ import annotations

import types

import pytest

from kitlib.checks import answers
from kitlib.checks.framework import NoSuchLab, Wrong, exercise, from_module, load
from kitlib.checks.run import run_lab, text
from kitlib.checks.world import World
from kitlib.objects.errors import StatusError, not_found


class FakeClient:
    """Objects by (resource, namespace, name), as much of a cluster as these tests need."""

    def __init__(self, objects=None):
        self.objects = objects or {}

    def get(self, resource, namespace, name):
        if (resource, namespace, name) not in self.objects:
            raise not_found("", resource, name)
        return self.objects[resource, namespace, name]

    def create(self, resource, namespace, obj):
        self.objects[resource, namespace, obj["metadata"]["name"]] = obj
        return obj

    def patch(self, resource, namespace, name, patch):
        found = self.get(resource, namespace, name)
        found["data"] = {**found.get("data", {}), **patch["data"]}
        return found


def lab_of(*functions, **constants):
    module = types.ModuleType("kitlib.checks.lab99_test")
    vars(module).update({"TITLE": "Test", "MINUTES": 1, "NAMESPACE": "test", **constants})
    for function in functions:
        function.__module__ = module.__name__
        setattr(module, function.__name__, function)
    return from_module(module)


@exercise(points=2)
def passes(world):
    """It passes"""
    world.note("seen")


@exercise(after=passes)
def is_wrong(world):
    """It is wrong"""
    raise Wrong("two is not three", "count again", expected=3, actual=2)


@exercise(after=is_wrong)
def waits(world):
    """It waits for another"""


@exercise()
def is_broken(world):
    """The check itself is broken"""
    raise ZeroDivisionError("ours")


@exercise()
def is_refused(world):
    """The cluster says no"""
    raise StatusError(403, "Forbidden", "pods is forbidden")


def test_results_tell_right_wrong_and_undecided_apart():
    results = {r.name: r for r in run_lab(lab_of(passes, is_wrong, waits, is_broken, is_refused),
                                          World(FakeClient(), "test"))}
    assert {name: r.passed for name, r in results.items()} == {
        "passes": True, "is_wrong": False, "waits": None, "is_broken": None, "is_refused": None}
    assert [(r.points, r.max_points) for r in results.values()] == [(2, 2), (0, 1), (0, 1), (0, 1), (0, 1)]
    assert results["passes"].log == ["seen"]
    assert results["is_wrong"].cause == {"rationale": "two is not three", "help": "count again", "expected": 3,
                                         "actual": 2}
    assert "is_wrong" in results["waits"].log[0]
    assert "ZeroDivisionError" in results["is_broken"].log[0]
    assert "pods is forbidden" in results["is_refused"].log[0]


def test_one_exercise_runs_with_what_it_needs_and_nothing_else():
    seen = []
    results = run_lab(lab_of(passes, is_wrong, waits, is_broken), World(FakeClient(), "test"), only=["is_wrong"],
                      progress=lambda r: seen.append(r.name))
    assert ([r.name for r in results], seen) == (["is_wrong"], ["is_wrong"])
    with pytest.raises(NoSuchLab, match="no exercise 'nonsense'"):
        run_lab(lab_of(passes), World(FakeClient(), "test"), only=["nonsense"])


def test_the_text_of_a_wrong_answer_has_everything_a_learner_needs():
    (result,) = run_lab(lab_of(passes, is_wrong), World(FakeClient(), "test"), only=["is_wrong"])
    shown = text(result)
    for part in ("✘ It is wrong", "two is not three", "expected: 3", "actual:   2", "hint: count again"):
        assert part in shown
    assert "\x1b[31m" in text(result, colour=True)


def test_on_the_button_a_hint_has_its_code_and_its_stress_and_nothing_else_is_markup():
    from kitlib.views.check_button import prose

    assert prose("run `a < *b*` *before* it") == "run <code>a &lt; *b*</code> <em>before</em> it"
    assert prose("<b> 2*3*4 and a lone ` or *") == "&lt;b&gt; 2*3*4 and a lone ` or *"


def test_a_module_without_checks_and_a_check_without_a_title_are_errors():
    with pytest.raises(TypeError, match="defines no checks"):
        lab_of()
    with pytest.raises(TypeError, match="docstring"):
        exercise()(lambda world: None)

    def no_check(world):
        """Not a check"""

    with pytest.raises(TypeError, match="which is not a check"):
        exercise(after=no_check)(passes)


def test_a_lab_is_found_by_its_number_and_an_unknown_one_names_the_others():
    assert load("lab09").stem == "lab09_replicaset_flow"
    with pytest.raises(NoSuchLab, match="lab09_replicaset_flow"):
        load("lab98")


def test_answers_travel_through_a_configmap_and_come_back_as_they_were():
    client = FakeClient()
    answers.put(client, "test", "first", {"a": [1, "zwei", True, None]})
    answers.put(client, "test", "second", 2)
    answers.put(client, "test", "second", 3)
    assert answers.read(client.get("configmaps", "test", "kit-answers")) == {
        "first": {"a": [1, "zwei", True, None]}, "second": 3}


@pytest.mark.parametrize(("value", "part"), [(object(), "must be text"), (float("nan"), "must be text"),
                                             ("x" * 30_000, "characters long")])
def test_what_is_not_short_plain_json_is_no_answer(value, part):
    with pytest.raises(answers.BadAnswer, match=part):
        answers.put(FakeClient(), "test", "first", value)


@pytest.mark.parametrize(("value", "form", "part"), [
    (3, int, None), (True, int, "whole number"), ("3", int, "whole number"), ("a", {"a", "b"}, None),
    ("c", {"a", "b"}, "one of a, b"), (["a", 1], [str], "item 2"), ("a", [str], "a list"),
    ({"x": 1}, {"x": int}, None), ({"x": "1"}, {"x": int}, "'x'"), ({}, {"x": int}, "lacks the key 'x'"),
    ({"x": 1, "y": 2}, {"x": int}, "unknown key 'y'"), (1, {"x": int}, "dictionary"), (["a"], {"a"}, "one of")])
def test_an_answer_of_the_wrong_form_is_described(value, form, part):
    found = answers.problem(value, form)
    assert (found is None) if part is None else (part in found)


def test_a_missing_answer_and_one_of_the_wrong_form_get_a_hint():
    world = World(FakeClient(), "test")
    with pytest.raises(Wrong, match="no answer 'first'"):
        world.answer("first", int)
    answers.put(world.client, "test", "first", "three")
    with pytest.raises(Wrong, match="whole number"):
        world.answer("first", int)
    answers.put(world.client, "test", "first", 3)
    assert world.answer("first", int) == 3


def test_a_good_state_that_does_not_last_is_not_good():
    world, looks = World(FakeClient(), "test"), iter([True, False])
    assert not world.stays(lambda: next(looks), 0.001)
    assert world.stays(lambda: True, 0.001)
    looks = iter([False, False, True])
    assert world.eventually(lambda: next(looks))
    assert not world.eventually(lambda: False, within=0.01)
