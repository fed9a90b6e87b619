"""An operator written with kopf, as any user would write it.  It runs as `kopf run` in a process of its own.

A Garden wants so many plants.  Creating one makes a ConfigMap that it owns; a change of spec.plants is
carried over; a timer waters it; and before it goes, a finalizer makes sure that it is noted in the
ConfigMap NAME-grave.
"""

from __future__ import annotations

from typing import Any

import kopf
import kubernetes

KIND = ("kit.example", "v1", "gardens")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.persistence.finalizer = "kit.example/gardener"


def core() -> kubernetes.client.CoreV1Api:
    kubernetes.config.load_kube_config()
    return kubernetes.client.CoreV1Api()


@kopf.on.create(*KIND)
def plant(body: kopf.Body, spec: kopf.Spec, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> dict[str, int]:
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-plants"},
             "data": {"plants": str(spec["plants"])}}
    kopf.adopt(child)
    core().create_namespaced_config_map(namespace, child)
    kopf.info(body, reason="Planted", message=f"{spec['plants']} plants")
    patch.status["planted"] = spec["plants"]
    return {"done": spec["plants"]}


@kopf.on.update(*KIND, field="spec.plants")
def replant(old: int, new: int, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    core().patch_namespaced_config_map(f"{name}-plants", namespace, {"data": {"plants": str(new)}})
    patch.status["planted"] = new
    patch.status["before"] = old


@kopf.timer(*KIND, interval=0.3)
def water(status: kopf.Status, patch: kopf.Patch, **_: Any) -> None:
    patch.status["watered"] = status.get("watered", 0) + 1


@kopf.on.delete(*KIND, retries=3, backoff=0.2)
def uproot(name: str, namespace: str, retry: int, **_: Any) -> None:
    if retry == 0:
        raise kopf.TemporaryError("it resists", delay=0.2)
    core().create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-grave"}})
