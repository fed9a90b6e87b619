"""ResourceQuota: a namespace may hold so much and no more.

Usage is counted when something is created, from the objects that exist right now, so the answer is
right even before the quota controller has written `status.used`; the new usage is written there at
once, as the real plugin does.

    pods, services, count/RESOURCE.GROUP     objects
    requests.cpu, limits.memory, …           sums over Pods that have not finished
    requests.storage, persistentvolumeclaims claims, also per storage class

Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota, k8s.io/kubernetes/pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kitlib.api.admission.usage import Amounts, matches_scopes, show, usage_of
from kitlib.api.call import Call
from kitlib.objects import quantity
from kitlib.objects.meta import clone

Obj = dict[str, Any]
QUOTAS = "resourcequotas"


def check(call: Call, obj: Obj, old: Obj | None) -> None:
    if not call.kind.namespaced or call.kind.storage == QUOTAS:
        return
    quotas = call.api.store.list(QUOTAS, call.namespace)
    if not quotas:
        return
    wanted = usage_of(call.kind, obj)
    before = usage_of(call.kind, old) if old is not None else {}
    for entry in quotas:
        spec = entry.obj.get("spec") or {}
        if not matches_scopes(spec, call.kind.storage, obj):
            continue
        hard = {name: quantity.parse(str(value)) for name, value in (spec.get("hard") or {}).items()}
        if old is None:
            _demand_values(call, entry.obj, hard, obj)
        delta = {name: wanted[name] - before.get(name, Decimal(0)) for name in wanted if name in hard}
        delta = {name: value for name, value in delta.items() if value > 0}
        if not delta:
            continue
        used = _used(call, spec, delta)
        exceeded = sorted(name for name, value in delta.items() if used[name] + value > hard[name])
        if exceeded:
            raise call.forbidden(_sentence(entry.obj["metadata"]["name"], exceeded, delta, used, hard),
                                 obj["metadata"].get("name", ""))
        if not call.dry_run:
            _write_used(call, entry.key.name, {name: used[name] + value for name, value in delta.items()})


def _demand_values(call: Call, quota: Obj, hard: Amounts, obj: Obj) -> None:
    """Where CPU or memory is limited, every container has to say how much it wants."""
    if call.kind.storage != "pods":
        return
    missing = set()
    for name in hard:
        field, _, resource = name.rpartition(".")
        if resource not in ("cpu", "memory") or field not in ("", "requests", "limits"):
            continue
        for container in obj.get("spec", {}).get("containers") or ():
            if resource not in ((container.get("resources") or {}).get(field or "requests") or {}):
                missing.add(name)
    if missing:
        names = ",".join(sorted(missing))
        raise call.forbidden(f"failed quota: {quota['metadata']['name']}: must specify {names}",
                             obj["metadata"].get("name", ""))


def _used(call: Call, spec: Obj, names: Amounts) -> Amounts:
    """How much of these is in use."""
    total = dict.fromkeys(names, Decimal(0))
    for entry in call.api.store.list(call.kind.storage, call.namespace):
        if matches_scopes(spec, call.kind.storage, entry.obj):
            for name, value in usage_of(call.kind, entry.obj).items():
                if name in total:
                    total[name] += value
    return total


def _write_used(call: Call, name: str, used: Amounts) -> None:
    found = call.api.store.get(QUOTAS, call.namespace, name)
    if found is None:
        return
    quota = clone(found.obj)
    status = quota.setdefault("status", {})
    status.setdefault("hard", dict((quota.get("spec") or {}).get("hard") or {}))
    status.setdefault("used", {}).update({key: show(key, value)
                                          for key, value in used.items()})
    if quota != found.obj:
        entry = call.api.store.update(*found.key, quota)
        call.api.writes.record(call, entry, "update")


def _sentence(name: str, exceeded: list[str], delta: Amounts, used: Amounts, hard: Amounts) -> str:
    def shown(amounts: Amounts) -> str:
        return ",".join(f"{key}={show(key, amounts[key])}" for key in exceeded)

    return f"exceeded quota: {name}, requested: {shown(delta)}, used: {shown(used)}, limited: {shown(hard)}"
