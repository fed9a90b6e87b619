"""A lab's session in a notebook: one object that ties the chapter to a cluster.

    lab = kit.lab("lab09_replicaset_flow")
    lab.answer("writers", {...})           a prediction or an observation
    lab.check("apply_replicaset")          an instant check, with a hint
    lab.flow("rs/web")                     what really happened

Starting a session finds (or starts) the cluster, makes the lab's namespace, and points KUBECONFIG of
this process at a copy of the kubeconfig that has this namespace as its default.  So `!kubectl get pods` in
a cell means the lab's Pods.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kitlib.book.engine import engine_for
from kitlib.checks import answers
from kitlib.checks.framework import Lab, load
from kitlib.checks.run import run_lab
from kitlib.checks.world import World
from kitlib.cluster.context import connect
from kitlib.cluster.errors import KitError
from kitlib.cluster.interface import Cluster
from kitlib.objects.errors import StatusError
from kitlib.runtime.byhand.refused import BoxError
from kitlib.trace.flow import BadTarget

if TYPE_CHECKING:
    from kitlib.cluster.dataplane import Dataplane
    from kitlib.views.walk_figure import WalkFigure

AGENT = "learner"
SHOWN = 400  # characters of an answer that are repeated


class LabSession:
    """What `kit.lab(stem)` returns."""

    def __init__(self, lab: Lab, cluster: Cluster, user_agent: str = AGENT) -> None:
        self.lab, self.cluster = lab, cluster
        self.stem, self.namespace = lab.stem, lab.namespace
        self.client = cluster.client(user_agent)
        self.engine = engine_for(lab)

    def answer(self, name: str, value: Any) -> None:
        """Hand in an answer.  It can be changed as often as you like."""
        if value is ... or (isinstance(value, (list, tuple, set)) and ... in value) or (
                isinstance(value, dict) and ... in value.values()):
            print(f"The answer {name!r} still has a `...` in it: replace it first.")
            return
        if isinstance(value, (set, tuple)):
            value = sorted(value) if isinstance(value, set) else list(value)
        try:
            answers.put(self.client, self.namespace, name, value)
        except answers.BadAnswer as error:
            print(f"That cannot be an answer: {error}.")
            return
        lines = value.strip().count("\n") + 1 if isinstance(value, str) else 1
        shown = repr(value) if lines < 4 else f"{lines} lines"
        print(f"Noted: {name} = {shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}")

    def check(self, name: str) -> Any:
        """A button that checks one exercise, and has done so once already."""
        exercise = self.lab.exercise(name)
        world = World(self.client, self.namespace, backend=self.cluster.backend,
                      engine=self.engine.host if self.engine else "")

        def run() -> Any:
            try:
                return run_lab(self.lab, world, only=[exercise.name])[0]
            finally:
                world.close()  # not when this process ends: kernels are killed

        from kitlib.views.check_button import check_button

        return check_button(run)

    def flow(self, target: str, *, live: bool = False, seconds: float = 30.0) -> Any:
        """The talk's figure for an object of this lab, such as "rs/web"; live: it goes on while you work."""
        from kitlib.views.figure import flow

        return flow(target, namespace=self.namespace, cluster=self.cluster, live=live, seconds=seconds)

    def anatomy(self, pod: str) -> Any:
        """What a Pod of this lab consists of, and what its containers share."""
        from kitlib.views.pod_figures import anatomy

        return anatomy(pod, namespace=self.namespace, cluster=self.cluster)

    def timeline(self, pod: str, *, live: bool = False, seconds: float = 30.0) -> Any:
        """What a Pod of this lab has been through; live: it goes on while you work."""
        from kitlib.views.pod_figures import timeline

        return timeline(pod, namespace=self.namespace, cluster=self.cluster, live=live, seconds=seconds)

    def merge(self, manifest: str) -> Any:
        """What `kubectl apply` of this manifest would do, field by field, and why: the three-way merge."""
        from kitlib.cluster.notebook import kubectl
        from kitlib.views.merge import figure

        try:
            return figure(manifest, lambda command, stdin: kubectl(command, stdin=stdin, show=False))
        except ValueError as error:
            raise KitError(str(error)) from None

    def owners(self, target: str, keep: str = "") -> Any:
        """Who owns which field of an object of this lab, such as "deploy/site".  keep: part of their paths."""
        from kitlib.trace.flow import BadTarget, parse_target
        from kitlib.views.owners import figure

        try:
            resource, name = parse_target(target)
        except BadTarget as error:
            raise KitError(str(error)) from None
        return figure(self.client, resource, self.namespace, name, keep)

    def reach(self, pod: str, readers: dict[str, str], change: Any, *, seconds: float = 2.0) -> Any:
        """Make a change while readers in a Pod (name → shell command) look on: who sees it, and when.

        change: arguments of kubectl, or a function without arguments.
        """
        from kitlib.cluster.notebook import kubectl
        from kitlib.views.reach import ReachFigure, measure

        label = getattr(change, "__name__", f"kubectl {change}")
        act = change if callable(change) else lambda: kubectl(change, show=False)
        try:
            return ReachFigure(measure(self.client.transport, self.namespace, pod, readers, act, label=label,
                                       seconds=seconds))
        except ValueError as error:
            raise KitError(str(error)) from None

    def storage(self) -> Any:
        """The claims of this lab, their volumes, who uses them and where the data lies."""
        from kitlib.views.storage import figure

        return figure(self.client, self.namespace)

    def __repr__(self) -> str:
        status = self.cluster.status()
        nodes = ", ".join(node["name"] for node in status.nodes)
        engine = f"\ncontainer engine: {self.engine.kind}, {self.engine.version}" if self.engine else ""
        return (f"{self.lab.title} ({self.lab.minutes} minutes, {len(self.lab.exercises)} exercises)\n"
                f"cluster {self.cluster.name} ({self.cluster.backend}), nodes {nodes}; namespace {self.namespace}"
                f"{engine}")


