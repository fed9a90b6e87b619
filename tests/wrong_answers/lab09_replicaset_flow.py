"""Mistakes in lab09."""

from __future__ import annotations


def writers(**changes: str) -> str:
    right = {"spec.replicas": "you", "metadata.ownerReferences": "kube-controller-manager",
             "spec.nodeName": "kube-scheduler", "status.phase": "kubelet",
             "status.readyReplicas": "kube-controller-manager"}
    return f'lab.answer("writers", {right | {k.replace("_", "."): v for k, v in changes.items()}!r})'


def replicaset(name: str, labels: str, image: str, replicas: int, kind: str = "ReplicaSet") -> str:
    return f"""kit.kubectl("apply -f -", stdin='''
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {labels}}}}}
  template:
    metadata: {{labels: {{app: {labels}}}}}
    spec:
      containers: [{{name: echo, image: {image}}}]
''')
"""


READER = """
kit.kubectl("create serviceaccount reader")
kit.kubectl("create role replicaset-reader --verb=get --resource=replicasets.apps")
kit.kubectl("create rolebinding reader --role=replicaset-reader --serviceaccount=lab09:reader")
uid = kit.kubectl("get rs web -o jsonpath={.metadata.uid}")
"""

CHAIN = """
name = kit.kubectl("get pods -l app=web -o jsonpath={.items[0].metadata.name}")
node = kit.kubectl(f"get pod {name} -o jsonpath={{.spec.nodeName}}")
steps = lab.flow(f"pod/{name}").flow.steps
created = next(s for s in steps if s.act == "create").revisions[0]
bound = next(s for s in steps if s.act == "bind").revisions[0]
"""

CONTROLLER = """
from kitlib.client import Controller, Create, Delete
from kitlib.objects.meta import owner_reference

class Mine(Controller):
    name, resource, owns = "mine", "replicasets.apps", ("pods",)
    def observe(self, key):
        rs = self.get(key)
        return rs and (rs, [p for p in self.owned("pods", rs) if "deletionTimestamp" not in p["metadata"]])
    def diff(self, observed):
        rs, pods = observed
        missing = rs["spec"]["replicas"] - len(pods)
        %s
    def new_pod(self, rs):
        template = rs["spec"]["template"]
        return {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": {
            "generateName": rs["metadata"]["name"] + "-", "namespace": rs["metadata"]["namespace"],
            "labels": template["metadata"]["labels"]%s}}

running = kit.run_controller(Mine, replaces="replicaset")
"""
OWNED = ', "ownerReferences": [owner_reference(rs)]'

