"""DELETE: who decides when an object is really gone.

An object goes at once unless somebody must act first:

    finalizers      "x.example/clean-up": deletionTimestamp is set, the object stays until the list is empty
    propagation     Orphan and Foreground are finalizers too ("orphan", "foregroundDeletion"), set by this request
                    and taken off by the garbage collector
    grace           a Pod on a node is marked; the kubelet confirms by deleting it again with grace 0

So a DELETE answers either a `Status` with the uid of what has gone, or the object that has been marked.

Source: k8s.io/apiserver/pkg/registry/rest/delete.go, generic/registry/store.go (Delete,
deletionFinalizersForGarbageCollection).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kitlib.api import respond, writing
from kitlib.api.call import Call, invalid_options, parse_int
from kitlib.api.routing import TRUE
from kitlib.objects import field as problems
from kitlib.objects.clock import rfc3339
from kitlib.objects.errors import conflict
from kitlib.store import Entry

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
POLICIES = ("Foreground", "Background", "Orphan", "")


@dataclass(slots=True)
class DeleteOptions:
    """What a deletion may ask for, from the body or, where there is none, from the query."""

    grace: int | None = None
    uid: str = ""
    version: str = ""
    orphan: bool | None = None
    policy: str = ""
    dry_run: bool = False


def read_options(call: Call) -> DeleteOptions:
    """The options of this request.  Raises 400 or 422."""
    body: dict[str, Any] = {}
    if call.request.body or call.request.obj is not None:
        from kitlib.api import decode

        body = decode.delete_options(call)
    param = call.request.param
    options = DeleteOptions()
    grace: Any = body.get("gracePeriodSeconds")
    if grace is None and param("gracePeriodSeconds"):
        grace = parse_int(param("gracePeriodSeconds"), "gracePeriodSeconds")
    # Nobody can be killed in the past; the real server makes a negative grace the shortest there is.
    options.grace = 1 if isinstance(grace, int) and grace < 0 else grace
    preconditions = body.get("preconditions") or {}
    options.uid = preconditions.get("uid") or param("preconditions.uid")
    options.version = preconditions.get("resourceVersion") or param("preconditions.resourceVersion")
    options.policy = body.get("propagationPolicy") or param("propagationPolicy")
    options.orphan = body.get("orphanDependents")
    if options.orphan is None and param("orphanDependents"):
        options.orphan = param("orphanDependents") in TRUE
    causes = []
    if options.policy not in POLICIES:
        causes.append(problems.not_supported("propagationPolicy", options.policy, POLICIES))
    elif options.policy and options.orphan is not None:
        causes.append(problems.invalid("propagationPolicy", options.policy,
                                       "orphanDependents and deletionPropagation cannot be both set"))
    dry_run = body.get("dryRun") or []
    if dry_run and dry_run != ["All"]:
        causes.append(problems.not_supported("dryRun", dry_run, ["All"]))
    if causes:
        raise invalid_options("DeleteOptions", causes)
    options.dry_run = call.dry_run = call.dry_run or bool(dry_run)
    return options


def delete(call: Call, found: Entry, options: DeleteOptions, admit: bool = True) -> tuple[Entry, bool]:
    """Delete or mark one object.  Returns its state and whether it is gone.

    admit=False: for what the server itself clears away, and nobody can object to.
    """
    kind, api = call.kind, call.api
    strategy = api.strategies[kind.storage]
    obj, meta = found.obj, found.obj["metadata"]
    _check_preconditions(call, meta, options)
    if admit:
        api.admission.check_delete(call, obj)
    strategy.check_delete(call, obj)
    marked = bool(meta.get("deletionTimestamp"))
    finalizers = _finalizers(kind.orphan_by_default, list(meta.get("finalizers", ())), options)
    finalizers += [name for name in strategy.finalizers_of_deletion if name not in finalizers and not marked]
    grace = strategy.grace(obj, options.grace) if kind.graceful else 0
    if marked and kind.graceful:
        grace = _shorter_grace(meta, options, grace)
    gone = not finalizers and grace == 0 and strategy.ends(obj)
    if not gone:
        return _mark(call, found, finalizers, grace, marked), False
    last = obj
    if kind.graceful or marked:
        last = _marked(call, obj, finalizers, grace)
        if not marked:
            _bump(last)
    if call.dry_run:
        return found, True
    entry = api.store.delete(*found.key, expect=found.revision, obj=last)
    strategy.after_delete(call, entry)
    api.writes.record(call, entry, "delete")
    return entry, True


def _check_preconditions(call: Call, meta: dict[str, Any], options: DeleteOptions) -> None:
    # Conflicts of preconditions name the Kind where all others name the resource: storage made this error.
    kind, name = call.kind, meta["name"]
    if options.uid and options.uid != meta["uid"]:
        raise conflict(kind.group, kind.kind, name, f"Precondition failed: UID in precondition: {options.uid}, "
                       f"UID in object meta: {meta['uid']}")
    if options.version and options.version != meta["resourceVersion"]:
        raise conflict(kind.group, kind.kind, name, f"Precondition failed: ResourceVersion in precondition: "
                       f"{options.version}, ResourceVersion in object meta: {meta['resourceVersion']}")


def _finalizers(orphan_by_default: bool, finalizers: list[str], options: DeleteOptions) -> list[str]:
    """The finalizers with those that this deletion's propagation asks for."""
    policy = options.policy
    if not policy and options.orphan is not None:
        policy = "Orphan" if options.orphan else "Background"
    if not policy:
        if ORPHAN in finalizers or FOREGROUND in finalizers:
            return finalizers
        policy = "Orphan" if orphan_by_default else "Background"
    wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(policy)
    kept = [name for name in finalizers if name not in (ORPHAN, FOREGROUND) or name == wanted]
    if wanted and wanted not in kept:
        kept.append(wanted)
    return kept


