"""The suite once more where nobody has any privilege: the engine's containers are processes, rooted by proot."""

from __future__ import annotations

import re
import sys

import pytest
import unprivileged

pytestmark = [pytest.mark.needs("docker", "busybox", "proot"), pytest.mark.timeout(300)]
_FILES = ("test_engine_run.py", "test_engine_streams.py", "test_engine_containers.py", "test_engine_networks.py")
# What shows best that nothing is missing: output, exit codes, files both ways, exec, names, ports, volumes.
_CHOSEN = ("exit_codes or what_cannot_be_run or user_and or standard_input or test_exec or test_logs or test_diff or "
           "test_cp or export or finds_another or is_published or begins_with_what or test_events")


@pytest.mark.parametrize("place", ["binder"])
def test_docker_works_without_privileges(place: str) -> None:
    done = unprivileged.run(place, ["env", "KIT_SUITE_EMBEDDED=1", sys.executable, "-m", "pytest", "-q", "-p",
                                    "no:cacheprovider", "--timeout", "60", "-k", f"embedded and ({_CHOSEN})",
                                    *(f"tests/{name}" for name in _FILES)], timeout=250)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) >= 15
    assert "skipped" not in done.stdout
