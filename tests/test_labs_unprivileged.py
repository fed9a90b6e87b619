"""Labs, whole, where learners are: as an ordinary user, and as on Binder (no capabilities, no namespaces)."""

from __future__ import annotations

import pytest
import unprivileged
from inside_lab import STEMS


@pytest.mark.needs("docker")
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("place", "stem"), [*(("binder", stem) for stem in STEMS),
                                             ("laptop", "lab02_containers"), ("laptop", "lab09_replicaset_flow")])
def test_a_lab_can_be_done_without_privileges(place: str, stem: str) -> None:
    done = unprivileged.pytest(place, "tests/inside_lab.py", "-k", stem)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "1 passed" in done.stdout
