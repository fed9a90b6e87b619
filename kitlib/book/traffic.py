"""Traffic in a notebook: `kit.curl`, `kit.dig`, `kit.load`.  They print as the tools do, and return what programs need.

    answer = kit.curl("http://web/")            prints the body; answer.status, answer.pod, answer.seconds
    kit.curl("http://web/", from_pod="client")  the connection begins in that Pod
    kit.dig("web")                              which names were tried, and the answer
    kit.load("http://web/", rps=100, seconds=5) the figure; report.lost, report.errors, report.who, report.latency(99)
    with kit.load("http://web/", rps=100) as load:         in the background, while the block does something
        kit.kubectl("rollout restart deployment/web")
    load.report()

Names resolve as in a Pod of the lab's namespace.  That nobody answers is an answer, too: it is printed as curl says it,
and `answer.failure.kind` has it for programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kitlib.cluster.context import connect
from kitlib.cluster.errors import UsageError
from kitlib.traffic import dig as dig_page
from kitlib.traffic import shape
from kitlib.traffic.exchange import Answer
from kitlib.traffic.failure import Unreachable
from kitlib.traffic.load.report import Report
from kitlib.traffic.load.run import Load
from kitlib.traffic.network import Network
from kitlib.traffic.request import SECONDS
from kitlib.traffic.request import request as ask
from kitlib.traffic.resolve import Lookup
from kitlib.views.load_figure import LoadReport


class Shown:
    """Was printed already, so that a cell which ends with it does not show it again."""

    def _ipython_display_(self) -> None:
        """Nothing."""


class ShownAnswer(Answer, Shown):
    """An answer (status, headers, body, text, json(), pod, seconds, failure)."""


def network(namespace: str = "") -> Network:
    """The cluster that is meant here, as seen from a namespace (by default the kubeconfig's)."""
    return Network(connect().client("kit-traffic"), namespace or default_namespace())


def default_namespace() -> str:
    """$KUBECONFIG's, which `kit.lab` has set to the lab's."""
    import os

    from kitlib.client.kubeconfig import load

    return load().namespace if os.environ.get("KUBECONFIG") else "default"


def curl(url: str, *, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), method: str = "",
         data: str | bytes | None = None, insecure: bool = False, cacert: str = "", include: bool = False,
         from_pod: str = "", container: str = "", namespace: str = "", seconds: float = SECONDS,
         show: bool = True) -> Answer:
    """Ask a URL of the cluster once, print what curl would print (not with show=False), and return the answer.

    from_pod: "client" or "team/client"; the connection begins there.  include: print the headers, too (curl -i).
    """
    found = network(namespace)
    try:
        answer = ask(found.client, url, namespace=found.namespace, method=method, headers=headers, data=data,
                     insecure=insecure, cacert=cacert, from_pod=from_pod, container=container, seconds=seconds,
                     network=found)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(f"{error}.") from None
    if show:
        print(shape.text(answer, include=include).rstrip("\n"))
    return ShownAnswer(**vars(answer))


class ShownLookup(Lookup, Shown):
    """What became of a name: tries, addresses, answer (a dns.message.Message)."""

    @property
    def values(self) -> list[str]:
        """The records' data, as `dig +short` prints it."""
        return dig_page.short(self)


def dig(name: str, kind: str = "A", *, namespace: str = "", short: bool = False, tcp: bool = False,
        show: bool = True) -> ShownLookup:
    """Ask the cluster's DNS as a Pod of the namespace would; print dig's page (short: only the values)."""
    found = network(namespace)
    try:
        looked = found.look_up(name, kind, tcp=tcp)
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    except Unreachable as error:
        raise UsageError(f"{error.failure.message}.") from None
    if show:
        page = dig_page.text(found.conf(), looked, found.namespace, tcp=tcp)
        print("\n".join(dig_page.short(looked)) if short else page)
    return ShownLookup(**vars(looked))



class BackgroundLoad(Load):
    """A load that goes on while the notebook does something else; its report is a figure."""

    def report(self) -> LoadReport:
        return LoadReport.of(super().report())

    def __repr__(self) -> str:
        return self.report().line()


def load(url: str, *, rps: float = 100.0, seconds: float | None = None, connections: int = 10, keepalive: bool = True,
         namespace: str = "", headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), method: str = "",
         data: str | bytes | None = None, insecure: bool = False, cacert: str = "", timeout: float = 5.0,
         background: bool = False, show: bool = True) -> Any:
    """Send so many requests a second to a Service, Pod or Ingress of the cluster, each when it is due.

    With seconds it returns the report then (with background=True at once).  Without, it goes on in the background until
    the `with` block ends, or `load.stop()`; `load.report()` has what it saw.  Latency counts from when a request was
    due; a request is lost if it is refused, broken off, answered with an error, or not answered in `timeout` seconds.
    keepalive=False opens a connection for each.  show: tell how it stands while it goes on.
    """
    found = network(namespace)
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    progress = _Progress() if show else None
    try:
        made = BackgroundLoad(found.client, url, rps=rps, seconds=seconds, connections=connections,
                              keepalive=keepalive, namespace=found.namespace, headers=pairs, method=method, data=data,
                              insecure=insecure, cacert=cacert, timeout=timeout, network=found,
                              tell=progress.tell if progress else None).start()
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    if seconds is None or background:
        return made
    try:
        made.wait()
    except KeyboardInterrupt:
        made.stop()
    return made.report()


class _Progress:
    """One line below the cell, changed about twice a second; nothing where there is no notebook."""

    def __init__(self) -> None:
        self._last = 0.0
        self._handle: Any = None
        try:
            from IPython import get_ipython
        except ImportError:
            self._on = False
        else:
            self._on = get_ipython() is not None
        if self._on:
            from IPython.display import display

            self._handle = display(_Line("…"), display_id=True)

    def tell(self, report: Report) -> None:
        if self._handle is not None and report.seconds - self._last >= 0.5:
            self._last = report.seconds
            self._handle.update(_Line(report.line()))


class _Line(str):
    """Shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


__all__ = ["curl", "dig", "load"]
