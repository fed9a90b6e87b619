"""The engine suite where nobody has any privilege, as on Binder: a part of it, and what the real engine said counts."""

from __future__ import annotations

import json
import re

import pytest
import unprivileged
from engine_support import SAID, WHOSE

PARTS = {
    "run": ("exit_codes", "cannot_be_run", "what_a_process_finds", "detached_container", "stop_asks",
            "restart_policies", "sdk_runs"),
    "streams": ("logs", "exec", "attach", "cp_in", "link_in"),
    "containers": ("diff", "export", "commit", "fields", "events"),
    "networks": ("finds_another", "port_is_published", "new_volume", "none_has"),
    "build": ("same and (arguments or copies)", "cache", "cannot_be_built"),
    "images": ("save_and_load", "push_and_pull", "rmi_and"),
}


@pytest.mark.needs("docker", "docker-cli", "busybox", "proot")
@pytest.mark.timeout(300)
def test_the_suite_on_binder() -> None:
    wanted = " or ".join(f"(test_engine_{file} and ({' or '.join(names)}))" for file, names in PARTS.items())
    # What the real engine answered in this session, where it was asked.
    answers = json.dumps({key: said for key, said in SAID.items() if said[0] == "real"})
    done = unprivileged.run("binder", [
        "env", f"KIT_SUITE={WHOSE}", f"KIT_SUITE_ANSWERS={answers}", *unprivileged.PYTEST,
        *(f"tests/test_engine_{file}.py" for file in PARTS), "-k", f"embedded and ({wanted})"], timeout=250)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 30, done.stdout  # they have not got other names
    assert "skipped" not in done.stdout
