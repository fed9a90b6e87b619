"""Checks of lab12: configuration and storage (the talk's page 85).

What a container sees is asked in the container (exec) or over HTTP, and what updates live is tried: a check changes a
value for a moment and looks who noticed.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from kitlib.checks import inside, pods
from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import controller_of
from kitlib.views.storage import node as node_of

TITLE = "Configuration and storage"
MINUTES = 90
NAMESPACE = "lab12"

DEPLOY, RS, CLAIMS, VOLUMES = "deployments.apps", "replicasets.apps", "persistentvolumeclaims", "persistentvolumes"
AGE = frozenset(("old", "new"))
READERS = {
    "env": ("old", "printenv SKY", "The environment is copied once, when the process starts. Who could change it in a "
                                   "process that runs?"),
    "argument": ("old", "cat /tmp/argument", "`$(SKY)` in args is filled in before the container starts, and then "
                                             "never again."),
    "file": ("new", "cat /etc/weather/sky", "The kubelet keeps the directory of a ConfigMap volume up to date."),
    "subPath": ("old", "cat /etc/one/sky", "A subPath mounts *one file*, as it is at that moment. The kubelet then "
                                           "changes to new files, and the mount holds on to the old one."),
    "projected": ("new", "cat /all/sky", "A projected volume is written by the same code as a ConfigMap's."),
}
SEEN = frozenset(("seen", "hidden"))
LOOKS = {
    "kubectl get secret -o yaml": ("seen", "What is under `data` is base64. Is that a lock, or only a spelling?"),
    "kubectl describe secret": ("hidden", "`describe` prints only how many bytes there are."),
    "kubectl get pod -o yaml": ("hidden", "The Pod has a *reference*: name and key. The value is fetched by the "
                                        "kubelet."),
    "kubectl exec POD -- printenv": ("seen", "A program that is to use a password has to have it, and whoever may exec "
                                             "into it, too."),
}
FATE = frozenset(("there", "gone"))
PLACES = {
    "own layer, container restarts": ("gone", "A restarted container is a *new* container of the same image."),
    "emptyDir, container restarts": ("there", "An emptyDir belongs to the Pod, and the Pod is still the same."),
    "claim, container restarts": ("there", "What outlives a Pod certainly outlives a container."),
    "own layer, new Pod": ("gone", "Not even the same Pod's next container had it."),
    "emptyDir, new Pod": ("gone", "An emptyDir lives exactly as long as its Pod."),
    "claim, new Pod": ("there", "The data is outside. The Pod only borrowed it."),
}


def _patience(world: World) -> float:
    """A kubelet elsewhere looks at its volumes about once a minute; the book's own hears of every change."""
    return 5.0 if world.backend == "embedded" else 100.0


def _config(world: World, name: str, resource: str = "configmaps") -> dict:
    found = world.get(resource, name)
    if found is None:
        raise Wrong(f"there is no {resource.rstrip('s')} {name!r}", f"`kubectl get {resource}` shows what is there.",
                    expected=name, actual=[o["metadata"]["name"] for o in world.list(resource)])
    return found


@exercise()
def predict_reach(world: World) -> None:
    """Predict which change reaches whom"""
    given = world.answer("reach", dict.fromkeys(READERS, AGE))
    for name, (truth, _, hint) in READERS.items():
        if given[name] != truth:
            raise Wrong(f"the reader by {name} does not see the {given[name]} value", hint, actual=given[name])
    pods.ready(world, "reader")
    now = (_config(world, "weather").get("data") or {}).get("sky")
    for name, (truth, command, _) in READERS.items():
        def look(command: str = command, truth: str = truth) -> bool:
            return (inside.run(world, "reader", "sh", "-c", command) == now) is (truth == "new")

        if not world.eventually(look, within=_patience(world)):
            raise Wrong(f"here the reader by {name} sees something else than it should",
                        "Was the sky changed after reader had started, and changed once? Run this exercise's cells "
                        "again.",
                        expected=truth, actual=inside.run(world, "reader", "sh", "-c", command))


def _sources(pod: dict) -> tuple[dict[str, dict], list[dict]]:
    container = pod["spec"]["containers"][0]
    return {e["name"]: e for e in container.get("env") or ()}, list(container.get("envFrom") or ())


