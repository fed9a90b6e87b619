"""Checks of lab09: the flow of a ReplicaSet (the talk's pages 104 to 113).

Every exercise has objects of its own (web, team, shrink, steps, mine), so that doing a later one does not
undo an earlier one: all checks can pass at the end.
"""

from __future__ import annotations

from kitlib.checks import controller_torture
from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World
from kitlib.objects.meta import controller_of
from kitlib.objects.selectors import LabelSelector
from kitlib.trace.flow import lane_of

TITLE = "The flow of a ReplicaSet"
MINUTES = 90
NAMESPACE = "lab09"

RS = "replicasets.apps"
ACTORS = {"you", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"}
WRITERS = {
    "spec.replicas": ("you", "It is the number you ask for. Who puts a wish into a manifest?"),
    "metadata.ownerReferences": ("kube-controller-manager",
                                 "A Pod's owner is set by whoever creates the Pod. Do you write Pods here?"),
    "spec.nodeName": ("kube-scheduler", "One actor does nothing else all day than to choose a node."),
    "status.phase": ("kubelet", "Only somebody on the node can know whether a container really runs."),
    "status.readyReplicas": ("kube-controller-manager",
                             "It is in the status of the ReplicaSet, not of a Pod: who counts Pods in its loop?"),
}


def _replicaset(world: World, name: str, *, replicas: int | None = None) -> dict:
    """The ReplicaSet, with the number of replicas it should ask for."""
    found = world.find("ReplicaSet", RS, name, "Look at `kubectl get rs`. Was the manifest applied, and is "
                       f"`metadata.name` {name!r}?")
    wanted = found["spec"]["replicas"]
    if replicas is not None and wanted != replicas:
        raise Wrong(f"ReplicaSet {name} asks for {wanted} Pods", "`spec.replicas` is the number to change.",
                    expected=replicas, actual=wanted)
    return found


def _is_ready(pod: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def _running(world: World, name: str, count: int) -> list[dict]:
    """The ReplicaSet's Pods, when exactly `count` are ready and stay so."""
    def look() -> list[dict] | None:
        pods = world.pods(owner=name)
        return pods if len(pods) == count and all(map(_is_ready, pods)) else None

    if not (world.eventually(look) and world.stays(look)):
        pods = world.pods(owner=name)
        waiting = {c["state"]["waiting"].get("reason", "") for pod in pods
                   for c in pod["status"].get("containerStatuses", ()) if "waiting" in c.get("state", {})}
        if waiting & {"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}:
            raise Wrong(f"the Pods of {name} cannot start: their image cannot be pulled",
                        "`kubectl describe pod` says at the end which images there are. Is it spelled `kit/echo`?",
                        actual=sorted({c["image"] for pod in pods for c in pod["spec"]["containers"]}))
        raise Wrong(f"not exactly {count} Pods of {name} are ready, or not for long",
                    f"`kubectl get pods` and `kubectl describe rs {name}` show what is missing.",
                    expected=f"{count} ready", actual=f"{sum(map(_is_ready, pods))} ready of {len(pods)}")
    return world.pods(owner=name)


@exercise()
def predict_writers(world: World) -> None:
    """Predict who writes which field"""
    given = world.answer("writers", dict.fromkeys(WRITERS, ACTORS))
    for field, (writer, hint) in WRITERS.items():
        if given[field] != writer:
            raise Wrong(f"{field} is not written by {given[field]}", hint, actual=given[field])


@exercise(points=2)
def apply_replicaset(world: World) -> None:
    """ReplicaSet web keeps three Pods running"""
    if world.get("deployments.apps", "web"):
        raise Wrong("web is a Deployment", "A Deployment makes ReplicaSets for you. Here `kind` is ReplicaSet: "
                                           "you want to see that loop alone.")
    web = _replicaset(world, "web", replicas=3)
    labels = web["spec"]["template"]["metadata"].get("labels", {})
    if labels.get("app") != "web":
        raise Wrong("the Pods of web do not carry the label app=web",
                    "The later exercises find them by it: look at `spec.template.metadata.labels`.",
                    expected={"app": "web"}, actual=labels)
    _running(world, "web", 3)


@exercise(points=2, after=apply_replicaset)
def follow_the_flow(world: World) -> None:
    """Follow one Pod of web from its creation to its node"""
    given = world.answer("chain", {"pod": str, "node": str, "created_revision": int, "bound_revision": int})
    pods = {pod["metadata"]["name"]: pod for pod in world.pods(owner="web")}
    history = world.trace()
    mine = [r for r in history if r["resource"] == "pods" and r["name"] == given["pod"]]
    if not mine and given["pod"] not in pods:
        raise Wrong(f"{given['pod']} is not a Pod of web", "Take a name from `kubectl get pods -l app=web`.",
                    expected=sorted(pods), actual=given["pod"])
    bound = next((r for r in mine if r["actor"].startswith("kube-scheduler") and "node" in r["changes"]), None)
    created = next((r for r in mine if r["verb"] == "create" and not r["subresource"]), None)
    if bound is None or created is None:
        raise Wrong(f"the creation of {given['pod']} is no longer in the record", "Take a younger Pod.")
    if given["node"] != bound["changes"]["node"][1]:
        raise Wrong(f"{given['pod']} was not assigned to {given['node']}",
                    "`kubectl get pod -o wide` has a column NODE.", actual=given["node"])
    if given["created_revision"] != created["revision"]:
        swapped = given["created_revision"] == bound["revision"]
        raise Wrong("that is not the revision in which the Pod was created",
                    "You have the revision of the binding there: creation comes before it." if swapped else
                    "In the figure it is kube-controller-manager's step; `lab.flow('pod/NAME')` shows one Pod alone.",
                    actual=given["created_revision"])
    if given["bound_revision"] != bound["revision"]:
        raise Wrong("that is not the revision in which the Pod got its node",
                    "Look for the step of kube-scheduler: each Pod has a binding of its own.",
                    actual=given["bound_revision"])


@exercise(points=2, after=apply_replicaset)
def raw_https(world: World) -> None:
    """Read web over plain HTTPS as a ServiceAccount that may do just that"""
    web = _replicaset(world, "web")
    if world.get("serviceaccounts", "reader") is None:
        raise Wrong("there is no ServiceAccount reader", "`kubectl create serviceaccount reader` makes one.")
    who = f"system:serviceaccount:{world.namespace}:reader"
    if not _may(world, who, "get", "apps", "replicasets"):
        raise Wrong("reader may not get ReplicaSets", "Having an account is not a permission: a Role says what may be "
                    "done, a RoleBinding says by whom. `kubectl auth can-i --list --as` shows what is granted.",
                    expected="get replicasets.apps", actual="forbidden")
    for verb, group, resource in (("list", "", "secrets"), ("delete", "apps", "replicasets"), ("create", "", "pods")):
        if _may(world, who, verb, group, resource):
            raise Wrong(f"reader may also {verb} {resource}", "Least privilege: grant the verb and the resource that "
                        "are needed, no `*` and no ready-made role.", expected="get replicasets.apps only",
                        actual=f"{verb} {resource}")
    given = world.answer("raw", {"uid": str, "code_for_pods": int})
    if given["uid"] != web["metadata"]["uid"]:
        raise Wrong("that is not the uid of web", "It is in `metadata.uid` of what the server answered. If web was "
                    "deleted and made again it is another object with another uid: ask anew.", actual=given["uid"])
    if given["code_for_pods"] != 403:
        hint = "Ask for /api/v1/namespaces/lab09/pods with the same token and note the HTTP code."
        if given["code_for_pods"] == 401:
            hint = "401 means the server does not know who you are: is the token in the Authorization header?"
        raise Wrong("the server answers something else when reader asks for Pods", hint, actual=given["code_for_pods"])


def _may(world: World, user: str, verb: str, group: str, resource: str) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": user, "groups": ["system:serviceaccounts", f"system:serviceaccounts:{world.namespace}",
                                 "system:authenticated"],
        "resourceAttributes": {"namespace": world.namespace, "verb": verb, "group": group, "resource": resource}}}
    return bool(world.client.create("subjectaccessreviews.authorization.k8s.io", "", review)["status"].get("allowed"))


