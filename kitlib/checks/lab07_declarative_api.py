"""Checks of lab07: the declarative API (the talk's pages 58 to 62).

What apply remembers and forgets is read where it is kept: in the annotation of the last applied configuration and in
`metadata.managedFields`.  Every exercise has objects of its own, so that all checks can pass at the end.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World
from kitlib.objects.meta import controller_of
from kitlib.trace.flow import BadTarget, lane_of, parse_target
from kitlib.views.merge import LAST_APPLIED
from kitlib.views.owners import owners

TITLE = "The declarative API"
MINUTES = 90
NAMESPACE = "lab07"

DEPLOY, RS = "deployments.apps", "replicasets.apps"
SAYS = frozenset(("refused", "unchanged", "replaced"))
TWICE = {
    "create": ("refused", "`create` means: make a new one. What if it is there already?"),
    "apply": ("unchanged", "`apply` describes a state. What is there to do if the state is that already?"),
    "replace": ("replaced", "`replace` does not compare: it puts your object in the place of the other one, each "
                            "time."),
    "delete": ("refused", "The first `delete` took it away. What is left for the second?"),
}
MENU = {
    "soup": ("pumpkin", "It is in your new file. Who would not get what the file says?"),
    "bread": ("rye", "Your file says rye, before and now. A colleague's white bread is drift, and apply mends drift."),
    "salad": ("potato", "It is in your file, and somebody took it away: apply puts back what the file names."),
    "tea": ("gone", "You applied it last time and your file no longer has it: apply remembers that it was *yours*."),
    "cake": ("apple", "It was never in a file of yours: apply does not touch what it does not know."),
}
WAYS = frozenset(("by itself", "apply again"))
HEALS = {
    "a Pod is deleted": ("by itself", "The ReplicaSet counts one too few."),
    "the ReplicaSet is deleted": ("by itself", "Who made the ReplicaSet? Somebody watches over those, too."),
    "the ReplicaSet is scaled to 0": ("by itself", "A ReplicaSet of a Deployment is not yours: the Deployment says how "
                                                   "many, and its controller compares."),
    "a container's process is killed": ("by itself", "The kubelet compares, too: restartPolicy is Always."),
    "the Deployment is scaled to 0": ("apply again", "Nobody can tell an accident from a wish: `spec.replicas` *is* "
                                                     "the wish. Who else knows that you wanted two?"),
    "the Deployment is deleted": ("apply again", "When the wish itself is gone, no controller wants anything any "
                                                "more."),
}


def _object(world: World, resource: str, name: str) -> dict:
    found = world.get(resource, name)
    if found is None:
        kind = resource.partition(".")[0]
        raise Wrong(f"there is no {name!r} among the {kind} of namespace {world.namespace}",
                    f"What did kubectl say to your command? `kubectl get {kind}` shows what is there.",
                    expected=name, actual=[o["metadata"]["name"] for o in world.list(resource)])
    return found


def _remembered(obj: dict) -> dict | None:
    """What was applied last (client-side), or None."""
    text = (obj["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ready(world: World, name: str, count: int) -> None:
    """Deployment `name` has `count` ready Pods of its newest template, and no others, and that lasts."""
    def look() -> bool:
        deployment = world.get(DEPLOY, name) or {}
        status = deployment.get("status", {})
        return (status.get("observedGeneration") == deployment.get("metadata", {}).get("generation")
                and status.get("replicas", 0) == status.get("updatedReplicas", 0) == count
                == status.get("readyReplicas", 0))

    if not (world.eventually(look, within=30) and world.stays(look)):
        status = _object(world, DEPLOY, name).get("status", {})
        raise Wrong(f"not exactly {count} Pods of {name} are ready, or not for long",
                    "`kubectl get pods` shows who is not, `kubectl describe pod` why. Is the image `kit/echo:v1`, or "
                    "v2?",
                    expected=f"{count} ready", actual=f"{status.get('readyReplicas', 0)} ready")


def _as_wished(obj: dict, name: str) -> None:
    """The state that exercises 2 and 3 ask for, however it came about."""
    containers = obj["spec"]["template"]["spec"]["containers"]
    if obj["spec"]["replicas"] != 3:
        raise Wrong(f"{name} asks for {obj['spec']['replicas']} Pods", "Three are wanted. What says `spec.replicas`?",
                    expected=3, actual=obj["spec"]["replicas"])
    if containers[0]["image"] != "kit/echo:v1":
        raise Wrong(f"{name} runs another image", "The tag belongs to the name: `kit/echo:v1`.",
                    expected="kit/echo:v1", actual=containers[0]["image"])
    env = {e["name"]: e.get("value", "") for e in containers[0].get("env", ())}
    if env.get("GREETING") != "hello":
        raise Wrong(f"the container of {name} does not greet", "An environment variable GREETING with the value hello "
                    "is missing: `kubectl set env --help`, or `env:` below the container.",
                    expected={"GREETING": "hello"}, actual=env)
    if (obj["metadata"].get("labels") or {}).get("team") != "blue":
        raise Wrong(f"the Deployment {name} does not carry the label team=blue",
                    "It belongs on the Deployment itself (`metadata.labels`), not on its Pods.",
                    expected={"team": "blue"}, actual=obj["metadata"].get("labels") or {})


@exercise()
def predict_twice(world: World) -> None:
    """Predict what the same command says the second time"""
    given = world.answer("twice", dict.fromkeys(TWICE, SAYS))
    for verb, (truth, hint) in TWICE.items():
        if given[verb] != truth:
            raise Wrong(f"the second `kubectl {verb} -f note.yaml` does not end like that", hint, actual=given[verb])


@exercise()
def imperative(world: World) -> None:
    """shop was built by orders"""
    if world.get(DEPLOY, "shop") is None and world.get("pods", "shop"):
        raise Wrong("shop is a bare Pod", "`kubectl run` makes a Pod. A Deployment is made by `kubectl create "
                    "deployment`.")
    shop = _object(world, DEPLOY, "shop")
    _as_wished(shop, "shop")
    if _remembered(shop) is not None or any(e["operation"] == "Apply" for e in shop["metadata"]["managedFields"]):
        raise Wrong("shop was applied from a file", "That comes next. Here give orders, one after the other: "
                    "create, scale, set env, label.")
    _ready(world, "shop", 3)


@exercise(points=2)
def declarative(world: World) -> None:
    """store was described by one file, and has the same state"""
    store = _object(world, DEPLOY, "store")
    _as_wished(store, "store")
    told = _remembered(store)
    if told is None:
        raise Wrong("nobody remembers the file that store was made of",
                    "`create` forgets the file at once. Which verb keeps it in an annotation?")
    try:
        _as_wished(told, "the file of store")
    except (Wrong, KeyError, IndexError, TypeError):
        raise Wrong("the file does not say all that store is: something was mended by hand", "Then it is an order "
                    "again. Compare `kubectl apply view-last-applied deploy/store` with what is asked for: put it "
                    "into the file."
                    ) from None
    _ready(world, "store", 3)


@exercise(points=2)
def three_way(world: World) -> None:
    """Predict a three-way merge"""
    given = world.answer("menu", dict.fromkeys(MENU, str))
    for key, (truth, hint) in MENU.items():
        if given[key] != truth:
            raise Wrong(f"{key} is not {given[key]!r} after the apply", hint, actual=given[key])
    menu = _object(world, "configmaps", "menu").get("data") or {}
    expected = {key: truth for key, (truth, _) in MENU.items() if truth != "gone"}
    if menu != expected:
        raise Wrong("the menu in the cluster is another one", "Was it edited after the exercise? Run this exercise's "
                    "cells again, from the first one.", expected=expected, actual=menu)


@exercise(points=2)
def no_memory(world: World) -> None:
    """legacy lost its debug switch, through the file, and is still the same object"""
    noted = world.answer("legacy_uid", str)
    legacy = _object(world, "configmaps", "legacy")
    data = legacy.get("data") or {}
    if legacy["metadata"]["uid"] != noted:
        raise Wrong("legacy is another object now: it was deleted and made again", "Its uid has changed, and for a "
                    "moment it was not there at all. (Run the cell that makes it, and try without `delete` and "
                    "`--force`.)")
    if "debug" in data:
        raise Wrong("debug is still on", "Apply removes only what it remembers having applied, and legacy was made by "
                    "`create`. How could you give it that memory first? `kubectl apply set-last-applied --help`.",
                    expected={"level": "info"}, actual=data)
    if data != {"level": "info"}:
        raise Wrong("the data of legacy is not what the new file says", "Apply the new file last.",
                    expected={"level": "info"}, actual=data)
    told = _remembered(legacy)
    if told is None:
        raise Wrong("debug is gone, but nobody remembers a file", "You won once. The next one who drops a line from "
                    "the file is where you began: apply the new file, too (or save the configuration).")
    if told.get("data") != {"level": "info"}:
        raise Wrong("what is remembered is not the new file", "`kubectl apply view-last-applied cm/legacy` shows it. "
                    "Apply the new file last.", expected={"level": "info"}, actual=told.get("data"))


@exercise(points=2)
def hand_over(world: World) -> None:
    """crowd got a new image, and the scaler's number stood all the time"""
    given = world.answer("naive", int)
    if given != 1:
        raise Wrong(f"after a plain apply crowd would not have {given} replicas", "You applied `replicas` last time "
                    "and now you do not: it is removed, and what is removed gets its *default*. Look at "
                    "`lab.merge(...)`.",
                    actual=given)
    crowd = _object(world, DEPLOY, "crowd")
    told = _remembered(crowd) or {}
    if "replicas" in (told.get("spec") or {}):
        raise Wrong("your file still names a number", "Tomorrow the scaler says seven, and your next apply takes it "
                    "back. A number that somebody else decides does not belong into the file.",
                    expected="no spec.replicas in the file", actual=told["spec"]["replicas"])
    if crowd["spec"]["replicas"] != 4:
        raise Wrong(f"crowd has {crowd['spec']['replicas']} replicas", "The scaler had said four. Apply remembered "
                    "that the number was yours: make it forget *first* (`kubectl apply set-last-applied`), then apply. "
                    "Run the cell that makes crowd to begin anew.", expected=4, actual=crowd["spec"]["replicas"])
    if crowd["spec"]["template"]["spec"]["containers"][0]["image"] != "kit/echo:v2":
        raise Wrong("crowd does not run kit/echo:v2", "set-last-applied changes only the memory. Then apply the file.",
                    expected="kit/echo:v2", actual=crowd["spec"]["template"]["spec"]["containers"][0]["image"])
    fell = [r["changes"]["wanted"] for r in world.trace() if r["uid"] == crowd["metadata"]["uid"]
            and (r["changes"].get("wanted") or [0, 9])[0] == 4]
    if fell:
        raise Wrong(f"for a while crowd wanted only {fell[0][1]}", "Mended, but your users were there when it "
                    "happened. Run the cell that makes crowd, and do it without the dip.", expected="4 all the time",
                    actual=fell[0])
    _ready(world, "crowd", 4)


