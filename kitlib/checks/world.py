"""The world as a check sees it: the cluster, and the learner's answers as JSON.

A check reads with the same client that controllers use.  Two habits keep it honest: `eventually`,
because a cluster is always on its way somewhere, and `stays`, because a good state that does not last
was luck.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from kitlib.checks import answers
from kitlib.checks.wrong import Wrong
from kitlib.objects.errors import StatusError

if TYPE_CHECKING:
    from kitlib.checks.engine import Engine
    from kitlib.traffic.exchange import Answer
    from kitlib.traffic.load.run import Load

T = TypeVar("T")
Object = dict[str, Any]
Objects = list[Object]  # the class below has a method of the name `list`
Confine = Callable[[Sequence[str], Path], list[str]]
STABLE_SECONDS = 0.05
POLL_SECONDS = 0.02


class World:
    """client: kitlib.client.Client with an administrator's rights.  namespace: the lab's.

    patience: seconds that `eventually` waits unless told otherwise.  engine: where the container engine is, as in
    DOCKER_HOST, for chapters that have one (ENGINE = True in their module).  confined: makes the command line of a
    process that runs what a learner wrote a confined one, with one directory that it may write to (`builds.py`).
    """

    def __init__(self, client: Any, namespace: str, *, backend: str = "embedded", patience: float = 5.0,
                 engine: str = "", confined: Confine = lambda argv, work: list(argv)) -> None:
        self.client, self.namespace, self.backend, self.patience = client, namespace, backend, patience
        self.confined = confined
        self._engine_host = engine
        self.log: list[str] = []
        self.evidence: dict[str, Any] = {}

    # -- looking -----------------------------------------------------------------------------------

    def get(self, resource: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None."""
        try:
            return self.client.get(resource, self.namespace if namespace is None else namespace, name)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    def find(self, kind: str, resource: str, name: str, hint: str) -> Object:
        """What the learner was to make.  If it is not there, raises Wrong with the names of those there are."""
        found = self.get(resource, name)
        if found is None:
            raise Wrong(f"there is no {kind} {name!r} in namespace {self.namespace}", hint, expected=name,
                        actual=[each["metadata"]["name"] for each in self.list(resource)])
        return found

    def list(self, resource: str, selector: str = "") -> Objects:
        return self.client.list(resource, self.namespace, label_selector=selector)["items"]

    def pods(self, selector: str = "", *, owner: str = "") -> Objects:
        """Pods that are not on their way out, oldest first; owner: only those this controller's name owns."""
        found = [pod for pod in self.list("pods", selector) if "deletionTimestamp" not in pod["metadata"]]
        if owner:
            found = [pod for pod in found if any(ref["name"] == owner and ref.get("controller")
                                                 for ref in pod["metadata"].get("ownerReferences", ()))]
        return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def answer(self, name: str, form: Any) -> Any:
        """The learner's answer.  Raises Wrong (with a hint) if it is missing or has not the form asked for."""
        given = answers.read(self.get("configmaps", answers.CONFIGMAP))
        if name not in given:
            raise Wrong(f"there is no answer {name!r} yet", f'Replace the `...` and run the cell with '
                                                            f'`lab.answer("{name}", ...)`.')
        trouble = answers.problem(given[name], form)
        if trouble:
            raise Wrong(f"the answer {name!r} {trouble}", "Compare it with the form that the exercise shows.",
                        actual=given[name])
        self.evidence[f"answer {name}"] = given[name]
        return given[name]

    # -- images and containers -----------------------------------------------------------------------

    @cached_property
    def engine(self) -> Engine:
        """Docker, or the embedded engine: `world.engine.image("lab03/shop:1", hint).layers` (see checks/engine.py)."""
        from kitlib.checks.engine import Engine

        if not self._engine_host:
            raise ValueError("this chapter has no container engine: its module needs ENGINE = True")
        return Engine(self._engine_host)

    def close(self) -> None:
        """Forget what was fetched from the container engine, if anything was."""
        if "engine" in vars(self):
            self.engine.close()
            del self.engine

    # -- traffic -------------------------------------------------------------------------------------

    def request(self, url: str, *, from_pod: str = "", **options: Any) -> Answer:
        """Ask a URL once, and measure what comes: `world.request("http://web/healthz").status == 200`.

        Names resolve as in a Pod of the lab's namespace; an Ingress's host goes to its controller.  from_pod: the
        connection begins in this Pod ("client", or "other-namespace/client"), so it has its source address and is
        subject to its network policies; it needs an image with python3, nc or bash (busybox, kit/echo, nginx, python).
        options: method, headers, data, insecure, cacert, container, seconds (how long to wait; 10).

        That nobody answers raises nothing: then `status` is 0 and `failure.kind` says why: dns, refused, unreachable,
        timeout, closed, reset, tls, certificate.  `pod` is who answered, if it was kit/echo.  It works the same on
        every backend; on a foreign cluster the way is a port-forward or an exec through its API.
        """
        from kitlib.traffic.request import request

        return request(self.client, url, namespace=self.namespace, from_pod=from_pod, **options)

    def load(self, url: str, *, rps: float, seconds: float | None = None, **options: Any) -> Load:
        """So many requests a second, in the background: `with world.load("http://web/", rps=100) as load: …`, then
        `load.report()`: lost, errors by kind, who (answers by Pod), versions, latency(99), and the Pods' lives.

        seconds None: until the `with` block ends.  options: connections, keepalive, headers, method, data, timeout.
        """
        from kitlib.traffic.load.run import Load

        return Load(self.client, url, rps=rps, seconds=seconds, namespace=self.namespace, **options)

    # -- the embedded cluster's own record -----------------------------------------------------------

    def kit(self, path: str, body: dict[str, Any] | None = None) -> Object:
        """GET /kit/PATH (with a body: POST).  Raises StatusError 404 on a cluster that is not an embedded one."""
        path, _, query = path.partition("?")
        return self.client.transport.request("GET" if body is None else "POST", f"/kit/{path}",
                                             query=dict(parse_qsl(query)), obj=body)

    def trace(self) -> Objects:
        """Who wrote what in the lab's namespace, oldest first (see kitlib.trace.record); empty on a foreign cluster."""
        try:
            records = self.kit("trace?since=0")["records"]
        except StatusError as error:
            if error.code in (403, 404):
                return []
            raise
        return [record for record in records if record["namespace"] == self.namespace]

    # -- time --------------------------------------------------------------------------------------

    def eventually(self, look: Callable[[], T], *, within: float | None = None) -> T:
        """Look until it is true, or give back the last (false) look when patience ends."""
        end = time.monotonic() + (self.patience if within is None else within)
        while True:
            seen = look()
            if seen or time.monotonic() >= end:
                return seen
            time.sleep(POLL_SECONDS)

    def stays(self, look: Callable[[], Any], seconds: float = STABLE_SECONDS) -> bool:
        """Whether it is true now and still is after a moment."""
        if not look():
            return False
        time.sleep(seconds)
        return bool(look())

    def note(self, text: str) -> None:
        """A line for the result's log: what the check saw on its way."""
        self.log.append(text)