@exercise()
def as_env(world: World) -> None:
    """shop gets its settings as environment variables"""
    data = _config(world, "shop").get("data") or {}
    if data != {"greeting": "hello", "currency": "yen"}:
        raise Wrong("the ConfigMap shop has other data", "`kubectl create configmap --from-literal=KEY=VALUE`, twice.",
                    expected={"greeting": "hello", "currency": "yen"}, actual=data)
    pod = pods.ready(world, "shop")
    env, bulk = _sources(pod)
    if "value" in env.get("GREETING", {}):
        raise Wrong("GREETING is written into the Pod", "Then the ConfigMap is decoration: the next shop would need "
                    "another manifest. `valueFrom` fetches it.", expected="valueFrom.configMapKeyRef",
                    actual=env["GREETING"]["value"])
    seen = dict(line.split("=", 1) for line in (inside.run(world, "shop", "env") or "").splitlines() if "=" in line)
    if seen.get("GREETING") != "hello":
        raise Wrong("there is no GREETING=hello in the container", "`env:` with `valueFrom`, and the key is greeting.",
                    expected="hello", actual=seen.get("GREETING"))
    if not bulk or seen.get("SHOP_currency") != "yen":
        raise Wrong("not all keys came along with the prefix SHOP_", "`envFrom` takes a whole ConfigMap at once; its "
                    "`prefix` stands beside `configMapRef`.", expected={"SHOP_currency": "yen"},
                    actual={name: value for name, value in seen.items() if name.lower().endswith("currency")})


@exercise()
def missing_key(world: World) -> None:
    """broken was mended without touching the Pod"""
    uid = world.answer("broken_uid", str)
    given = world.answer("reason", str)
    if given.strip() != "CreateContainerConfigError":
        raise Wrong(f"{given!r} is not the reason that kubectl shows", "It stands in the column STATUS of `kubectl "
                    "get pod broken` (and in the container's `state.waiting.reason`).", actual=given)
    pod = pods.pod(world, "broken")
    if pod["metadata"]["uid"] != uid:
        raise Wrong("broken is another Pod now", "It was deleted and made again. That helps only by the way: what was "
                    "missing is there now. Run the cell that makes it, and leave the Pod alone.")
    try:
        pods.ready(world, "broken")
    except Wrong as wrong:
        raise Wrong("broken still waits for its configuration", "`kubectl describe pod broken` ends with what it "
                    "could not find: which object, which key? The kubelet tries again and again.",
                    actual=wrong.rationale) from None


PAGE = "index.html"


@exercise(points=2)
def live_page(world: World) -> None:
    """web serves a page out of a ConfigMap, and a change arrives without a restart"""
    pod = pods.ready(world, "web")
    page = (_config(world, "page").get("data") or {}).get(PAGE)
    if page is None:
        raise Wrong("the ConfigMap page has no key index.html", "The key becomes the file's name: `--from-literal="
                    "index.html=…`.", expected=PAGE, actual=sorted(_config(world, "page").get("data") or {}))
    if "version 2" not in page:
        raise Wrong("the page is still the first one", "Change the ConfigMap (patch, edit or apply): the page shall "
                    "say version 2.", expected="version 2", actual=page)
    if page not in (pods.fetch(world, "web", 80) or ""):
        mounts = pod["spec"]["containers"][0].get("volumeMounts") or ()
        if any("subPath" in m for m in mounts):
            raise Wrong("nginx does not serve the new page", "The file is mounted by its subPath, and such a mount "
                        "never changes. Mount the whole directory.", expected=page)
    if not world.eventually(lambda: page in (pods.fetch(world, "web", 80) or ""), within=_patience(world)):
        raise Wrong("nginx does not serve what the ConfigMap says", "It looks into /usr/share/nginx/html. Is the "
                    "volume mounted just there?", expected=page,
                    actual=(pods.fetch(world, "web", 80) or "nothing")[:80])
    mark = f"{page}<!-- {pod['metadata']['uid'][:8]} -->"
    try:
        world.client.patch("configmaps", world.namespace, "page", {"data": {PAGE: mark}})
        if not world.eventually(lambda: mark in (pods.fetch(world, "web", 80) or ""), within=_patience(world)):
            raise Wrong("a change of the ConfigMap does not reach the page of this Pod",
                        "We changed it for a moment and nobody noticed: a copy was made somewhere (a subPath, a "
                        "command).")
    except StatusError as error:
        raise Wrong("the ConfigMap page cannot be changed", "Is it immutable? That is the next exercise.",
                    actual=str(error)) from None
    finally:
        if not _config(world, "page").get("immutable"):
            world.client.patch("configmaps", world.namespace, "page", {"data": {PAGE: page}})


