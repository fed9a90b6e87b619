"""The generator reads Go: fields, tags, markers, aliases, enums."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"
GO = '''package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Color is one of few.
// +enum
type Color string

const (
	// Red is red.
	Red Color = "Red"
	Blue Color = "Blue"
)

type Sizes map[string]resource.Quantity

/*
type Nothing struct {
*/

// +structType=atomic
type Part struct {
	// name of it
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`
}

type Thing struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	Part `json:",inline" protobuf:"bytes,2,opt,name=part"`

	// +optional
	// +patchMergeKey=name
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=name
	Parts []Part `json:"parts,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,3,rep,name=parts"`
	// +default=ref(Red)
	Color *Color `json:"color,omitempty" protobuf:"bytes,4,opt,name=color"`
	Sizes Sizes `json:"sizes,omitempty" protobuf:"bytes,5,rep,name=sizes"`
	// +required
	When metav1.Time `json:"when,omitempty" protobuf:"bytes,6,opt,name=when"`
	Hidden string `json:"-"`
}
'''
PROGRAM = '''
import json, sys
from pathlib import Path
from generate_schemas import PackageWriter
from gotypes import read_package
package = read_package(Path(sys.argv[1]), ["types.go"])
print(json.dumps(PackageWriter("example/v1", package).table("example.com", "io.example.v1")))
'''


def generate(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "types.go").write_text(source)
    (folder / "register.go").write_text("func addKnownTypes(s *Scheme) {\n\ts.Add(&Thing{},\n\t)\n}\n")
    return subprocess.run([sys.executable, "-c", PROGRAM, str(folder)], cwd=TOOLS, capture_output=True, text=True,
                          timeout=60, check=False)


def test_a_package_becomes_a_table(tmp_path: Path) -> None:
    result = generate(tmp_path, GO)
    assert result.returncode == 0, result.stderr
    made = json.loads(result.stdout)
    assert made["kinds"] == ["Thing"]
    assert made["atomic"] == ["Part"]
    assert made["aliases"] == {"Color": ["string", ["Red", "Blue"]], "Sizes": ["{}quantity"]}
    assert made["types"] == {
        "Part": [["name", "string", "r", 1]],
        "Thing": [
            ["", "meta/v1.TypeMeta", "i", 0],
            ["metadata", "meta/v1.ObjectMeta", "o", 1],
            ["", "Part", "i", 2],
            ["parts", "[]Part", "o", 3, {"list": "map", "keys": ["name"], "merge": "name", "strategy": "merge"}],
            ["color", "*Color", "o", 4, {"default": "Red"}],
            ["sizes", "Sizes", "o", 5],
            ["when", "time", "or", 6]]}


@pytest.mark.parametrize(("line", "why"), [
    ("\tX chan int", "cannot read"),
    ('\tX Unheard `json:"x"`', "unknown type Unheard"),
    ('\tX other.Type `json:"x"`', "no import other"),
])
def test_what_it_does_not_understand_is_an_error(tmp_path: Path, line: str, why: str) -> None:
    result = generate(tmp_path, f"package v1\n\ntype Thing struct {{\n{line}\n}}\n")
    assert result.returncode != 0
    assert why in result.stderr