WRONG = {
    "predict_writers": {
        "the scheduler starts containers": (writers(status_phase="kube-scheduler"), "Only somebody on the node"),
        "the API server chooses the node": (writers(spec_nodeName="kube-apiserver"), "choose a node"),
        "the kubelet counts replicas": (writers(status_readyReplicas="kubelet"), "who counts Pods in its loop"),
        "a name that is no actor": (writers(spec_replicas="etcd"), "form that the exercise shows"),
    },
    "apply_replicaset": {
        "two instead of three": (replicaset("web", "web", "kit/echo", 2), "`spec.replicas` is the number"),
        "a Deployment": (replicaset("web", "web", "kit/echo", 3, "Deployment"), "Here `kind` is ReplicaSet"),
        "another label": (replicaset("web", "website", "kit/echo", 3), "later exercises find them by it"),
        "an image that does not exist": (replicaset("web", "web", "kit/ecco", 3), "which images there are"),
        "another name": (replicaset("webb", "web", "kit/echo", 3), "Was the manifest applied"),
    },
    "follow_the_flow": {
        "creation and binding swapped": (
            CHAIN + 'lab.answer("chain", {"pod": name, "node": node, "created_revision": bound, '
                    '"bound_revision": created})', "creation comes before it"),
        "the ReplicaSet's revision": (
            CHAIN + 'lab.answer("chain", {"pod": name, "node": node, "created_revision": created, "bound_revision": '
                    'lab.flow("rs/web").flow.steps[0].revisions[0]})', "each Pod has a binding of its own"),
        "another node": (
            CHAIN + 'lab.answer("chain", {"pod": name, "node": "nowhere", "created_revision": created, '
                    '"bound_revision": bound})', "has a column NODE"),
        "not a Pod of web": (
            'lab.answer("chain", {"pod": "web", "node": "x", "created_revision": 1, "bound_revision": 2})',
            "Take a name from"),
    },
    "raw_https": {
        "an account without permission": (
            'kit.kubectl("create serviceaccount reader")', "Having an account is not a permission"),
        "cluster administrator": (
            'kit.kubectl("create serviceaccount reader")\nkit.kubectl("create clusterrolebinding reader '
            '--clusterrole=cluster-admin --serviceaccount=lab09:reader")', "Least privilege"),
        "no token sent": (READER + 'lab.answer("raw", {"uid": uid, "code_for_pods": 401})', "who you are"),
        "the Pod's uid": (
            READER + 'lab.answer("raw", {"uid": kit.kubectl("get pods -l app=web -o '
                     'jsonpath={.items[0].metadata.uid}"), "code_for_pods": 403})', "metadata.uid"),
    },
    "self_healing": {
        "the same Pod comes back": (
            'name = kit.kubectl("get pods -l app=web -o jsonpath={.items[0].metadata.name}")\n'
            'kit.kubectl(f"delete pod {name} --grace-period=1")\n'
            'lab.answer("healed", {"killed": name, "replacement": name})', "it is replaced"),
        "nothing was deleted": (
            'names = kit.kubectl("get pods -l app=web -o name").split()\nlab.answer("healed", {"killed": '
            'names[0].removeprefix("pod/"), "replacement": names[1].removeprefix("pod/")})', "Delete a Pod with"),
        "an old Pod as the replacement": (
            'names = kit.kubectl("get pods -l app=web -o name").split()\n'
            'kit.kubectl(f"delete {names[0]} --grace-period=1")\n'
            'lab.answer("healed", {"killed": names[0].removeprefix("pod/"), "replacement": '
            'names[1].removeprefix("pod/")})', "The replacement is younger"),
    },
    "orphan": {
        "deleted instead of relabelled": (
            'kit.kubectl("delete --grace-period=1 " + kit.kubectl("get pods -l app=web -o name").split()[0])',
            "A ReplicaSet knows its Pods by their labels"),
        "a label that nobody selects by": (
            'name = kit.kubectl("get pods -l app=web -o jsonpath={.items[0].metadata.name}")\n'
            'kit.kubectl(f"label pod {name} team=debug")',
            "A ReplicaSet knows its Pods by their labels"),
        "nothing done": ("...", "one Pod without an owner"),
    },
    "adopt": {
        "no Pod first": (replicaset("team", "team", "kit/echo", 2), "and had to go"),
        "another label": (
            'kit.kubectl("run stray --image=kit/echo --labels=app=stray")\n'
            + replicaset("team", "team", "kit/echo", 2),
            "An orphan is adopted if"),
        "three replicas": (
            'kit.kubectl("run stray --image=kit/echo --labels=app=team")\n'
            + replicaset("team", "team", "kit/echo", 3),
            "`spec.replicas` is the number"),
    },
    "victims": {
        "not scaled": ('lab.answer("victim", "shrink-xxxxx")', "`spec.replicas` is the number"),
        "scaled without a mark": (
            'kit.kubectl("scale rs shrink --replicas=3")\nlab.answer("victim", "shrink-xxxxx")',
            "What else is looked at"),
        "the dearest marked": (
            'victim = kit.kubectl("get pods -l app=shrink -o jsonpath={.items[1].metadata.name}")\n'
            'kit.kubectl(f"annotate pod {victim} controller.kubernetes.io/pod-deletion-cost=10")\n'
            'kit.kubectl("scale rs shrink --replicas=3")\nlab.answer("victim", victim)', "the cheapest first"),
    },
    "pause_and_step": {
        "scaled before the pause": (
            'kit.kubectl("scale rs steps --replicas=3")\nlab.answer("paused", {"pods_while_paused": 1, '
            '"actions_of_the_step": 2})', "The order is the point"),
        "believed that three would come": (
            'kit.pause("replicaset")\nkit.kubectl("scale rs steps --replicas=3")\n'
            'while not any("create" in action for action in (kit.step("replicaset") or {"actions": ()})["actions"]):\n'
            '    pass\n'
            'kit.resume("replicaset")\nlab.answer("paused", {"pods_while_paused": 3, "actions_of_the_step": 2})',
            "who would have made them"),
        "counted three creates": (
            'kit.pause("replicaset")\nkit.kubectl("scale rs steps --replicas=3")\n'
            'while not any("create" in action for action in (kit.step("replicaset") or {"actions": ()})["actions"]):\n'
            '    pass\n'
            'kit.resume("replicaset")\nlab.answer("paused", {"pods_while_paused": 1, "actions_of_the_step": 3})',
            "count the creates"),
        "still paused": (
            'kit.pause("replicaset")\nkit.kubectl("scale rs steps --replicas=3")\n'
            'lab.answer("paused", {"pods_while_paused": 1, "actions_of_the_step": 2})',
            "Nothing in this cluster heals"),
    },
    "own_controller": {
        "Pods that belong to nobody": (
            CONTROLLER % ('return [Create("pods", self.new_pod(rs))] * missing', ""), "ownerReferences"),
        "never deletes": (
            CONTROLLER % ('return [Create("pods", self.new_pod(rs))] * missing', OWNED), "delete those beyond"),
        "does nothing": (CONTROLLER % ("return []", OWNED), "Nothing at all"),
        "was never started": ("...", "Run yours with"),
    },
}