def _applied_by(obj: dict, manager: str) -> set[str]:
    """The fields that a manager owns because it applied them."""
    return {path for path, who in owners(obj).items() if (manager, "Apply") in who}


IMAGE, GREETING = '.spec.template.spec.containers[name="echo"].image', '.env[name="GREETING"].value'


@exercise(points=2)
def conflict(world: World) -> None:
    """Two teams, one object: a conflict was met, and the quarrel avoided"""
    given = world.answer("conflict", {"with": str, "field": {"image", "env", "replicas"}, "env_was_written": bool})
    site = _object(world, DEPLOY, "site")
    mine, theirs = _applied_by(site, "app"), _applied_by(site, "platform")
    if IMAGE not in theirs:
        raise Wrong("platform no longer owns the image", "`--force-conflicts` won, and platform has lost a field "
                    "without being asked. Run the cell that makes site; then apply *less* instead of forcing.",
                    actual=owners(site).get(IMAGE))
    if not mine:
        named = sorted({e["manager"] for e in site["metadata"]["managedFields"] if e["operation"] == "Apply"})
        raise Wrong("no manager called app has applied anything", "Was the last apply refused? Take out of your file "
                    "what is not yours. And say who you are: `--server-side --field-manager=app`.", expected="app",
                    actual=named)
    if not any(path.endswith(GREETING) for path in mine):
        raise Wrong("app does not own the greeting", "The conflict was about one field. The other one stays in your "
                    "file.", actual=sorted(mine))
    if given["with"] != "platform":
        raise Wrong(f"the conflict was not with {given['with']!r}",
                    'The refusal names the other one: `conflict with "…"`.', actual=given["with"])
    if given["field"] != "image":
        raise Wrong(f"{given['field']} was not the field of the conflict", "The refusal ends with the path of the "
                    "field.",
                    actual=given["field"])
    if given["env_was_written"]:
        raise Wrong("the refused apply has not written anything", "A request is stored whole or not at all. Look at "
                    "the environment between the refusal and the second try.", actual=True)


