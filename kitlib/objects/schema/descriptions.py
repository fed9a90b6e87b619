"""The sentences of `kubectl explain`, read out of the installed `kubernetes` client's source files.

The client's models are generated from Kubernetes' own OpenAPI and carry its descriptions: from
release 37 on as a class docstring and `Field(description="...")`, before that in the getters' docstrings.
The files are read as text, one per type, when asked: importing the client would cost seconds and 100 MB.
Without the client, or for a type it does not have, there is simply no text.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from kitlib.objects.schema.tables import split

CLASS = re.compile(r'^class \w+\(.*\):\n    """\n    (.+?)\n\n    Attributes:', re.MULTILINE | re.DOTALL)
FIELD = re.compile(r'^    (\w+): .* = Field\((.*)\)$', re.MULTILINE)
ALIAS = re.compile(r'serialization_alias="([^"]+)"')
DESCRIPTION = re.compile(r'description=("(?:[^"\\]|\\.)*")')
OLD_MAP = re.compile(r"^        '(\w+)': '([^']+)',?$", re.MULTILINE)
OLD_GETTER = re.compile(r'    def (\w+)\(self\):\n        """Gets the [^\n]*\n\n(.*?)\n\n        :return:', re.DOTALL)
NOT_TEXT = re.compile(r"  #.noqa: E501$", re.MULTILINE)


class Texts(NamedTuple):
    """A type's description and its fields', by JSON name."""

    text: str
    fields: dict[str, str]


NO_TEXTS = Texts("", {})


@cache
def models() -> Path | None:
    """The folder of the client's models."""
    spec = find_spec("kubernetes")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "client/models"
    return folder if folder.is_dir() else None


def texts_of(ref: str) -> Texts:
    """The texts of a type such as "core/v1.Pod"."""
    folder = models()
    if folder is None:
        return NO_TEXTS
    package, name = split(ref)
    group, _, version = package.partition("/")
    snake = _snake(name)
    for file in (folder / f"{group}_{version}_{snake}.py", folder / f"{version}_{snake}.py"):
        if file.is_file():
            return _read(file.read_text(encoding="utf-8"))
    return NO_TEXTS


def _snake(name: str) -> str:
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def _read(source: str) -> Texts:
    match = CLASS.search(source)
    fields: dict[str, str] = {}
    for attribute, arguments in FIELD.findall(source):
        text = DESCRIPTION.search(arguments)
        if text:
            alias = ALIAS.search(arguments)
            fields[alias[1] if alias else attribute] = ast.literal_eval(text[1])
    if not fields and match is None:
        fields = _read_old(source)
    return Texts(" ".join(match[1].split()) if match else "", fields)


def _read_old(source: str) -> dict[str, str]:
    names = dict(OLD_MAP.findall(source.partition("attribute_map = {")[2]))
    texts = {}
    for attribute, text in OLD_GETTER.findall(source):
        if attribute in names:
            texts[names[attribute]] = " ".join(NOT_TEXT.sub("", text).split())
    return texts