@exercise(points=2)
def immutable_config(world: World) -> None:
    """painter got its new color by a new ConfigMap, and the old one is still there"""
    old, new = _config(world, "paint-v1"), _config(world, "paint-v2")
    if (old.get("data") or {}).get("color") != "blue":
        raise Wrong("paint-v1 is no longer blue", "It was deleted and made again under its old name: now nobody can "
                    "go back. Run the cell that makes it.", expected="blue", actual=old.get("data"))
    if (new.get("data") or {}).get("color") != "red":
        raise Wrong("paint-v2 is not red", "Its key is color, too.", expected={"color": "red"}, actual=new.get("data"))
    if not new.get("immutable"):
        raise Wrong("paint-v2 can be changed by anybody", "`immutable: true` stands beside `data`, at the top level.",
                    expected=True, actual=new.get("immutable", False))
    painter = world.get(DEPLOY, "painter")
    if painter is None:
        raise Wrong("there is no Deployment painter", "The cell that makes it is above.")
    env = {e["name"]: e for e in painter["spec"]["template"]["spec"]["containers"][0].get("env") or ()}
    named = ((env.get("COLOR", {}).get("valueFrom") or {}).get("configMapKeyRef") or {}).get("name")
    if named != "paint-v2":
        raise Wrong("painter does not take its color from paint-v2", "An order like `set env COLOR=red` puts a "
                    "literal there. Let the file point to the new ConfigMap, and apply it." if named is None else
                    "A new ConfigMap changes nothing by itself: who has to name it?", expected="paint-v2",
                    actual=env.get("COLOR"))

    def look() -> bool:
        alive = [p for p in world.pods("app=painter") if pods.is_ready(p)]
        return len(alive) == 1 and inside.run(world, alive[0]["metadata"]["name"], "printenv", "COLOR") == "red"

    if not (world.eventually(look, within=10) and world.stays(look)):
        raise Wrong("no painter paints red yet", "`kubectl rollout status deployment/painter` waits for the new Pod.")
    if not [rs for rs in world.list(RS) if (controller_of(rs) or {}).get("uid") == painter["metadata"]["uid"]
            and "paint-v1" in json.dumps(rs["spec"])]:
        raise Wrong("the way back is gone", "Was painter deleted and made anew? A change of the template keeps the old "
                    "ReplicaSet. Run the cell that makes it, and apply only a change.")


@exercise(points=2)
def secret_hides(world: World) -> None:
    """Predict what a Secret hides, and read it"""
    given = world.answer("looks", dict.fromkeys(LOOKS, SEEN))
    for look, (truth, hint) in LOOKS.items():
        if given[look] != truth:
            raise Wrong(f"with `{look}` the password is not {given[look]}", hint, actual=given[look])
    encoded = _config(world, "vault", "secrets")["data"]["password"]
    password = world.answer("password", str)
    if password == encoded:
        raise Wrong("that is still base64", "`base64 -d` (or Python's base64.b64decode) turns it back: no key is "
                    "needed.")
    if password != base64.b64decode(encoded).decode():
        raise Wrong("that is not the password", "Take `.data.password` of the Secret vault, and decode it. (Whenever "
                    "its cell runs again it is another one.)", actual=password)


def _may(world: World, verb: str, resource: str) -> bool:
    accounts = "system:serviceaccounts"
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": f"system:serviceaccount:{world.namespace}:clerk",
        "groups": [accounts, f"{accounts}:{world.namespace}", "system:authenticated"],
        "resourceAttributes": {"namespace": world.namespace, "verb": verb, "group": "", "resource": resource}}}
    return bool(world.client.create("subjectaccessreviews.authorization.k8s.io", "", review)["status"].get("allowed"))