@exercise(after=apply_replicaset)
def self_healing(world: World) -> None:
    """A Pod of web was killed, and another one took its place"""
    given = world.answer("healed", {"killed": str, "replacement": str})
    killed, replacement = given["killed"], given["replacement"]
    if killed == replacement:
        raise Wrong("the same name twice", "A Pod is never repaired: it is replaced, and the new one has a new name.",
                    actual=killed)
    born = {r["name"]: r["revision"] for r in world.trace()
            if r["resource"] == "pods" and r["verb"] == "create" and not r["subresource"]
            and r["actor"].startswith("kube-controller-manager")}
    gone = {r["name"]: r["revision"] for r in world.trace() if r["resource"] == "pods"
            and ("deleting" in r["changes"] or r["changes"].get("exists") == [True, False])
            and lane_of(r["actor"]) == "client"}
    if killed not in gone:
        raise Wrong(f"nobody deleted {killed}", "Delete a Pod with `kubectl delete pod NAME` and note that name.",
                    expected="a Pod that you deleted", actual=killed)
    if born.get(replacement, 0) <= gone[killed]:
        raise Wrong(f"{replacement} is not what replaced {killed}", "The replacement is younger than the deletion: "
                    "compare AGE in `kubectl get pods`, or look for the new name.", actual=replacement)
    if not any(pod["metadata"]["name"] == replacement for pod in world.pods(owner="web")):
        owner = [pod["metadata"]["name"] for pod in world.pods(owner="web")]
        raise Wrong(f"{replacement} does not belong to web (any more)", "Note the Pod that stands there now.",
                    expected=owner, actual=replacement)