def lab(stem: str, *, cluster: Cluster | None = None) -> LabSession:
    """Begin (or go on with) a lab in this process.  Raises KitError in one sentence if it cannot begin."""
    chosen = cluster or connect()
    chosen.start()
    session = LabSession(load(stem), chosen)
    ensure_namespace(session)
    use_namespace(session)
    speak_plainly()
    _begun.append(session)
    return session


_begun: list[LabSession] = []


def flow(target: str, *, namespace: str = "", live: bool = False, seconds: float = 30.0) -> Any:
    """The talk's figure for any object, such as "rs/web".  namespace: by default that of the lab begun last."""
    if _begun and not namespace:
        return _begun[-1].flow(target, live=live, seconds=seconds)
    from kitlib.views.figure import flow as draw

    return draw(target, namespace=namespace or "default", cluster=connect(), live=live, seconds=seconds)


def packet_walk(destination: str, *, source: str = "", mode: str = "", node: str = "", endpoint: str = "",
                protocol: str = "", namespace: str = "") -> WalkFigure:
    """Which rule takes a packet where: the walk of a connection's first packet through a node's rules, drawn.

        kit.packet_walk("web:80", source="client", mode="nftables")     a Service, from a Pod
        kit.packet_walk("node-1:30080", source="203.0.113.9")           a node port, from outside

    mode: iptables, nftables, ipvs or userspace; for every mode the rules are worked out from the API's objects, so it
    makes no difference which one the cluster uses ("": its own, if it has rules, else iptables).
    endpoint: let chance choose this one (a Pod or an address).
    namespace: of short names; by default that of the lab begun last.  Raises KitError in one sentence.
    """
    from kitlib.views.walk_figure import WalkFigure

    walk = _dataplane(namespace).walk(destination, source=source, mode=mode, node=node, endpoint=endpoint,
                                      protocol=protocol)
    return WalkFigure(walk.json())


def rules(mode: str = "", *, node: str = "", service: str = "", namespace: str = "") -> str:
    """A node's rules as text, in the form of the mode's own tools; with service only what that Service adds."""
    return _dataplane(namespace).rules(mode, node, service)


def service_map(name: str, *, namespace: str = "") -> Any:
    """A Service as it is now: the ways in, its Pods by node, and who of them gets connections.

    namespace: by default that of the lab begun last.  Raises KitError if there is no such Service.
    """
    from kitlib.views.service_map import draw

    try:
        return draw(_cluster().client("kit-view"), namespace or _namespace(), name)
    except KeyError as error:
        raise KitError(f"{error.args[0]}; `kubectl get services` lists those there are.") from None


