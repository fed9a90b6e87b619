"""The first lab, whole, where learners are: as an ordinary user, and as on Binder (no capabilities, no namespaces)."""

from __future__ import annotations

import pytest
import unprivileged


@pytest.mark.needs("docker")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_lab09_can_be_done_without_privileges(place: str) -> None:
    done = unprivileged.pytest(place, "tests/inside_lab.py")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "1 passed" in done.stdout