@exercise(points=2)
def transfer(world: World) -> None:
    """size went from platform to app, and nobody forced anything"""
    given = world.answer("dropped_first", {"removed", "kept", "refused"})
    if given != "removed":
        raise Wrong(f"if platform drops size while it is the only owner, size is not {given}", "Who applies a file "
                    "says *these and no others are mine*. A field that its only owner lets go of belongs to nobody.",
                    actual=given)
    board = _object(world, "configmaps", "board")
    owned, data = owners(board), board.get("data") or {}
    size = {name for name, _ in owned.get(".data.size", ())}
    if "size" not in data:
        raise Wrong("there is no size any more", "platform let go before anybody else held it. First both hold it "
                    "(the same value is no conflict), then one lets go.", actual=data)
    if "platform" in size:
        raise Wrong("platform still owns size" + (", together with app" if "app" in size else ""),
                    "Who no longer names a field in the file gives it up: apply platform's file without it."
                    if "app" in size else
                    "app may apply what platform says, too: the *same* value is not a conflict. That is step one.",
                    expected=["app"], actual=sorted(size))
    if size != {"app"}:
        raise Wrong("size does not belong to app", "Apply it as `--field-manager=app`.", expected=["app"],
                    actual=sorted(size))
    if {name for name, _ in owned.get(".data.color", ())} != {"platform"}:
        raise Wrong("color has changed hands, too", "Only size was to move. Leave out of app's file what is not app's.",
                    expected=["platform"], actual=owned.get(".data.color"))
    if data["size"] != "5":
        raise Wrong("app has not used its new right yet", "When size is app's alone, let app apply the value 5.",
                    expected="5", actual=data["size"])