def _dataplane(namespace: str) -> Dataplane:
    """Of the cluster that is meant; short names are of the namespace, else of the lab begun last."""
    from kitlib.cluster.dataplane import Dataplane

    session = _begun[-1] if _begun else None
    client = (session.cluster if session else connect()).client("kit-rules")
    return Dataplane(client, namespace or (session.namespace if session else "default"))


def anatomy(pod: str, *, namespace: str = "") -> Any:
    """What a Pod consists of.  namespace: by default that of the lab begun last."""
    from kitlib.views.pod_figures import anatomy as draw

    return draw(pod, namespace=namespace or _namespace(), cluster=_cluster())


def timeline(pod: str, *, namespace: str = "", live: bool = False, seconds: float = 30.0) -> Any:
    """What a Pod has been through.  namespace: by default that of the lab begun last."""
    from kitlib.views.pod_figures import timeline as draw

    return draw(pod, namespace=namespace or _namespace(), cluster=_cluster(), live=live, seconds=seconds)


def at(revision: int, resources: str = "", *, namespace: str = "") -> Any:
    """The cluster as it was: `kit.at(120, "rs,pods")`; a negative revision counts back from now."""
    from kitlib.trace import past

    client = _cluster().client("kit-at")
    chosen = revision if revision > 0 else past.now(client) + revision
    try:
        return past.look(client, chosen, namespace or _namespace(), past.resources_of(resources) or past.SHOWN)
    except StatusError as error:
        raise KitError(error.message) from None


def schedule(pod: str, *, namespace: str = "") -> Any:
    """Why a Pod is on its node, or on none.  Raises KitError if the scheduler's thoughts cannot be had."""
    from kitlib.cluster.decisions import newest
    from kitlib.views.decision_figure import DecisionFigure

    return DecisionFigure(newest(_cluster().client("kit-view"), pod, namespace or _namespace()))


def why(target: str, *, namespace: str = "") -> Any:
    """The chain of causes behind the last change of "pod/web-x7k2p", back to a person.  Raises KitError."""
    from kitlib.trace.why import fetch

    try:
        found = fetch(_cluster().client("kit-why"), target, namespace or _namespace())
    except (BadTarget, StatusError) as error:
        raise KitError(str(error)) from None
    if not found.links:
        raise KitError(f"nothing is known about {target} in namespace {namespace or _namespace()}.")
    return found


def _namespace() -> str:
    return _begun[-1].namespace if _begun else "default"


def _cluster() -> Cluster:
    return _begun[-1].cluster if _begun else connect()


def ensure_namespace(session: LabSession) -> None:
    try:
        session.client.create("namespaces", "", {"apiVersion": "v1", "kind": "Namespace",
                                                 "metadata": {"name": session.namespace}})
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise


def use_namespace(session: LabSession) -> None:
    """Point this process (and what it starts) at the lab's namespace, with kubectl and kit on the PATH."""
    os.environ["KUBECONFIG"] = str(kubeconfig_for(session.cluster, session.namespace))
    programs = os.path.dirname(sys.executable)
    if programs not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", "")


def kubeconfig_for(cluster: Cluster, namespace: str) -> Path:
    """A copy of the cluster's kubeconfig, beside it and as private, with this default namespace."""
    import yaml

    from kitlib.cluster.home import write_private

    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    path = cluster.kubeconfig.with_name(f"kubeconfig-{namespace}")
    write_private(path, yaml.safe_dump(config))
    return path


def speak_plainly() -> None:
    """Let the notebook show our own errors, and the API server's refusals, as one sentence instead of a traceback."""
    try:
        from IPython import get_ipython
    except ImportError:
        return
    shell = get_ipython()
    if shell is None:
        return

    def show(_shell: Any, _type: type[BaseException], value: BaseException, _traceback: Any,
             tb_offset: int | None = None) -> list[str]:
        print(f"{type(value).__name__}: {value}", file=sys.stderr)
        return [str(value)]

    shell.set_custom_exc((KitError, StatusError, BadTarget, BoxError), show)
