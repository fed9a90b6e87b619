"""A figure: what was measured, and what was promised."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """at_most: the promise is an upper limit (seconds, MB); else a lower one (requests per second).

    real: what the real one (a control plane, another tool) gave on a machine like this, or in the same run.
    samples: every single measurement; value is their median.
    """

    name: str
    value: float
    unit: str
    promised: float | None = None
    at_most: bool = True
    samples: tuple[float, ...] = ()
    note: str = ""
    real: float | None = None

    @property
    def kept(self) -> bool | None:
        """Whether the promise holds here; None when nothing was promised."""
        if self.promised is None:
            return None
        return self.value <= self.promised if self.at_most else self.value >= self.promised

    @property
    def ratio(self) -> float | None:
        """How many times better than the real one; None where that was not measured."""
        if not self.real or not self.value:
            return None
        return round(self.real / self.value if self.at_most else self.value / self.real, 2)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept, "ratio": self.ratio}


def median(name: str, samples: list[float], unit: str, promised: float | None = None, *, at_most: bool = True,
         note: str = "") -> Figure:
    """The figure of several measurements.  The middle one: the first may be cold, the worst may be a neighbour's."""
    ordered = sorted(samples)
    return Figure(name, round(ordered[len(ordered) // 2], 3), unit, promised, at_most,
                  tuple(round(sample, 3) for sample in samples), note)


def side_by_side(name: str, ours: list[float], theirs: list[float], unit: str, *, other: str, at_least: float | None,
                 note: str = "") -> list[Figure]:
    """Two figures: what we need (the real one is the other tool's), and how many times less than `other` that is.

    ours, theirs: samples of the same run, taken in turn.  at_least: the promise (1: no slower; None: nothing promised).
    """
    mine, real = median(name, ours, unit, note=note), median("", theirs, unit)
    return [replace(mine, real=real.value),
            Figure(f"{name}: times less than {other}", round(real.value / max(mine.value, 1e-9), 2), "x", at_least,
                   at_most=False)]
