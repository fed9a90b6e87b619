#!/usr/bin/env python3
"""Writes kitlib/objects/schema/data/: the shape of every built-in kind, out of Kubernetes' own Go types.

    python3 tools/generate_schemas.py                 # fetch the packages with apt-get, write the tables
    python3 tools/generate_schemas.py --go FOLDER     # the packages are unpacked there already

The types come from Debian's packages of the Kubernetes API (sid: golang-k8s-api-dev and its siblings).
They are downloaded and unpacked into a temporary folder, never installed, with apt directories of
their own, so neither the machine's package lists nor its sources change.

One file per group version; one line per type, so a new Kubernetes shows up as a readable diff:

    "ContainerPort": [["name","string","o",1], ["hostPort","int32","o",2], ...]
                       │      │        │   └ protobuf field number (0: not in protobuf)
                       │      │        └ o omitempty, z omitzero, r required, i embedded (its fields are ours)
                       │      └ * pointer, [] list, {} map, then a scalar, a type, or "core/v1.Type"
                       └ JSON name
    a fifth element holds what else there is: list, keys, merge, strategy, atomic, default.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from gotypes import GoField, GoPackage, GoType, read_package

DATA = Path(__file__).resolve().parent.parent / "kitlib/objects/schema/data"
DEBS = ["golang-k8s-api-dev", "golang-k8s-apimachinery-dev", "golang-k8s-apiextensions-apiserver-dev",
        "golang-k8s-metrics-dev"]
EXPECTED = "0.36"  # the packages' version that goes with Kubernetes 1.36
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# (folder and version, API group, Go package, OpenAPI prefix, files)
PACKAGES = [
    (f"{folder}/{version}", group, f"k8s.io/api/{folder}/{version}", f"io.k8s.api.{folder}.{version}", ["types.go"])
    for folder, version, group in [
        ("core", "v1", ""), ("apps", "v1", "apps"), ("batch", "v1", "batch"), ("autoscaling", "v1", "autoscaling"),
        ("autoscaling", "v2", "autoscaling"), ("policy", "v1", "policy"), ("networking", "v1", "networking.k8s.io"),
        ("discovery", "v1", "discovery.k8s.io"), ("events", "v1", "events.k8s.io"),
        ("coordination", "v1", "coordination.k8s.io"), ("rbac", "v1", "rbac.authorization.k8s.io"),
        ("storage", "v1", "storage.k8s.io"), ("scheduling", "v1", "scheduling.k8s.io"), ("node", "v1", "node.k8s.io"),
        ("certificates", "v1", "certificates.k8s.io"), ("admissionregistration", "v1", "admissionregistration.k8s.io"),
        ("admission", "v1", "admission.k8s.io"), ("authentication", "v1", "authentication.k8s.io"),
        ("authorization", "v1", "authorization.k8s.io"), ("flowcontrol", "v1", "flowcontrol.apiserver.k8s.io"),
        ("resource", "v1", "resource.k8s.io")]]
PACKAGES += [
    ("meta/v1", "meta.k8s.io", "k8s.io/apimachinery/pkg/apis/meta/v1", "io.k8s.apimachinery.pkg.apis.meta.v1",
     ["types.go", "watch.go", "group_version.go"]),
    ("apiextensions/v1", "apiextensions.k8s.io", "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1",
     "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1", ["types.go", "types_jsonschema.go"]),
    ("metrics/v1beta1", "metrics.k8s.io", "k8s.io/metrics/pkg/apis/metrics/v1beta1",
     "io.k8s.metrics.pkg.apis.metrics.v1beta1", ["types.go"]),
]
BY_GO_PATH = {package[2]: package[0] for package in PACKAGES}

# Types with an encoding of their own; the schema engine knows each by this name.
SPECIAL = {
    "meta/v1.Time": "time", "meta/v1.MicroTime": "microtime", "meta/v1.Duration": "duration",
    "meta/v1.FieldsV1": "any",
    "k8s.io/apimachinery/pkg/runtime.RawExtension": "any", "k8s.io/apimachinery/pkg/api/resource.Quantity": "quantity",
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": "int-or-string", "k8s.io/apimachinery/pkg/types.UID": "string",
    "k8s.io/apimachinery/pkg/types.NodeName": "string", "apiextensions/v1.JSON": "any",
    "apiextensions/v1.JSONSchemaPropsOrArray": "schema-or-array",
    "apiextensions/v1.JSONSchemaPropsOrBool": "schema-or-bool",
    "apiextensions/v1.JSONSchemaPropsOrStringArray": "schema-or-strings",
}
META_KINDS = ["Status", "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "GetOptions", "ListOptions",
              "WatchEvent", "Table", "PartialObjectMetadata", "PartialObjectMetadataList", "APIVersions", "APIGroup",
              "APIGroupList", "APIResourceList"]  # of every group
SCALARS = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "int": "int64", "float64": "double",
           "[]byte": "bytes", "interface{}": "any"}
# kube-aggregator is in none of the packages; these are the declarations of its public API, apiregistration.k8s.io/v1.
APIREGISTRATION: dict[str, Any] = {
    "group": "apiregistration.k8s.io", "version": "v1",
    "prefix": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
    "kinds": ["APIService", "APIServiceList"], "atomic": [], "aliases": {"ConditionStatus": ["string"]},
    "types": {
        "APIService": [["", "meta/v1.TypeMeta", "i", 0], ["metadata", "meta/v1.ObjectMeta", "o", 1],
                       ["spec", "APIServiceSpec", "o", 2], ["status", "APIServiceStatus", "o", 3]],
        "APIServiceList": [["", "meta/v1.TypeMeta", "i", 0], ["metadata", "meta/v1.ListMeta", "o", 1],
                           ["items", "[]APIService", "r", 2]],
        "APIServiceSpec": [["service", "*ServiceReference", "", 1], ["group", "string", "o", 2],
                           ["version", "string", "o", 3], ["insecureSkipTLSVerify", "bool", "o", 4],
                           ["caBundle", "bytes", "o", 5, {"list": "atomic"}],
                           ["groupPriorityMinimum", "int32", "r", 7], ["versionPriority", "int32", "r", 8]],
        "ServiceReference": [["namespace", "string", "o", 1], ["name", "string", "o", 2], ["port", "*int32", "o", 3]],
        "APIServiceStatus": [["conditions", "[]APIServiceCondition", "o", 1,
                              {"list": "map", "keys": ["type"], "merge": "type", "strategy": "merge"}]],
        "APIServiceCondition": [["type", "string", "r", 1], ["status", "ConditionStatus", "r", 2],
                                ["lastTransitionTime", "time", "o", 3], ["reason", "string", "o", 4],
                                ["message", "string", "o", 5]],
    },
}


def fetch(folder: Path) -> Path:
    """Download and unpack the packages; returns the folder that holds k8s.io/."""
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] http://deb.debian.org/debian sid main\n")
    for sub in ("lists/partial", "cache/archives/partial", "debs"):
        (folder / sub).mkdir(parents=True)
    options = ["-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
    subprocess.run(["apt-get", *options, "update", "-qq"], check=True)
    subprocess.run(["apt-get", *options, "download", "-qq", *DEBS], check=True, cwd=folder / "debs")
    for deb in sorted((folder / "debs").glob("*.deb")):
        if f"_{EXPECTED}." not in deb.name:
            print(f"warning: {deb.name} is not {EXPECTED}")
        subprocess.run(["dpkg-deb", "-x", str(deb), str(folder / "go")], check=True)
    return folder / "go/usr/share/gocode/src"


class PackageWriter:
    """Turns one Go package into its table."""

    def __init__(self, name: str, package: GoPackage) -> None:
        self.name, self.package = name, package

    def resolve(self, go: str) -> str:
        """A Go type as the table writes it: `*metav1.Time` -> `*time`, `[]Container` -> `[]Container`."""
        if go in SCALARS:
            return SCALARS[go]
        if go.startswith("*"):
            return "*" + self.resolve(go[1:])
        if go.startswith("[]"):
            return "[]" + self.resolve(go[2:])
        if match := re.fullmatch(r"map\[[\w.]+\](.+)", go):
            return "{}" + self.resolve(match[1])
        if "." in go:
            alias, _, base = go.partition(".")
            path = self.package.imports.get(alias)
            if path is None:
                raise ValueError(f"{self.name}: {go}: no import {alias}")
            full = f"{BY_GO_PATH.get(path, path)}.{base}"
        else:
            full = f"{self.name}.{go}"
        if full in SPECIAL:
            return SPECIAL[full]
        if full.startswith("k8s.io/"):
            raise ValueError(f"{self.name}: {full} is in no package of ours")
        if "." not in go and go not in self.package.types:
            raise ValueError(f"{self.name}: unknown type {go}")
        return go if "." not in go else full

    def default(self, text: str) -> Any:
        if match := re.fullmatch(r"ref\((\w+)\)", text):
            return self.package.constants[match[1]]
        return json.loads(text)

    def field(self, go: GoField) -> list[Any] | None:
        inline = "inline" in go.json_options or (not go.name and not go.json_name)
        kind = self.resolve(go.type)
        if go.json_name == "-" or "json" not in go.tags:
            return None
        optional = go.marker("optional") or (not go.marker("required") and "omitempty" in go.json_options)
        flags = "".join(letter for letter, is_set in [
            ("o", "omitempty" in go.json_options), ("z", "omitzero" in go.json_options),
            ("r", not optional and not inline), ("i", inline)] if is_set)
        number = next((int(part) for part in go.tags.get("protobuf", "").split(",") if part.isdigit()), 0)
        row: list[Any] = ["" if inline else go.json_name, kind, flags, number]
        extra: dict[str, Any] = {}
        if go.marker("listType"):
            extra["list"] = go.marker("listType")[-1]
        if go.marker("listMapKey"):
            extra["keys"] = [key.strip('"') for key in go.marker("listMapKey")]
        if go.tags.get("patchMergeKey"):
            extra["merge"] = go.tags["patchMergeKey"]
        if go.tags.get("patchStrategy"):
            extra["strategy"] = go.tags["patchStrategy"]
        for marker in ("mapType", "structType"):
            if go.marker(marker):
                extra["atomic"] = go.marker(marker)[-1] == "atomic"
        if go.marker("default"):
            extra["default"] = self.default(go.marker("default")[-1])
        return [*row, extra] if extra else row

    def alias(self, go: GoType) -> list[Any]:
        of = self.resolve(go.underlying.removeprefix("= "))
        values = go.values if any(key == "enum" for key, _ in go.markers) else []
        if go.marker("protobuf.nullable"):  # a list that must tell empty from missing is a message of its own there
            return [of, values, "message"]
        return [of, values] if values else [of]

    def table(self, group: str, prefix: str) -> dict[str, Any]:
        types, aliases, atomic = {}, {}, []
        for name, go in self.package.types.items():
            if f"{self.name}.{name}" in SPECIAL or name in ("InternalEvent", "Patch"):
                continue
            if go.underlying:
                aliases[name] = self.alias(go)
                continue
            types[name] = [row for row in map(self.field, go.fields) if row is not None]
            if "atomic" in go.marker("structType") + go.marker("mapType"):
                atomic.append(name)
        return {"group": group, "version": self.name.rpartition("/")[2], "prefix": prefix,
                "kinds": self.package.kinds, "atomic": atomic, "aliases": aliases, "types": types}


def dump(table: dict[str, Any]) -> str:
    """JSON with one line per type and alias."""
    def compact(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    lines = [f'"{key}":{compact(table[key])}' for key in ("group", "version", "prefix", "kinds", "atomic")]
    for key in ("aliases", "types"):
        body = ",\n".join(f' "{name}":{compact(value)}' for name, value in table[key].items())
        lines.append(f'"{key}":{{\n{body}\n}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_tables(go: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, group, path, prefix, files in PACKAGES:
        table = PackageWriter(name, read_package(go / path, files)).table(group, prefix)
        if name == "meta/v1":
            table["types"]["TypeMeta"] = [[name, "string", "o", 0] for name in ("kind", "apiVersion")]
            table["kinds"] = META_KINDS
        (out / f"{name.replace('/', '_')}.json").write_text(dump(table))
    (out / "apiregistration_v1.json").write_text(dump(APIREGISTRATION))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the schema tables out of Kubernetes' Go types.")
    parser.add_argument("--go", type=Path, help="folder that holds k8s.io/ (default: fetch Debian's packages)")
    parser.add_argument("--out", type=Path, default=DATA, help="where the tables go")
    options = parser.parse_args()
    if options.go:
        write_tables(options.go, options.out)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_tables(fetch(Path(folder)), options.out)


if __name__ == "__main__":
    main()
