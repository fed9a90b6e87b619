"""An image's layers that show themselves: picture and trees in a notebook, text everywhere else.

The data is what `kit layers --json` prints (docs/layers.md); everything else is drawn out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kitlib.views import layers_html, layers_svg, layers_text, layers_tree

Data = Mapping[str, Any]


class LayersFigure:
    """`.data` is the plain data, `.svg` the stack picture, `.html` that and the trees, `str()` the text.

    `.size`, `.wasted_bytes` in bytes, `.efficiency` from 0 to 1, `.layers`, `.steps`, `.secrets`, `.container` as in
    the JSON form; `.changes(3)` are the changes of layer 3, `.changes("RW")` those of the container.
    """

    def __init__(self, data: Data) -> None:
        self.data = data

    @property
    def name(self) -> str:
        return str(self.data["name"])

    @property
    def size(self) -> int:
        return int(self.data["size"])

    @property
    def wasted_bytes(self) -> int:
        return int(self.data["wastedBytes"])

    @property
    def efficiency(self) -> float:
        return float(self.data["efficiency"])

    @property
    def layers(self) -> list[Data]:
        return list(self.data["layers"])

    @property
    def steps(self) -> list[Data]:
        return list(self.data["steps"])

    @property
    def secrets(self) -> list[Data]:
        return list(self.data["secrets"])

    @property
    def container(self) -> Data | None:
        return self.data.get("container")

    def changes(self, layer: int | str) -> list[Data]:
        """Of a layer by its number (1 is the lowest), or "RW".  Raises KeyError if there is none."""
        if layer == "RW" and self.container is not None:
            return list(self.container["changes"])
        found = next((each for each in self.data["layers"] if each["number"] == layer), None)
        if found is None:
            there = ", ".join(str(each["number"]) for each in self.data["layers"])
            raise KeyError(f"no layer {layer} in {self.name}; there is: {there}{', RW' if self.container else ''}")
        return list(found["changes"])

    @property
    def svg(self) -> str:
        return layers_svg.render(self.data)

    @property
    def html(self) -> str:
        return layers_html.render(self.data)

    def save(self, path: str | Path) -> Path:
        """The whole page as one file."""
        place = Path(path)
        place.write_text(layers_html.page(layers_html.render(self.data, most=5000), f"Layers of {self.name}"),
                         encoding="utf-8")
        return place

    @property
    def seen(self) -> list[Data]:
        """What a container sees in the end: as changes, and with `layer`, which has it ("RW": the container's own)."""
        return list(layers_tree.seen(self.data))

    def text(self, *, files: str = "", tree: str = "", coloured: bool = False, width: int = 100) -> str:
        """For a terminal of so many columns.  files, tree: patterns of paths to list too, such as * or /etc/*."""
        return layers_text.render(self.data, files=files, tree=tree, coloured=coloured, width=width)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": str(self)}
