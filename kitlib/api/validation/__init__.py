"""What makes an object valid, beyond its types: the rules of every built-in kind.

    causes = validate_create("Deployment", "apps", obj)          [] or what to answer 422 with
    causes = validate_update("Deployment", "apps", new, old)     the same rules, and what must not change

Objects come in decoded and defaulted (`objects.schema`).  Rules are plain functions, one file per
group of kinds, loaded when the first object of a kind arrives:

    registry.py ─ kind → rules     meta.py ─ names, labels, owners     common.py ─ shared small rules
    pod.py, containers.py, pod_volumes.py, ...      one file per subject

Nothing here reads other objects: what depends on the cluster's state is admission or strategy.

Source: k8s.io/kubernetes/pkg/apis/*/validation.
"""

from kitlib.api.validation.registry import validate_create, validate_update

__all__ = ["validate_create", "validate_update"]
