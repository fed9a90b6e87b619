"""The ingress controller where nobody has any privilege: on a laptop, and as on Binder, where containers see the
host's files and Traefik finds its ServiceAccount all the same."""

from __future__ import annotations

import pytest
import unprivileged


@pytest.mark.needs("docker")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["binder", "laptop"])
def test_traefik_routes_without_privileges(place: str) -> None:
    done = unprivileged.pytest(place, "tests/test_ingress.py", "-k", "not restarted and not real")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "16 passed" in done.stdout
