"""Indexed Jobs: every Pod has a number, and each number must succeed once.

The number is an annotation and a label of the Pod, part of its name and host name, and the environment variable
JOB_COMPLETION_INDEX.  The status remembers which are done in a compact form: "0-2,5".

Source: k8s.io/kubernetes/pkg/controller/job/indexed_job_utils.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kitlib.controllers.pods import phase
from kitlib.objects.meta import clone

Object = dict[str, Any]

ANNOTATION = "batch.kubernetes.io/job-completion-index"
VARIABLE = "JOB_COMPLETION_INDEX"


def parse(text: str) -> set[int]:
    """"0-2,5" → {0, 1, 2, 5}."""
    numbers: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def text(numbers: Iterable[int]) -> str:
    """{0, 1, 2, 5} → "0-2,5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def of(pod: Mapping[str, Any]) -> int | None:
    value = (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    return int(value) if value.isdigit() else None


def completed(job: Object, pods: Sequence[Object]) -> set[int]:
    """The numbers that have succeeded: those of the status, and those of Pods that have since."""
    known = parse((job.get("status") or {}).get("completedIndexes") or "")
    limit = job["spec"].get("completions") or 0
    fresh = {number for pod in pods if phase(pod) == "Succeeded" and (number := of(pod)) is not None}
    return {number for number in known | fresh if number < limit}


def free(job: Object, active: Sequence[Object], done: set[int], count: int) -> list[int]:
    """The lowest `count` numbers that are neither done nor being worked on."""
    taken = done | {number for pod in active if (number := of(pod)) is not None}
    candidates = (number for number in range(job["spec"].get("completions") or 0) if number not in taken)
    return [number for number, _ in zip(candidates, range(max(0, count)), strict=False)]


def with_index(pod: Object, job: Object, number: int) -> Object:
    """The Pod as number `number`."""
    name = job["metadata"]["name"]
    made = clone(pod)
    meta, spec = made["metadata"], made["spec"]
    meta["generateName"] = f"{name}-{number}-"
    meta["annotations"] = (meta.get("annotations") or {}) | {ANNOTATION: str(number)}
    meta["labels"] = (meta.get("labels") or {}) | {ANNOTATION: str(number)}
    spec.setdefault("hostname", f"{name}-{number}")
    variable = {"name": VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{ANNOTATION}']"}}}
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        if not any(env["name"] == VARIABLE for env in container.get("env") or ()):
            container["env"] = [*(container.get("env") or ()), variable]
    return made