@exercise(points=2, after=apply_replicaset)
def orphan(world: World) -> None:
    """One Pod of web has been taken out of its flock, alive"""
    web = _replicaset(world, "web", replicas=3)
    selector = LabelSelector.of(web["spec"]["selector"])
    loose = [pod for pod in world.pods() if controller_of(pod) is None
             and pod["metadata"].get("generateName") == "web-"]
    if not loose:
        raise Wrong("every Pod of web still has its owner", "A ReplicaSet knows its Pods by their labels. "
                    "`kubectl label pod NAME app=… --overwrite` changes one.", expected="one Pod without an owner",
                    actual=f"{len(world.pods(owner='web'))} owned Pods")
    if any(selector.matches(pod["metadata"].get("labels", {})) for pod in loose):
        raise Wrong("the loose Pod still matches the selector of web, so it will be taken back",
                    "Change the label that `kubectl get rs web -o wide` shows under SELECTOR.")
    if not all(map(_is_ready, loose)):
        raise Wrong("the loose Pod does not run", "It should be free, not dead: no delete, only a label.")
    _running(world, "web", 3)


@exercise(after=apply_replicaset)
def adopt(world: World) -> None:
    """ReplicaSet team has adopted the Pod that was there before it"""
    stray = world.get("pods", "stray")
    if stray is None:
        raise Wrong("there is no Pod stray", "If team was there first and already had two Pods, stray was one too many "
                    "and had to go: delete team, make stray, then make team." if world.get(RS, "team")
                    else "Begin with the Pod: `kubectl run stray --image=kit/echo --labels=app=team`.")
    team = _replicaset(world, "team", replicas=2)
    owner = controller_of(stray)
    if owner is None or owner["uid"] != team["metadata"]["uid"]:
        raise Wrong("stray does not belong to team", "An orphan is adopted if its labels match the selector: compare "
                    "`kubectl get pod stray --show-labels` with `kubectl get rs team -o wide`.",
                    expected=team["spec"]["selector"], actual=stray["metadata"].get("labels", {}))
    _running(world, "team", 2)