def _shorter_grace(meta: dict[str, Any], options: DeleteOptions, grace: int) -> int:
    """A second deletion can only make the time shorter, and without a wish of its own changes nothing."""
    left = meta.get("deletionGracePeriodSeconds", 0)
    if options.grace is None:
        return left
    return min(left, grace)


def _mark(call: Call, found: Entry, finalizers: list[str], grace: int, marked: bool) -> Entry:
    """Set deletionTimestamp, or shorten it, and let the object stay."""
    api, meta = call.api, found.obj["metadata"]
    unchanged = finalizers == list(meta.get("finalizers", ()))
    if marked and unchanged and grace >= meta.get("deletionGracePeriodSeconds", 0):
        return found
    obj = _marked(call, found.obj, finalizers, grace)
    api.strategies[call.kind.storage].mark(call, obj)
    if not marked:
        _bump(obj)
    if call.dry_run:
        return writing.draft(call, obj)
    entry = api.store.update(*found.key, obj, expect=found.revision)
    api.writes.record(call, entry, "delete")
    api.strategies[call.kind.storage].after_mark(call, entry)
    return entry


def _marked(call: Call, obj: dict[str, Any], finalizers: list[str], grace: int) -> dict[str, Any]:
    meta = dict(obj["metadata"])
    if not meta.get("deletionTimestamp") or grace < meta.get("deletionGracePeriodSeconds", 0):
        meta["deletionTimestamp"] = rfc3339(call.api.clock.now() + grace)
        meta["deletionGracePeriodSeconds"] = grace
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    return {**obj, "metadata": meta}


def _bump(obj: dict[str, Any]) -> None:
    """Being marked is a change that a controller has to observe: it counts as a new generation."""
    meta = obj["metadata"]
    if meta.get("generation", 0) > 0:
        meta["generation"] += 1


def answer(call: Call, entry: Entry, gone: bool, returns_object: bool) -> Any:
    """The object if it is still there (or is a Pod or such), else a Status that names it."""
    if not gone or returns_object:
        return respond.entry(call, entry, written=True)
    kind, meta = call.kind, entry.obj["metadata"]
    details = {"name": meta["name"], "group": kind.group, "kind": kind.plural, "uid": meta["uid"]}
    if not kind.group:
        del details["group"]
    return respond.json(respond.success(details=details), revision=entry.revision)
