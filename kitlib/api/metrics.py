"""/metrics: what this server has done, for Prometheus.

Names and labels are kube-apiserver's, so dashboards and alert rules made for it work here.

Source: k8s.io/apiserver/pkg/endpoints/metrics; https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import resource
import sys
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kitlib.api.routing import RequestInfo

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0,
           30.0, 45.0, 60.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABELS = ("verb", "group", "version", "resource", "subresource", "scope")
VERBS = frozenset(("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "post", "put"))
Key = tuple[str, str, str, str, str, str]


class Metrics:
    """Counts and durations of requests."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, str]] = set()  # (group, version, resource) that have been served
        self._requests: dict[tuple[Key, int, bool], int] = {}
        self._durations: dict[Key, tuple[list[int], list[float]]] = {}  # per bucket; [sum]

    def record(self, info: RequestInfo, code: int, dry_run: bool, seconds: float) -> None:
        """One request has been answered.  A watch counts when it begins; its length is no duration."""
        verb = info.verb.upper() if info.verb in VERBS else "OTHER"
        if code in (401, 403, 404, 405):
            # What a stranger or a typo names must not become a label for ever.
            known = (info.group, info.version, info.resource) in self._known
        else:
            known = True
        if not known:
            key = (verb, "", "", "", "", "")
        elif info.is_resource:
            self._known.add((info.group, info.version, info.resource))
            scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
            key = (verb, info.group, info.version, info.resource, info.subresource, scope)
        else:
            key = (verb, "", "", "", info.path, "")
        request = (key, code, dry_run)
        self._requests[request] = self._requests.get(request, 0) + 1
        if info.verb == "watch":
            return
        found = self._durations.get(key)
        if found is None:
            found = self._durations[key] = ([0] * (len(BUCKETS) + 1), [0.0])
        found[0][bisect_left(BUCKETS, seconds)] += 1
        found[1][0] += seconds

    def text(self, api: ApiServer) -> str:
        """The exposition of everything."""
        return "\n".join([*self._counters(), *self._histograms(), *_objects(api), *_process(api), ""])

    def _counters(self) -> Iterator[str]:
        name = "apiserver_request_total"
        yield f"# HELP {name} Counter of apiserver requests broken out for each verb, resource and HTTP response code."
        yield f"# TYPE {name} counter"
        for (key, code, dry_run), count in sorted(self._requests.items()):
            dry = "All" if dry_run else ""
            yield f'{name}{{{_labels(key)},code="{code}",component="apiserver",dry_run="{dry}"}} {count}'

    def _histograms(self) -> Iterator[str]:
        name = "apiserver_request_duration_seconds"
        yield f"# HELP {name} Response latency distribution in seconds for each verb and resource."
        yield f"# TYPE {name} histogram"
        for key, (buckets, total) in sorted(self._durations.items()):
            labels, seen = _labels(key) + ',component="apiserver"', 0
            for limit, count in zip((*BUCKETS, "+Inf"), buckets, strict=True):
                seen += count
                yield f'{name}_bucket{{{labels},le="{limit}"}} {seen}'
            yield f"{name}_sum{{{labels}}} {total[0]}"
            yield f"{name}_count{{{labels}}} {seen}"


def _labels(key: Key) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(LABELS, key, strict=True))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _objects(api: ApiServer) -> Iterator[str]:
    yield "# HELP apiserver_storage_objects Number of stored objects at the time of last check split by kind."
    yield "# TYPE apiserver_storage_objects gauge"
    for storage in sorted({kind.storage for kind in api.registry.kinds() if not kind.virtual}):
        yield f'apiserver_storage_objects{{resource="{storage}"}} {api.store.count(storage)}'


def _process(api: ApiServer) -> Iterator[str]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    yield "# TYPE kubernetes_build_info gauge"
    yield f'kubernetes_build_info{{git_version="{api.config.git_version}"}} 1'
    yield "# TYPE process_cpu_seconds_total counter"
    yield f"process_cpu_seconds_total {used.ru_utime + used.ru_stime}"
    yield "# TYPE process_resident_memory_max_bytes gauge"
    yield f"process_resident_memory_max_bytes {peak}"
    yield "# TYPE process_start_time_seconds gauge"
    yield f"process_start_time_seconds {api.started}"
