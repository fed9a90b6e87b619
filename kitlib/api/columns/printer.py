"""What a printer is: a row of columns and a function that makes the cells of one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Obj = Mapping[str, Any]
Cells = Callable[[Obj, float], list[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """priority 0: always shown; 1: with `-o wide`."""

    name: str
    type: str = "string"
    priority: int = 0
    format: str = ""
    description: str = ""

    def definition(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "format": self.format, "description": self.description,
                "priority": self.priority}


def wide(name: str, description: str = "") -> Column:
    return Column(name, priority=1, description=description)


def number(name: str, description: str = "") -> Column:
    return Column(name, "integer", description=description)


NAME = Column("Name", format="name", description="The object's name, unique for its kind in its namespace.")
AGE = Column("Age", description="Time since the object was created.")
TEMPLATE = (wide("Containers", "Names of the template's containers."), wide("Images", "Their images."))
SELECTOR = wide("Selector", "Which Pods belong to the object.")


class Printer:
    """columns: as kubectl heads them.  cells(obj, now): one value per column."""

    __slots__ = ("cells", "columns", "conditions", "definitions")

    def __init__(self, columns: tuple[Column, ...], cells: Cells,
                 conditions: Callable[[Obj], list[dict[str, str]]] | None = None) -> None:
        self.columns, self.cells = columns, cells
        self.definitions = [column.definition() for column in columns]
        self.conditions = conditions  # of the row: "Completed" Pods can be hidden by a client


PRINTERS: dict[tuple[str, str], Printer] = {}


def prints(group: str, kind: str, *columns: Column,
           conditions: Callable[[Obj], list[dict[str, str]]] | None = None) -> Callable[[Cells], Cells]:
    """Register a function as the printer of a kind (in all its versions)."""
    def register(cells: Cells) -> Cells:
        PRINTERS[group, kind] = Printer(columns, cells, conditions)
        return cells

    return register


DEFAULT = Printer((NAME, Column("Created At", "date", description="When the object was created.")),
                  lambda obj, now: [obj["metadata"].get("name", ""), obj["metadata"].get("creationTimestamp")])