@exercise(points=2, after=apply_replicaset)
def victims(world: World) -> None:
    """You knew which Pod of shrink would go"""
    _replicaset(world, "shrink", replicas=3)
    given = world.answer("victim", str)
    owned = [r for r in world.trace() if r["resource"] == "pods" and r["name"].startswith("shrink-")]
    gone = [r["name"] for r in owned if "deleting" in r["changes"]
            and r["actor"].startswith("kube-controller-manager")]
    if not gone:
        raise Wrong("no Pod of shrink had to go yet", "Four replicas first; when all are ready, scale to three.")
    if given not in gone:
        raise Wrong(f"{given} is not the one that went", "All four are ready and of one age. What else is looked at "
                    "before the age? The annotation `controller.kubernetes.io/pod-deletion-cost`: the cheapest first.",
                    actual=given)
    costs = {r["name"] for r in owned if lane_of(r["actor"]) == "client" and r["verb"] in ("patch", "update")}
    if given not in costs:
        raise Wrong("it was luck: you did not mark that Pod", "Annotate one Pod with "
                    "`controller.kubernetes.io/pod-deletion-cost=-10` before you scale down.")
    _running(world, "shrink", 3)


@exercise(points=2, after=apply_replicaset)
def pause_and_step(world: World) -> None:
    """The controller was stopped, and did one step under your eyes"""
    if world.backend != "embedded" and not world.trace():
        raise Wrong("this cluster's controllers cannot be paused", "Do this exercise on the embedded cluster.")
    _replicaset(world, "steps", replicas=3)
    given = world.answer("paused", {"pods_while_paused": int, "actions_of_the_step": int})
    states = {c["name"]: c["state"] for c in world.kit("controllers")["controllers"]}
    if states.get("replicaset") == "paused":
        raise Wrong("the controller is still paused", 'Nothing in this cluster heals now! `kit.resume("replicaset")`.')
    steps = [r for r in world.trace() if r["resource"] == RS and r["name"] == "steps" and "wanted" in r["changes"]]
    scaled = next((r for r in steps if r["changes"]["wanted"] == [1, 3]), None)
    if scaled is None:
        raise Wrong("steps was not scaled from 1 to 3", "Make it with one replica, pause, then scale it to three.")
    records = [r for r in world.kit("records?controller=replicaset")["records"] if r["key"].endswith("/steps")]
    creating = next((r for r in records if r["started"] >= scaled["time"]
                     and any(w["verb"] == "create" and w["resource"] == "pods" for w in r["writes"])), None)
    if creating is None:
        raise Wrong("nothing was created for steps after it was scaled", 'Did you `kit.step("replicaset")`?')
    if not creating["stepped"]:
        raise Wrong("the controller answered by itself: it was not paused when you scaled, or not stepped",
                    'The order is the point: `kit.pause("replicaset")` first, then scale.')
    if given["pods_while_paused"] != 1:
        raise Wrong("that is not how many Pods there were while the controller was paused",
                    "You asked for three, but who would have made them? Count with `kubectl get pods` before the step.",
                    actual=given["pods_while_paused"])
    creates = sum(w["verb"] == "create" and w["resource"] == "pods" for w in creating["writes"])
    if given["actions_of_the_step"] != creates:
        raise Wrong("the step created another number of Pods", "`kit.step` returns a record: count the creates in its "
                    "`actions` (observed 1, wanted 3, so the diff is …).", actual=given["actions_of_the_step"])
    _running(world, "steps", 3)


@exercise(points=4, after=apply_replicaset)
def own_controller(world: World) -> None:
    """Your own ReplicaSet controller survives lost events, conflicts and a restart"""
    controller_torture.torture(world, "replicaset")
