"""A table that is drawn: fields down, places across, and at the end of each row what that means.

                 last applied     live        your manifest     result
    data.a       ( apple )     ( apple )      ( apricot )     ▌ apricot ▌   set: your new value
    data.d          ·          (  date )          ·           ▌ date    ▌   kept: never yours

Used by `merge.py` (a three-way merge) and `owners.py` (who owns which field).  A cell's colour is always doubled
by a word in its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kitlib.views import theme

WIDTH = 980
ROW = 34
_TITLE, _HEAD, _FOOT = 40, 50, 26
_GAP = 10


@dataclass(frozen=True)
class Cell:
    """content: what stands there ("" draws a dot: nothing).  role: a colour of the theme.  mark: draw a disc."""

    content: str = ""
    role: str = ""
    mark: bool = False


@dataclass(frozen=True)
class Column:
    """A place: its name, and a short line below it."""

    name: str
    note: str = ""
    role: str = ""


@dataclass(frozen=True)
class Grid:
    """rows: (field, cells in the order of the columns, verdict, the verdict's role)."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[Cell, ...], str, str], ...]
    footnotes: tuple[str, ...] = field(default=())


def svg(grid: Grid, *, names: float = 200, verdicts: float = 250) -> str:
    """The table as a self-contained SVG.  names, verdicts: widths of the first and the last column."""
    height = _TITLE + _HEAD + ROW * len(grid.rows) + _FOOT * max(1, len(grid.footnotes)) + 6
    wide = (WIDTH - names - verdicts - 30) / max(1, len(grid.columns))
    parts = [theme.text(20, 28, grid.title, size=16, weight=700)]
    for number, column in enumerate(grid.columns):
        x = 20 + names + wide * number
        if column.role:
            parts.append(f'<rect x="{x:g}" y="{_TITLE + 2}" width="{wide - _GAP:g}" height="4" rx="2" '
                         f'fill="{theme.colour(column.role)}"/>')
        letters = int(wide / 7.6)
        parts.append(theme.text(x, _TITLE + 24, theme.shorten(column.name, letters), size=14, weight=700))
        parts.append(theme.text(x, _TITLE + 40, theme.shorten(column.note, int(wide / 6)), size=11, cls="dim"))
    for number, (name, cells, verdict, role) in enumerate(grid.rows):
        y = _TITLE + _HEAD + ROW * number
        parts.append(f'<path d="M 20 {y} H {WIDTH - 20}" class="line" stroke-opacity="0.35"/>')
        parts.append(theme.text(20, y + 22, _tail(name, int(names / 7.8)), size=12, cls="mono", weight=600))
        parts += [_cell(20 + names + wide * at, y + 4, wide - _GAP, cell) for at, cell in enumerate(cells)]
        if verdict:
            parts.append(f'<rect x="{WIDTH - verdicts:g}" y="{y + 8}" width="6" height="{ROW - 15}" rx="3" '
                         f'fill="{theme.colour(role)}"/>')
            parts.append(theme.text(WIDTH - verdicts + 14, y + 22, theme.shorten(verdict, int(verdicts / 6.2)),
                                    size=12))
    for number, note in enumerate(grid.footnotes):
        y = _TITLE + _HEAD + ROW * len(grid.rows) + _FOOT * number + 20
        parts.append(theme.text(20, y, note, size=12, cls="dim"))
    return theme.svg(WIDTH, height, "".join(parts), title=grid.title, description=_spoken(grid))


def _cell(x: float, y: float, width: float, cell: Cell) -> str:
    if cell.mark:
        letter = theme.text(x + 32, y + 18, cell.content, size=12)
        return f'<circle cx="{x + 16:g}" cy="{y + 13:g}" r="9" fill="{theme.colour(cell.role)}"/>{letter}'
    if not cell.content:
        return theme.text(x + width / 2, y + 18, "·", size=16, anchor="middle", cls="dim")
    stroke = theme.colour(cell.role) if cell.role else "var(--kit-line)"
    shown = theme.shorten(cell.content, max(4, int((width - 16) / 7.4)))
    return (theme.box(x, y, width, ROW - 8, stroke=stroke, thick=3 if cell.role else 1, radius=6)
            + theme.text(x + 9, y + 18, shown, size=12, cls="mono"))


def _tail(path: str, limit: int) -> str:
    """A path's end says most: `…containers[echo].image`."""
    return path if len(path) <= limit else "…" + path[1 - limit:]


def _said(cell: Cell) -> str:
    return (f"● {cell.content}".strip() if cell.mark else cell.content) or "·"


def _spoken(grid: Grid) -> str:
    """The alternative text: every row as a sentence."""
    lines = []
    for name, cells, verdict, _ in grid.rows:
        places = ", ".join(f"{column.name} {'yes' if cell.mark else cell.content or 'nothing'}"
                           for column, cell in zip(grid.columns, cells, strict=True))
        lines.append(f"{name}: {places}" + (f"; {verdict}." if verdict else "."))
    return " ".join([*lines, *grid.footnotes]) or "Nothing to show."


def text(grid: Grid) -> str:
    """The same table for a terminal."""
    heads = ["", *(column.name for column in grid.columns), ""]
    table = [heads, *([name, *map(_said, cells), verdict] for name, cells, verdict, _ in grid.rows)]
    widths = [max(len(row[at]) for row in table) for at in range(len(heads))]
    lines = ["  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([grid.title, *lines, *grid.footnotes])


class GridFigure:
    """How a grid shows itself in a notebook: drawn, and as text where nothing is drawn."""

    def __init__(self, grid: Grid, *, names: float = 200, verdicts: float = 250) -> None:
        self.grid, self._widths = grid, {"names": names, "verdicts": verdicts}

    @property
    def svg(self) -> str:
        return svg(self.grid, **self._widths)

    def __str__(self) -> str:
        return text(self.grid)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        # HTML rather than image/svg+xml: then the picture is part of the page and follows its theme.
        return {"text/html": self.svg, "text/plain": str(self)}


def colours(roles: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """A colour's role for each name: the same name has the same colour in every picture, as far as there are enough."""
    found: dict[str, str] = {}
    for name in names:
        at = sum(name.encode()) % len(roles)
        free = [role for role in (*roles[at:], *roles[:at]) if role not in found.values()]
        found.setdefault(name, free[0] if free else roles[at])
    return found
