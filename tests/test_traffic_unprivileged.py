"""kit curl, kit dig and requests from inside a Pod without privileges: as on Binder, as on a laptop where low ports are
moved up, and where containers have no file system of their own.
"""

from __future__ import annotations

import pytest
import unprivileged


@pytest.mark.needs("docker")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["binder", "laptop", "bare"])
def test_the_traffic_tools_need_no_privileges(place: str) -> None:
    done = unprivileged.pytest(place, "tests/test_traffic.py")
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
