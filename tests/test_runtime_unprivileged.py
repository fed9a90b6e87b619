"""All of it again where nobody has any privilege: see unprivileged.py for the two places."""

from __future__ import annotations

import json
import re
import sys

import pytest
import unprivileged

pytestmark = pytest.mark.needs("docker")

_FILES = ("test_runtime_address.py", "test_runtime_names.py",
          "test_runtime_lifecycle.py", "test_runtime_streams.py", "test_runtime_files.py",
          "test_runtime_catalog.py", "test_policy_gate.py", "test_proxy.py", "test_addresses.py")  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("place", ["binder", "bare", "laptop"])
def test_pods_addresses_and_the_proxy_work_without_privileges(place: str) -> None:
    done = unprivileged.pytest(place, "--noconftest", *(f"tests/{name}" for name in _FILES))
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) > 95
    assert "skipped" not in done.stdout


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("place", "only", "count"), [("laptop", "", 7), ("binder", "no_files or outlives", 2)])
def test_a_pods_containers_share_what_they_should_without_privileges(place: str, only: str, count: int) -> None:
    done = unprivileged.pytest(place, "--noconftest", "tests/test_runtime_podspace.py", "-k", only)
    assert done.returncode == 0, done.stdout[-5000:]
    assert f"{count} passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.timeout(200)
def test_pods_of_a_person_run_and_have_the_users_of_their_image() -> None:
    files = [f"tests/test_runtime_{name}.py" for name in ("streams", "podspace")]
    done = unprivileged.pytest("person", "--noconftest", *files)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) > 10
    assert "skipped" not in done.stdout


@pytest.mark.needs("proot")
@pytest.mark.timeout(200)
def test_proot_gives_containers_files_of_their_own() -> None:
    done = unprivileged.pytest("binder", "--noconftest", "tests/inside_proot.py")
    assert done.returncode == 0, done.stdout[-5000:]
    assert "11 passed" in done.stdout


_FALLBACK = """
from process_pods import http_get, run

async def scenario(pods):
    assert not pods.runtime.isolation.notifications
    assert not pods.runtime.isolation.namespaces
    addresses = [(await pods.start(name, "kit/echo"))[1] for name in ("a", "b")]
    pages = [await http_get(ip, 8080) for ip in addresses]
    assert [page.rpartition("\\r\\n")[2].split()[0] for page in pages] == ["a", "b"], pages
    lines = await pods.run_script("sh", "echo $POD_IP; echo x > /tmp/mine; cat /tmp/mine")
    assert lines == [pods.slice.pod_cidr(0).replace("0/24", "4"), "x"], lines
    print("both answered")

run(scenario)
"""


def test_without_seccomp_programs_that_read_pod_ip_still_work() -> None:
    program = f"import sys; sys.path.insert(0, 'tests'); exec({_FALLBACK!r})"
    done = unprivileged.run("nothing", [sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout
    assert "both answered" in done.stdout


def test_the_doctor_says_what_it_costs_to_have_no_seccomp() -> None:
    program = "import json; from kitlib.runtime.process.isolation import probe; print(json.dumps(probe()))"
    done = unprivileged.run("nothing", [sys.executable, "-c", program])
    findings = {name: (ok, cost) for name, ok, _, cost in json.loads(done.stdout)}
    assert not findings["seccomp notification"][0]
    assert "POD_IP" in findings["seccomp notification"][1]


@pytest.mark.parametrize(("place", "namespaces", "low_ports"), [("binder", False, True), ("laptop", True, False)])
def test_the_doctor_sees_what_each_place_allows(place: str, namespaces: bool, low_ports: bool) -> None:
    program = "import json; from kitlib.runtime.process.isolation import probe; print(json.dumps(probe()))"
    done = unprivileged.run(place, [sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout
    findings = {name: (ok, cost) for name, ok, _, cost in json.loads(done.stdout)}
    assert findings["namespaces"][0] == namespaces
    assert findings["ports below 1024"][0] == low_ports
    assert findings["seccomp notification"] == (True, "")
    assert all(ok or cost for ok, cost in findings.values())