@exercise(points=2)
def clerk(world: World) -> None:
    """The clerk may not read Secrets, and has read one"""
    if world.answer("predict", {"refused", "allowed"}) != "allowed":
        raise Wrong("the clerk was not stopped", "He asked for a Pod, and Pods he may create. Who fetched the Secret "
                    "for it, and with whose rights?")
    if _may(world, "get", "secrets") or _may(world, "list", "secrets"):
        raise Wrong("the clerk has been allowed to read Secrets", "That would be no trick. Take it back (run the cell "
                    "that makes him): he gets along without it.", expected="forbidden", actual="allowed")
    pods.pod(world, "spy")
    wanted = base64.b64decode(_config(world, "vault", "secrets")["data"]["password"]).decode()
    said = world.eventually(lambda: pods.logs(world, "spy", "spy"))
    if wanted not in said:
        raise Wrong("the log of spy does not have the password", "A container called spy that prints it and ends: the "
                    "Secret as env or as a file, and `cat` or `printenv`. (If vault was made anew: a Pod reads it "
                    "when it starts.)",
                    actual=said[:80])
    if world.answer("stolen", str).strip() != wanted:
        raise Wrong("that is not what the spy found", "The clerk may read logs: `kubectl logs spy`, as the clerk.")


def _claims_of(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[1]
        return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
    except (IndexError, ValueError):
        return {}


@exercise(points=2)
def papers(world: World) -> None:
    """One directory with papers of four offices, always up to date"""
    pod = pods.ready(world, "papers")
    projected = [v["projected"] for v in pod["spec"].get("volumes") or () if "projected" in v
                 and not v["name"].startswith("kube-api-access")]
    if not projected:
        raise Wrong("papers has no projected volume", "Four volumes in four directories would do as well, but here all "
                    "papers shall lie in one: `projected`, with a list of `sources`.")
    secret = base64.b64decode(_config(world, "vault", "secrets")["data"]["password"]).decode()
    sky = (_config(world, "weather").get("data") or {}).get("sky", "")
    for file, wanted, source in (("sky", sky, "the ConfigMap weather"), ("password", secret, "the Secret vault")):
        seen = inside.run(world, "papers", "cat", f"/papers/{file}")
        if seen != wanted:
            raise Wrong(f"/papers/{file} is not what {source} says", "`kubectl exec papers -- ls -l /papers` shows "
                        "what is there. A key becomes a file of its name, unless `items` says otherwise.", actual=seen)
    told = _claims_of(inside.run(world, "papers", "cat", "/papers/token") or "")
    if told.get("aud") != ["vault.example"]:
        raise Wrong("/papers/token is not a token for vault.example", "A `serviceAccountToken` source has an "
                    "`audience`: a token that was stolen there is worth nothing elsewhere.", expected=["vault.example"],
                    actual=told.get("aud"))
    if told["exp"] - told["iat"] > 600:
        raise Wrong("the token lives longer than ten minutes", "`expirationSeconds`. (The kubelet puts a new one "
                    "there in time.)", expected=600, actual=told["exp"] - told["iat"])
    mark, labels = f"check-{pod['metadata']['uid'][:6]}", pod["metadata"].get("labels") or {}
    world.client.patch("pods", world.namespace, "papers", {"metadata": {"labels": {"kit": mark}}})
    try:
        noticed = world.eventually(lambda: mark in (inside.run(world, "papers", "cat", "/papers/labels") or ""),
                                   within=_patience(world))
    finally:
        world.client.patch("pods", world.namespace, "papers", {"metadata": {"labels": {"kit": labels.get("kit")}}})
    if not noticed:
        raise Wrong("/papers/labels does not follow the Pod's labels", "We changed a label for a moment. A "
                    "`downwardAPI` source with the fieldPath metadata.labels and the path labels keeps such a file up "
                    "to date.",
                    actual=inside.run(world, "papers", "cat", "/papers/labels"))


@exercise(points=2)
def three_places(world: World) -> None:
    """Predict what outlives what"""
    given = world.answer("places", dict.fromkeys(PLACES, FATE))
    for case, (truth, hint) in PLACES.items():
        if given[case] != truth:
            raise Wrong(f"{case}: the file is not {given[case]}", hint, actual=given[case])


def _claim(world: World, name: str) -> dict:
    found = world.get(CLAIMS, name)
    if found is None:
        raise Wrong(f"there is no claim {name!r}", "`kubectl get pvc` lists those there are.", expected=name,
                    actual=[c["metadata"]["name"] for c in world.list(CLAIMS)])
    return found


def _uses(pod: dict, claim: str) -> bool:
    return any((volume.get("persistentVolumeClaim") or {}).get("claimName") == claim
               for volume in pod["spec"].get("volumes") or ())


@exercise(points=2)
def claim(world: World) -> None:
    """One Pod has written, it is gone, and another one reads"""
    if world.answer("before", {"Pending", "Bound"}) != "Pending":
        raise Wrong("the claim was not bound before there was a Pod", "Look at the class: WaitForFirstConsumer. Where "
                    "should a local directory be made, as long as nobody knows where the Pod will run?")
    notes = _claim(world, "notes")
    if set(notes["spec"]["accessModes"]) - {"ReadWriteOnce", "ReadWriteOncePod"}:
        raise Wrong("notes wants to be used from many nodes at once", "A directory lies on one node: `kubectl "
                    "describe pvc notes` ends with what the class can give. ReadWriteOnce means once *a node*, not a "
                    "Pod.",
                    expected=["ReadWriteOnce"], actual=notes["spec"]["accessModes"])
    if not world.eventually(lambda: _claim(world, "notes")["status"].get("phase") == "Bound"):
        raise Wrong("the claim notes is not bound", "`kubectl describe pvc notes` ends with what it waits for. Is "
                    "there such a class (`kubectl get sc`)? Does a Pod use the claim?", expected="Bound",
                    actual=notes["spec"].get("storageClassName"))
    if world.get("pods", "author"):
        raise Wrong("author is still there", "The point is that the data outlives its author: delete the Pod.")
    reader = pods.ready(world, "heir")
    if not _uses(reader, "notes"):
        raise Wrong("heir does not use the claim notes", "An emptyDir of the same name is another (empty) place: "
                    "`persistentVolumeClaim: {claimName: notes}`.", actual=[v for v in reader["spec"]["volumes"]
                                                                            if not v["name"].startswith("kube-")])
    seen = inside.run(world, "heir", "cat", "/data/will")
    if seen != "all to the cat":
        raise Wrong("heir does not find what author has written", "author writes `all to the cat` into /data/will, on "
                    "the claim; heir mounts the claim at /data, too.", expected="all to the cat", actual=seen)
    volume = world.get(VOLUMES, _claim(world, "notes")["spec"]["volumeName"], "") or {"spec": {}}
    told = world.answer("node", str)
    if told != (node_of(volume) or reader["spec"]["nodeName"]):
        raise Wrong(f"the data does not lie on {told}", "`lab.storage()` shows the node of a volume, and `kubectl get "
                    "pod heir -o wide` where heir had to go.", actual=told)


@exercise(points=2)
def retain(world: World) -> None:
    """A claim was deleted, its data was kept, and found again"""
    given = world.answer("after", {"keep": {"Released", "Available", "deleted"},
                                   "standard": {"Released", "Available", "deleted"}})
    if given["standard"] != "deleted":
        raise Wrong(f"a volume of class standard is not {given['standard']} when its claim goes", "`kubectl get sc` "
                    "has a column RECLAIMPOLICY.", actual=given["standard"])
    if given["keep"] != "Released":
        raise Wrong(f"a volume of class keep is not {given['keep']} when its claim goes", "Retain means: nobody else "
                    "may have it, since somebody's data is on it; and nobody throws it away.", actual=given["keep"])
    name = world.answer("diary_volume", str)
    volume = world.get(VOLUMES, name, "")
    if volume is None:
        raise Wrong("the volume with the diary is gone", "With it went the road to the data. Run the cell that makes "
                    "it, and do not delete the volume: set it free.", expected=name)
    if world.get(CLAIMS, "diary"):
        raise Wrong("the old claim diary is still there", "It has to be deleted first; and a claim goes only when no "
                    "Pod uses it any more.")
    again = _claim(world, "diary-again")
    if again["spec"].get("volumeName") != name:
        raise Wrong("diary-again has got another, empty volume", "A claim takes whatever fits, unless it says which: "
                    "`volumeName` in its spec.", expected=name, actual=again["spec"].get("volumeName"))
    if not world.eventually(lambda: _claim(world, "diary-again")["status"].get("phase") == "Bound"):
        raise Wrong("diary-again waits for a volume that still remembers the old claim", "Released is not Available: "
                    "`spec.claimRef` of the volume names the claim that is gone. Remove it (`kubectl patch pv`).",
                    expected="Bound", actual=again["status"].get("phase"))
    pods.ready(world, "archivist")
    seen = inside.run(world, "archivist", "cat", "/data/page")
    if seen != "dear diary":
        raise Wrong("archivist does not find the page", "It mounts the claim diary-again at /data.", expected="dear "
                    "diary",
                    actual=seen)
