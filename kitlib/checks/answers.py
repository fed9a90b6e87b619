"""Answers: how a prediction or an observation gets from the learner to the check.

`lab.answer("writers", {...})` puts JSON into the ConfigMap `kit-answers` of the lab's namespace.  So an
answer is an object like any other: it can be looked at with kubectl, and a check reads it from the
cluster, never from the process that learner code runs in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from kitlib.objects.errors import StatusError

CONFIGMAP = "kit-answers"
KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
LIMIT = 20_000  # characters of one answer


class BadAnswer(Exception):
    """The value cannot be an answer; the message says why."""


def put(client: Any, namespace: str, name: str, value: Any) -> None:
    """Store an answer (replacing an earlier one).  Raises BadAnswer for what is not short, plain JSON."""
    if not KEY.fullmatch(name):
        raise BadAnswer(f"an answer's name is letters, digits, '.', '_' or '-', not {name!r}")
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadAnswer(f"the answer {name!r} must be text, numbers, true/false, lists or dictionaries of them: "
                        f"{error}") from None
    if len(text) > LIMIT:
        raise BadAnswer(f"the answer {name!r} is {len(text)} characters long; {LIMIT} are allowed")
    patch = {"data": {name: text}}
    try:
        client.patch("configmaps", namespace, CONFIGMAP, patch)
    except StatusError as error:
        if error.code != 404:
            raise
        client.create("configmaps", namespace, {"apiVersion": "v1", "kind": "ConfigMap",
                                                "metadata": {"name": CONFIGMAP}, **patch})


def read(configmap: Mapping[str, Any] | None) -> dict[str, Any]:
    """All answers of a ConfigMap; what is not JSON (somebody edited it by hand) is kept as text."""
    answers: dict[str, Any] = {}
    for name, text in ((configmap or {}).get("data") or {}).items():
        try:
            answers[name] = json.loads(text)
        except ValueError:
            answers[name] = text
    return answers


def problem(value: Any, form: Any) -> str | None:
    """What keeps a value from having a form, in words, or None.

    A form is a type (`int`, `str`, `bool`), a list of one form, a dictionary of forms (exactly these keys),
    or a set of allowed values.

    >>> problem(["a", 1], [str])
    'item 2 should be text, not 1'
    """
    if isinstance(form, type):
        fits = isinstance(value, (int, float) if form is float else form) and not (
            form in (int, float) and isinstance(value, bool))
        return None if fits else f"should be {_NAMES[form]}, not {value!r}"
    if isinstance(form, (set, frozenset)):
        return None if isinstance(value, str) and value in form else \
            f"should be one of {', '.join(sorted(form))}, not {value!r}"
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"should be a list, not {value!r}"
        found = ((number, problem(item, form[0])) for number, item in enumerate(value, 1))
        return next((f"item {number} {text}" for number, text in found if text), None)
    if not isinstance(value, dict):
        return f"should be a dictionary with the keys {', '.join(form)}"
    if value.keys() != form.keys():
        missing, extra = form.keys() - value.keys(), value.keys() - form.keys()
        return f"lacks the key {min(missing)!r}" if missing else f"has an unknown key {min(extra, key=str)!r}"
    found = ((key, problem(value[key], part)) for key, part in form.items())
    return next((f"{key!r} {text}" for key, text in found if text), None)


_NAMES = {int: "a whole number", str: "text", bool: "True or False", float: "a number", list: "a list",
          dict: "a dictionary"}
