#!/usr/bin/env python3
"""Writes kitlib/controllers/data/pod_template.json: the Go types that a Pod template is made of.

    python3 tools/generate_hash_types.py                 # fetch the packages with apt-get
    python3 tools/generate_hash_types.py --go FOLDER     # the packages are unpacked there already

A ReplicaSet's name ends in a hash over a dump of the Go struct, so the hash needs what JSON does not have: the fields
in Go's order with Go's names, and the name of every type.  One line per type:

    "Container": [["Name","name","string"], ["Env","env","[]v1.EnvVar"], ...]      a struct: Go name, JSON name, Go type
    "PullPolicy": "string"                                                         another name for a type
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path

from generate_schemas import fetch
from gotypes import GoPackage, GoType, read_package

OUT = Path(__file__).resolve().parent.parent / "kitlib/controllers/data/pod_template.json"
PACKAGES = ("k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/api/core/v1")
BUILTIN = {"string", "bool", "int32", "int64", "float64", "byte", "int"}
SPECIAL = {"v1.Time", "resource.Quantity", "intstr.IntOrString", "types.UID", "v1.FieldsV1"}
NAME = re.compile(r"[\w.]+")


def qualified(written: str) -> str:
    """A type as Go prints it: `[]Volume` of core/v1 is `[]v1.Volume`; metav1.Time is v1.Time as well."""
    def one(name: re.Match[str]) -> str:
        base = name.group().replace("metav1.", "v1.")
        return base if "." in base or base in BUILTIN | {"map"} else f"v1.{base}"

    return NAME.sub(one, written)


def collect(packages: list[GoPackage]) -> dict[str, object]:
    """All types that can be reached from PodTemplateSpec."""
    known: dict[str, GoType] = {}
    for package in packages:
        known.update(package.types)
    table: dict[str, object] = {}
    todo = ["v1.PodTemplateSpec"]
    while todo:
        name = todo.pop()
        short = name.removeprefix("v1.")
        if name in SPECIAL or name in BUILTIN or short in table:
            continue
        found = known[short]
        if found.underlying and not found.fields:
            table[short] = qualified(found.underlying)
            todo += names_in(qualified(found.underlying))
            continue
        rows = []
        for field in found.fields:
            written = qualified(field.type)
            inline = not field.name and not field.json_name
            rows.append([field.name or written.rpartition(".")[2], "" if inline else field.json_name, written])
            todo += names_in(written)
        table[short] = rows
    return dict(sorted(table.items()))


def names_in(written: str) -> list[str]:
    """The named types in a written one: []v1.Volume → v1.Volume, map[v1.ResourceName]resource.Quantity → both."""
    return [name for name in re.findall(r"[\w.]+", written) if name != "map"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--go", type=Path, help="where the packages are unpacked (usr/share/gocode/src)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = options.go or fetch(Path(folder))
        files = {PACKAGES[0]: ["types.go"], PACKAGES[1]: ["types.go"]}
        table = collect([read_package(source / path, files[path]) for path in PACKAGES])
    OUT.parent.mkdir(exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in table.items()]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
