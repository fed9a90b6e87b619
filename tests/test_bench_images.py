"""kit bench images: both sides do the same work on the same image, and a promise is a ratio."""

from __future__ import annotations

import sys

import pytest

from kitlib.bench import images
from kitlib.bench.figures import side_by_side
from kitlib.bench.images import analysis, measured
from kitlib.cluster.errors import KitError


def test_a_comparison_is_a_figure_and_a_ratio() -> None:
    figure, ratio = side_by_side("a build", [2.0, 1.0, 3.0], [8.0, 5.0, 6.0], "s", other="docker build", at_least=3)
    assert (figure.value, figure.real, figure.promised) == (2.0, 6.0, None)
    assert (ratio.name, ratio.value, ratio.kept) == ("a build: times less than docker build", 3.0, True)


def test_a_programs_time_and_memory_are_its_own() -> None:
    big = measured.run([sys.executable, "-c", "bytearray(100_000_000); import time; time.sleep(0.2)"])
    small = measured.run([sys.executable, "-c", ""])
    assert big.megabytes > 100 > small.megabytes
    assert big.seconds > 0.2
    with pytest.raises(KitError, match="ended with 3"):
        measured.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_both_take_the_same_image_apart() -> None:
    figures = {figure.name: figure for figure in analysis.measure(1, megabytes=2, files=60)}
    assert figures["layers of a 2 MB image with a late change"].value > 0
    assert figures["layers of a 2 MB image with a late change: times less than dive"].promised == 3
    assert figures["layers of a 2 MB image with nothing removed: times less than dive"].promised is None
    assert figures["layers of a 1 MB image in gzip"].real
    assert figures["layers of a 1 MB image in zstd"].real is None


def test_where_the_other_tool_is_missing_its_figures_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MODULES", ("analysis",))
    monkeypatch.setattr(analysis, "dive_program", lambda: (_ for _ in ()).throw(KitError("dive is not installed.")))
    said: list[str] = []
    assert images.measure(1, said.append) == []
    assert said == ["no figures of images/analysis: dive is not installed."]
