"""What Pods do is the same in both runtimes: the process runtime's own tests and kubectl's, on real containers.

They run in a pytest of their own, with KIT_TEST_RUNTIME=oci; what is left out looks at things that only the process
runtime has (addresses of the host's loopback, its files' places, how small its daemon is).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.needs("oci", "busybox"), pytest.mark.timeout(300)]

TESTS = Path(__file__).parent
LEFT_OUT = {
    "test_runtime_lifecycle.py": ("daemon_is_small", "down_and_up_at_once", "second_daemon", "nobody_can_reach",
                                  "ten_megabytes", "rotate"),
    "test_runtime_files.py": ("host_view", "only_one"),
    "test_runtime_streams.py": ("in_the_background", "twenty_megabytes"),
    "test_runtime_podspace.py": (),
    "test_kubectl_verbs_streams.py": ("proxy_opens", "without_websockets", "cp_carries_a_directory", "log_of",
                                      "makes_a_copy", "large_stream"),
}  # fmt: skip


@pytest.mark.parametrize("modules", [[name for name in LEFT_OUT if name.startswith("test_runtime")],
                                     [name for name in LEFT_OUT if not name.startswith("test_runtime")]],
                         ids=["runtime", "kubectl"])  # fmt: skip
def test_pods_behave_as_in_the_process_runtime(modules: list[str]) -> None:
    without = " and ".join(f"not {name}" for module in modules for name in LEFT_OUT[module])
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60", "-k",
                           without, *(str(TESTS / module) for module in modules)], cwd=TESTS.parent, check=False,
                          env={**os.environ, "KIT_TEST_RUNTIME": "oci"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=280)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert int(done.stdout.rpartition(" passed")[0].split()[-1]) > 15
