"""Two images compared, for a notebook, a page and a terminal.

The data is what `kit layers --compare --json` prints (docs/layers.md).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitlib.views import compare_svg, layers_html, layers_text
from kitlib.views.layers_tree import SIGNS, human

Data = Mapping[str, Any]
_MARKS = {"same": "=", "same bytes": "=", "broke": "≠", "follows": "≠"}
MOST_FILES = 60


class ComparisonFigure:
    """`.data` is the plain data, `.svg` the picture, `.html` that and the files, `str()` the text.

    `.broke` is the step that broke the cache (None if none did), `.shared` the diff ids that both have, `.files` what
    containers of the two see differently.
    """

    def __init__(self, data: Data) -> None:
        self.data = data

    @property
    def broke(self) -> Data | None:
        number = self.data["broke"]
        return None if number is None else self.data["steps"][number]

    @property
    def shared(self) -> list[str]:
        return list(self.data["shared"])

    @property
    def files(self) -> list[Data]:
        return list(self.data["files"])

    @property
    def svg(self) -> str:
        return compare_svg.render(self.data)

    @property
    def html(self) -> str:
        return self._page_part(layers_html.MOST_FILES)

    def _page_part(self, most: int) -> str:
        found = self.data
        parts = [layers_html.stack(self.svg)]
        if found["files"]:
            parts += ["<h3>What a container sees differently</h3>",
                      layers_html.section("Σ", compare_svg.summary(found), None, found["files"], most)]
        differing = [step for step in reversed(found["steps"]) if step["files"]]
        if differing:
            parts.append("<h3>What the layers have differently</h3>")
        for step in differing:
            side = step["after"] or step["before"]
            parts.append(layers_html.section(str(side["layer"] or "·"), side["instruction"], None, step["files"], most))
        return layers_html.page_part("".join(parts), "Two images, layer by layer")

    def save(self, path: str | Path) -> Path:
        """The whole page as one file."""
        place = Path(path)
        title = f"{self.data['before']['name']} and {self.data['after']['name']}"
        place.write_text(layers_html.page(self._page_part(5000), title), encoding="utf-8")
        return place

    def text(self, *, files: str = "", coloured: bool = False, width: int = 100) -> str:
        """For a terminal.  files: all paths of this pattern, else the first ones."""
        return text(self.data, files=files, coloured=coloured, width=width)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": str(self)}


def text(comparison: Data, *, files: str = "", coloured: bool = False, width: int = 100) -> str:
    paint = layers_text.painter(coloured)
    wide = max(16, min(60, (width - 15) // 2))
    before, after = comparison["before"], comparison["after"]
    out = [paint("bold", f"     {layers_text.fit(before['name'] or before['id'], wide + 13)}"
                         f"{after['name'] or after['id']}"), ""]
    for step in reversed(comparison["steps"]):
        mark = paint({"broke": "removed", "follows": "changed"}.get(step["verdict"], "dim"), _MARKS[step["verdict"]])
        out.append(f"{_half(step['before'], wide)}  {mark}  {_half(step['after'], wide)}".rstrip())
        if step["verdict"] == "broke":
            out.append(paint("removed", f"     ↑ the cache broke here: {step['why']}"))
        elif step["why"]:
            out.append(paint("dim", f"     {step['why']}"))
    out += ["", compare_svg.summary(comparison)]
    chosen = [each for each in comparison["files"] if fnmatch.fnmatchcase(each["path"], files or "*")]
    listed = chosen if files else chosen[:MOST_FILES]
    for each in listed:
        what = f"  {', '.join(each['differs'])}" if each["differs"] else ""
        size = f"  {human(each['size'])}" if each["type"] == "file" else ""
        was = f"  was {human(each['before'])}" if "size" in each["differs"] and each["type"] == "file" else ""
        out.append(f"  {paint(each['kind'], SIGNS[each['kind']])} {each['path']}{size}{was}{what}")
    if len(listed) < len(chosen):
        out.append(f"  … and {len(chosen) - len(listed):,} more (--files shows all)")
    return "\n".join(out)


def _half(step: Data | None, wide: int) -> str:
    if step is None:
        return f"     {'':{wide}}"
    number = f"{step['layer']:>3}" if step["layer"] else "  ·"
    size = human(step["size"]) if step["layer"] else ""
    return f"{number}  {layers_text.fit(step['instruction'] or '(no history)', wide - 9)} {size:>8}"

