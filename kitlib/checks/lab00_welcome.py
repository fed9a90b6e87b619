"""Checks of lab00: a first cluster, kubectl, and a check that says what is wrong."""

from __future__ import annotations

import re

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.pods import logs, pod, ready
from kitlib.checks.world import World

TITLE = "Welcome: a cluster of your own"
MINUTES = 20
NAMESPACE = "lab00"

KINDS = ("configmaps", "namespaces", "services")


@exercise()
def count_nodes(world: World) -> None:
    """You counted the nodes of your cluster"""
    nodes = len(world.client.list("nodes")["items"])
    given = world.answer("nodes", int)
    if given != nodes:
        raise Wrong("that is not how many nodes there are", "`kubectl get nodes` prints one line for each, and a "
                    "header that does not count.", actual=given)


@exercise()
def short_names(world: World) -> None:
    """You know what kubectl calls things for short"""
    given = world.answer("short", dict.fromkeys(KINDS, str))
    known = {r["name"]: r for r in world.client.transport.request("GET", "/api/v1")["resources"]}
    for kind in KINDS:
        said = given[kind]
        if said in known[kind].get("shortNames", ()):
            continue
        if said in (kind, known[kind]["singularName"]):
            raise Wrong(f"{said!r} is right, but not short", "The column SHORTNAMES, between the name and APIVERSION.",
                        actual=said)
        owner = next((name for name, r in known.items() if said in r.get("shortNames", ())), None)
        if owner:
            raise Wrong(f"{said!r} is short for {owner}", f"Look for the line that begins with {kind}.", actual=said)
        raise Wrong(f"nobody calls {kind} {said!r}", f"`kubectl api-resources` has a line that begins with {kind}.",
                    actual=said)


@exercise()
def first_object(world: World) -> None:
    """ConfigMap hello greets the world"""
    hello = world.get("configmaps", "hello")
    if hello is None:
        raise Wrong("there is no ConfigMap hello yet", "`kubectl create configmap NAME --from-literal=KEY=VALUE` "
                    "makes one. This check failed on purpose: now mend it and press the button.",
                    expected="hello", actual=[c["metadata"]["name"] for c in world.list("configmaps")])
    data = hello.get("data", {})
    if "greeting" not in data:
        raise Wrong("hello has no key greeting", "In --from-literal=KEY=VALUE the KEY is what a program asks for.",
                    expected=["greeting"], actual=sorted(data))
    if "world" not in data["greeting"].lower():
        raise Wrong("the greeting does not mention the world", "Say hello to the world: it has waited for it since "
                    "1978. `kubectl edit` is one way; deleting and creating anew another.", actual=data["greeting"])


@exercise()
def first_pod(world: World) -> None:
    """Pod hello runs, and you know where"""
    if world.get("pods", "hello") is None:
        raise Wrong("there is no Pod hello", "`kubectl run NAME --image=kit/echo` starts one.")
    found = ready(world, "hello")
    address = world.answer("address", str)
    if address != found["status"].get("podIP"):
        raise Wrong("that is not the address of the Pod", "`kubectl get pod hello -o wide` has a column IP. A Pod "
                    "that was made anew has a new one.", actual=address)


@exercise(after=first_pod)
def read_log(world: World) -> None:
    """You read on which port hello listens"""
    given = world.answer("port", int)
    log = world.eventually(lambda: logs(world, "hello", pod(world, "hello")["spec"]["containers"][0]["name"]))
    said = re.search(r"port (\d+)", log)
    if said is None:
        raise Wrong("hello has not said anything about a port", "Is it the image kit/echo? `kubectl logs hello`.",
                    actual=log[:80])
    if given != int(said[1]):
        hint = "80 is where web servers often listen, and this one does not. " if given == 80 else ""
        raise Wrong("that is not what hello says", hint + "The first line of `kubectl logs hello` ends with it.",
                    actual=given)


@exercise(after=first_pod)
def labels(world: World) -> None:
    """Pod hello can be found by its mood"""
    found = pod(world, "hello")["metadata"]
    mood = found.get("labels", {}).get("mood")
    if mood == "good":
        return
    if mood is not None:
        raise Wrong("hello is in another mood", "A label that is there is changed with `--overwrite`.",
                    expected="good", actual=mood)
    if "mood" in found.get("annotations", {}):
        raise Wrong("mood is an annotation", "Annotations are notes for readers; one cannot search by them. "
                    "`kubectl label`, not `annotate`.", actual=found["annotations"]["mood"])
    raise Wrong("hello has no label mood", "`kubectl label pod NAME KEY=VALUE`. `kubectl get pods --show-labels` shows "
                "what there is.", expected={"mood": "good"}, actual=found.get("labels", {}))


@exercise()
def break_it(world: World) -> None:
    """Pod brief was there, and you know whether it comes back"""
    given = world.answer("comes_back", {"yes", "no"})
    ended = [e for e in world.list("events") if e["involvedObject"]["name"] == "brief" and e["reason"] == "Killing"]
    there = world.eventually(lambda: world.get("pods", "brief") is None, within=3.0) is False
    if there:
        raise Wrong("brief is still there", "Delete it: `kubectl delete pod brief --grace-period=1`.")
    if not ended:
        raise Wrong("there was no Pod brief that was ended", "Make it, wait until it is Ready, and then delete it: "
                    "what never ran cannot be seen to end.")
    if given == "yes":
        raise Wrong("look again: is it back?", "`kubectl get pods`. You asked for a Pod and took it back; who else "
                    "would want it?", actual=given)