def _target(text: str) -> str:
    """cm/settings, configmap/settings and ConfigMap/settings are the same."""
    try:
        return "/".join(parse_target(text.strip()))
    except BadTarget:
        return text


@exercise(points=2)
def drift(world: World) -> None:
    """The vandal's damage was found by diff and mended by apply"""
    diary = json.loads(base64.b64decode(_object(world, "secrets", "vandal-diary")["data"]["diary"]))
    given = world.answer("drift", {"objects": [str], "unseen": str})
    named, damaged = ({_target(item) for item in items} for items in (given["objects"], diary["objects"]))
    if named != damaged:
        missed = damaged - named
        raise Wrong("these are not the objects that differed from the file",
                    "One object's damage is not in your list. `kubectl diff` prints one part for each, and its first "
                    "line has kind and name." if missed else "You blame one that is as the file says. Every name in "
                    "your list should have a part of its own in what `kubectl diff` printed.", actual=sorted(named))
    wanted: list[tuple[str, str, tuple[str, ...], Any]] = [
        ("configmaps", "settings", ("data", "water"), "daily"), (DEPLOY, "fence", ("spec", "replicas"), 1),
        ("services", "gate", ("spec", "selector", "app"), "fence")]
    for resource, name, path, value in wanted:
        found: Any = world.get(resource, name)
        for key in path:
            found = (found or {}).get(key)
        if found != value:
            raise Wrong(f"{name} is still damaged", "Found is not mended. What brings everything that the file names "
                        "back to what the file says?", expected={".".join(path): value}, actual=found)
    if given["unseen"] != diary["unseen"]:
        raise Wrong(f"{given['unseen']!r} is not what the vandal added to settings", "`diff` compares only what the "
                    "file names. `kubectl get cm settings -o yaml` shows all there is, and managedFields who wrote it.",
                    actual=given["unseen"])


