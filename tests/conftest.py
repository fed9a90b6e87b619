"""What end-to-end tests share: one running cluster, and stock kubectl pointed at it.

Tests that only need a namespace of their own use `cluster`, which is started once; those that kill,
fill up or damage a cluster make their own with `new_cluster`.  Every $KIT_HOME lies in a temporary
directory, and every cluster ends with this process, whatever happens to it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import needs
import pytest
from engine_fixtures import base_archive, engine, engine_of_session  # noqa: F401 (fixtures)
from support import Kubectl

from kitlib.cluster.embedded import EmbeddedCluster
from kitlib.cluster.home import ClusterDir
from kitlib.cluster.interface import Settings

_numbers = itertools.count(1)


def pytest_report_header() -> list[str]:
    return needs.header()


# What is done beside the rest: it asks nothing of the machine but a kernel and a browser, so neither side sees the
# other.  Everything else stays in one process: those tests look at the whole machine (mounts, links, Docker).
CHAPTERS = ("test_labs.py", "test_notebooks.py", "test_jupyterlab.py", "test_grade_class.py", "test_grading_units.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 2`, as `kit test` runs the whole suite: the chapters in one process, everything else in the other."""
    from xdist.scheduler import LoadScopeScheduling

    class TwoGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "chapters" if Path(nodeid.partition("::")[0]).name in CHAPTERS else "rest"

    return TwoGroups(config, log)


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    needs.leave_out(config, items)


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs.refuse(item)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kit")


@pytest.fixture(scope="session")
def cluster(shared_home: Path) -> Iterator[EmbeddedCluster]:
    """Three nodes that run processes (or, for test_oci_shared.py, containers), two that pretend."""
    made = EmbeddedCluster(ClusterDir("shared", shared_home))
    runtime = os.environ.get("KIT_TEST_RUNTIME", "auto")
    made.start(Settings(nodes=3, simulated_nodes=2, parent_pid=os.getpid(), runtime=runtime))
    yield made
    made.delete()


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., EmbeddedCluster]]:
    """Makes clusters for one test; they are gone when it ends.  Not started yet."""
    made: list[EmbeddedCluster] = []

    def make(name: str = "one") -> EmbeddedCluster:
        made.append(EmbeddedCluster(ClusterDir(name, tmp_path)))
        return made[-1]

    yield make
    for each in made:
        each.delete()


@pytest.fixture
def kubectl(cluster: EmbeddedCluster, shared_home: Path) -> Iterator[Kubectl]:
    """kubectl in a fresh namespace of the shared cluster."""
    namespace = f"test-{next(_numbers)}"
    tool = Kubectl(cluster.kubeconfig, namespace, shared_home / "cache")
    tool("create", "namespace", namespace)
    yield tool
    tool("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def kubectl_of(shared_home: Path) -> Callable[[EmbeddedCluster], Kubectl]:
    """kubectl in the namespace `default` of any cluster."""
    return lambda cluster: Kubectl(cluster.kubeconfig, "default", shared_home / f"cache-{next(_numbers)}")
