"""Checks of lab00: a first cluster, kubectl, and a check that says what is wrong."""

from __future__ import annotations

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World

TITLE = "Welcome: a cluster of your own"
MINUTES = 10
NAMESPACE = "lab00"


@exercise()
def count_nodes(world: World) -> None:
    """You counted the nodes of your cluster"""
    nodes = len(world.client.list("nodes")["items"])
    given = world.answer("nodes", int)
    if given != nodes:
        raise Wrong("that is not how many nodes there are", "`kubectl get nodes` prints one line for each, and a "
                    "header that does not count.", actual=given)


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


@exercise(after=first_object)
def first_pod(world: World) -> None:
    """Pod hello runs, and you know what it says"""
    pod = world.get("pods", "hello")
    if pod is None:
        raise Wrong("there is no Pod hello", "`kubectl run NAME --image=kit/echo` starts one.")

    def ready() -> bool:
        found = world.get("pods", "hello") or {"status": {}}
        return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", ()))

    if not world.eventually(ready):
        raise Wrong("the Pod hello is not ready", "`kubectl describe pod hello` tells its story at the end, under "
                    "Events.", expected="Ready", actual=pod["status"].get("phase"))
    address = world.answer("address", str)
    actual = (world.get("pods", "hello") or pod)["status"].get("podIP")
    if address != actual:
        raise Wrong("that is not the address of the Pod", "`kubectl get pod hello -o wide` has a column IP. A Pod "
                    "that was made anew has a new one.", actual=address)