@exercise()
def prune(world: World) -> None:
    """What left the file left the cluster, and the gnome is still there"""
    given = world.answer("after_apply", [str])
    if sorted(given) != ["gnome", "lily", "rose", "tulip"]:
        raise Wrong("these are not the ConfigMaps after a plain apply", "A plain apply looks only at the objects in "
                    "the file. What does it do to an object that is no longer there?", actual=sorted(given))
    there = {o["metadata"]["name"] for o in world.list("configmaps")}
    for name in ("rose", "lily"):
        if name not in there:
            raise Wrong(f"{name} is not there", "It is in the new file: apply that.", actual=sorted(there))
    if "gnome" not in there:
        raise Wrong("the gnome is gone", "The neighbour had put it there with the same label, by `create`. Prune "
                    "takes only what was *applied* once; `delete -l` takes all. (The cell that makes the garden "
                    "brings it back.)")
    if "tulip" in there:
        raise Wrong("tulip still blooms", "Apply does not look for what left the file, unless you say where: "
                    "`--prune` with the label of all that this file is about.", actual=sorted(there))


@exercise(points=2)
def self_healing(world: World) -> None:
    """Which damage heals, and a ReplicaSet that came back"""
    given = world.answer("heals", dict.fromkeys(HEALS, WAYS))
    for damage, (truth, hint) in HEALS.items():
        if given[damage] != truth:
            raise Wrong(f"{damage}: not healed like that", hint, actual=given[damage])
    noted = world.answer("replicaset", {"old": str, "new": str})
    heal = _object(world, DEPLOY, "heal")
    owned = {rs["metadata"]["uid"] for rs in world.list(RS)
             if (controller_of(rs) or {}).get("uid") == heal["metadata"]["uid"]}
    if noted["old"] == noted["new"]:
        raise Wrong("the same uid twice", "Nothing came back to life: there is a *new* object with the same name. Ask "
                    "for its uid after the deletion.", actual=noted["new"])
    if noted["new"] not in owned:
        raise Wrong("that is not the ReplicaSet of heal now", "`kubectl get rs -l app=heal -o jsonpath={..uid}` after "
                    "the deletion.", expected=sorted(owned), actual=noted["new"])
    deleted = [r for r in world.trace() if r["uid"] == noted["old"] and lane_of(r["actor"]) == "client"
               and r["resource"] == RS and (r["verb"] == "delete" or "deleting" in r["changes"])]
    if noted["old"] in owned or (world.backend == "embedded" and not deleted):
        raise Wrong("nobody deleted the ReplicaSet with the old uid", "Note the uid first, then `kubectl delete rs -l "
                    "app=heal`, then note the new one.", actual=noted["old"])
    _ready(world, "heal", 2)


@exercise(points=2)
def immutable(world: World) -> None:
    """A hotfix by hand was lost; version 2 came through the file, and the way back is still there"""
    given = world.answer("hotfix", {"in the next Pod": {"there", "gone"}, "old ReplicaSet": str})
    if given["in the next Pod"] != "gone":
        raise Wrong("the hotfix is not in the next Pod", "You wrote into *one container's* own layer. What is a new "
                    "Pod made of?", actual=given["in the next Pod"])
    page = _object(world, DEPLOY, "page")
    image = page["spec"]["template"]["spec"]["containers"][0]["image"]
    if image != "kit/echo:v2":
        patched = [p["metadata"]["name"] for p in world.pods("app=page")
                   if p["spec"]["containers"][0]["image"] == "kit/echo:v2"]
        raise Wrong("the Deployment page still wants " + image,
                    "You changed a Pod, not the wish: its next replacement is old again." if patched
                    else "Change the image in the file, and apply it.", expected="kit/echo:v2", actual=image)
    if _remembered(page) is None or json.dumps(_remembered(page)).count("kit/echo:v2") != 1:
        raise Wrong("the file still says v1", "`set image` is an order: the next apply of the file takes it back. Let "
                    "the file say v2.", actual="kit/echo:v1")
    _ready(world, "page", 2)
    old = {rs["metadata"]["name"]: rs for rs in world.list(RS) if rs["spec"]["replicas"] == 0
           and (controller_of(rs) or {}).get("uid") == page["metadata"]["uid"]}
    if not old:
        raise Wrong("there is no old ReplicaSet", "Was page deleted and made anew? Then nothing is left to go back "
                    "to. Run the cell that makes page, and only *change* the file.")
    if given["old ReplicaSet"] not in old:
        raise Wrong(f"{given['old ReplicaSet']!r} is not the old ReplicaSet of page", "`kubectl get rs -l app=page -o "
                    "wide`: the old one wants 0 and has the old image.", actual=given["old ReplicaSet"])
