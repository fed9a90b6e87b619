"""Mistakes in lab07."""

from __future__ import annotations


def twice(**changes: str) -> str:
    right = {"create": "refused", "apply": "unchanged", "replace": "replaced", "delete": "refused"}
    return f'lab.answer("twice", {right | changes!r})'


def orders(*, replicas: int = 3, env: str = "GREETING=hello", label: str = "deployment shop team=blue") -> str:
    return (f'kit.kubectl("create deployment shop --image=kit/echo:v1")\n'
            f'kit.kubectl("scale deployment shop --replicas={replicas}")\n'
            + (f'kit.kubectl("set env deployment/shop {env}")\n' if env else "") + f'kit.kubectl("label {label}")\n')


def store(verb: str = "apply", *, labels: str = "{team: blue}", env: str = "{name: GREETING, value: hello}",
          replicas: int = 3, name: str = "store") -> str:
    return f"""kit.kubectl("{verb} -f -", stdin='''
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {labels}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: store}}}}
  template:
    metadata: {{labels: {{app: store}}}}
    spec:
      containers: [{{name: echo, image: "kit/echo:v1", env: [{env}]}}]
''')
"""


TODAY = """today = '''
apiVersion: v1
kind: ConfigMap
metadata: {name: menu}
data: {soup: pumpkin, bread: rye, salad: potato}
'''
"""


def menu(**changes: str) -> str:
    right = {"soup": "pumpkin", "bread": "rye", "salad": "potato", "tea": "gone", "cake": "apple"}
    return TODAY + f'lab.answer("menu", {right | changes!r})'


NAIVE = 'lab.answer("naive", 1)\n'
PLAIN = 'kit.kubectl("apply -f -", stdin=crowd("v2"))\n'
FORGET = 'kit.kubectl("apply set-last-applied -f -", stdin=crowd("v2"))\n'

WISH = """wish = '''
apiVersion: apps/v1
kind: Deployment
metadata: {name: site}
spec:
  template:
    spec:
      containers:
      - name: echo
        image: kit/echo:v2
        env: [{name: GREETING, value: hi}]
'''
less = wish.replace("        image: kit/echo:v2\\n", "")
"""


def conflict(apply: str, **changes: object) -> str:
    given = {"with": "platform", "field": "image", "env_was_written": False} | changes
    return WISH + f'kit.kubectl("apply --server-side {apply}\nlab.answer("conflict", {given!r})'


LESS = '--field-manager=app -f -", stdin=less)'
DROPPED = 'lab.answer("dropped_first", "removed")\n'


def drift(objects: str, unseen: str = "unseen", after: str = 'kit.kubectl("apply -f -", stdin=garden)') -> str:
    return (r'found = re.findall(r"^\+\+\+ \S*?(\w+)\.lab07\.(\w+)", diff(garden), re.MULTILINE)' "\n"
            'found = [f"{kind}/{name}".lower() for kind, name in found]\n'
            'settings = json.loads(kit.kubectl("get configmap settings -o jsonpath={.data}"))\n'
            'unseen = (settings.keys() - {"water", "light"}).pop()\n'
            f'lab.answer("drift", {{"objects": {objects}, "unseen": {unseen}}})\n{after}')


AFTER = 'lab.answer("after_apply", ["gnome", "lily", "rose", "tulip"])\n'
PRUNE = ('kit.kubectl("apply --prune -l part-of=bed --prune-allowlist=core/v1/ConfigMap -f -", '
         'stdin=bed("rose", "lily"))')


def heals(then: str, **changes: str) -> str:
    right = {"a Pod is deleted": "by itself", "the ReplicaSet is deleted": "by itself",
             "the ReplicaSet is scaled to 0": "by itself", "a container's process is killed": "by itself",
             "the Deployment is scaled to 0": "apply again", "the Deployment is deleted": "apply again"}
    return f'lab.answer("heals", {right | changes!r})\n{then}'


REPLACED = """uid = "get rs -l app=heal -o jsonpath={.items[*].metadata.uid}"
old = kit.kubectl(uid)
kit.kubectl("delete rs -l app=heal")
while not (new := kit.kubectl(uid)):
    pass
lab.answer("replicaset", {"old": old, "new": %s})
"""

OLD = 'old = kit.kubectl("get rs -l app=page -o jsonpath={.items[0].metadata.name}")\n'
HOTFIX = 'lab.answer("hotfix", {"in the next Pod": "gone", "old ReplicaSet": old})\n'
V2 = 'kit.kubectl("apply -f -", stdin=page.replace(\'v1"\', \'v2"\'))\n'

WRONG = {
    "predict_twice": {
        "create is idempotent": (twice(create="unchanged"), "make a new one"),
        "apply works once": (twice(apply="refused"), "describes a state"),
        "replace compares": (twice(replace="unchanged"), "does not compare"),
        "what is gone can be deleted": (twice(delete="unchanged"), "took it away"),
    },
    "imperative": {
        "two of three": (orders(replicas=2), "What says `spec.replicas`"),
        "no greeting": (orders(env=""), "`kubectl set env --help`"),
        "the label is on the Pods": (orders(label="pods -l app=shop team=blue"), "not on its Pods"),
        "a bare Pod": ('kit.kubectl("run shop --image=kit/echo:v1 --env=GREETING=hello")', "`kubectl run` makes a Pod"),
        "from a file already": (store(name="shop"), "Here give orders"),
    },
    "declarative": {
        "create forgets": (store("create"), "forgets the file at once"),
        "one less than shop": (store(replicas=2), "What says `spec.replicas`"),
        "no label": (store(labels="{}"), "not on its Pods"),
        "the greeting has another value": (store(env="{name: GREETING, value: hallo}"), "does not greet"),
        "mended by hand": (store(labels="{}") + 'kit.kubectl("label deployment store team=blue")',
                           "Then it is an order again"),
    },
    "three_way": {
        "apply never removes": (menu(tea="green"), "remembers that it was *yours*"),
        "apply removes all that is not in the file": (menu(cake="gone"), "does not touch what it does not know"),
        "the colleague wins": (menu(bread="white"), "apply mends drift"),
        "what was deleted stays so": (menu(salad="gone"), "puts back what the file names"),
    },
    "no_memory": {
        "only applied": ('kit.kubectl("apply -f -", stdin=clean)', "give it that memory first"),
        "deleted and made anew": (
            'kit.kubectl("delete configmap legacy")\nkit.kubectl("apply -f -", stdin=clean)', "Its uid has changed"),
        "replaced, and forgotten": ('kit.kubectl("replace -f -", stdin=clean)', "nobody remembers a file"),
        "remembers the old file": (
            'as_it_was = kit.kubectl("get configmap legacy -o yaml", show=False)\n'
            'kit.kubectl("replace -f -", stdin=clean)\n'
            'kit.kubectl("apply set-last-applied --create-annotation -f -", stdin=as_it_was)',
            "what is remembered is not the new file"),
    },
    "hand_over": {
        "believed in four": ('lab.answer("naive", 4)', "what is removed gets its *default*"),
        "just applied": (NAIVE + PLAIN, "make it forget *first*"),
        "wrote the four into the file": (
            NAIVE + 'kit.kubectl("apply -f -", stdin=crowd("v2", "replicas: 4"))', "Tomorrow the scaler says seven"),
        "applied and scaled back": (
            NAIVE + PLAIN + 'kit.kubectl("scale deployment crowd --replicas=4")', "your users were there"),
        "changed only the memory": (NAIVE + FORGET, "changes only the memory"),
    },
    "conflict": {
        "forced": (conflict('--force-conflicts --field-manager=app -f -", stdin=wish)'), "without being asked"),
        "gave no name": (conflict('-f -", stdin=less)'), "say who you are"),
        "gave up the greeting, too": (
            conflict('--field-manager=app -f -", stdin=less.replace("        env: [{name: GREETING, value: hi}]\\n", '
                     '""))'), "The other one stays in your file"),
        "believed that half was stored": (conflict(LESS, env_was_written=True), "stored whole or not at all"),
        "blamed the API server": (conflict(LESS, **{"with": "kube-apiserver"}), "names the other one"),
    },
    "transfer": {
        "dropped before anybody held it": (
            DROPPED + 'apply_as("platform", board(color="blue"))', "First both hold it"),
        "both hold it for ever": (DROPPED + 'apply_as("app", board(size="3"))', "gives it up"),
        "app takes the color, too": (
            DROPPED + 'apply_as("app", board(color="blue", size="3"))\napply_as("platform", "apiVersion: v1\\nkind: '
            'ConfigMap\\nmetadata: {name: board}\\n")', "Leave out of app's file"),
        "a field without owner stays": (
            'lab.answer("dropped_first", "kept")', "these and no others are mine"),
        "tried another value at once": (
            DROPPED + 'try:\n    apply_as("app", board(size="5"))\nexcept kit.KitError as refusal:\n    print(refusal)',
            "That is step one"),
    },
    "drift": {
        "blames all three": (drift('["configmap/settings", "deployment/fence", "service/gate"]'), "You blame one"),
        "saw only one": (drift("found[:1]"), "is not in your list"),
        "found and not mended": (drift("found", after=""), "Found is not mended"),
        "the unseen is what diff showed": (drift("found", '"water"'), "compares only what the file names"),
    },
    "prune": {
        "apply looks around": (
            f'lab.answer("after_apply", ["gnome", "lily", "rose"])\n{PRUNE}', "looks only at the objects in the file"),
        "plain apply": (AFTER + 'kit.kubectl("apply -f -", stdin=bed("rose", "lily"))', "tulip still blooms"),
        "all with the label deleted": (
            AFTER + 'kit.kubectl("delete configmap -l part-of=bed")\n'
            'kit.kubectl("apply -f -", stdin=bed("rose", "lily"))', "`delete -l` takes all"),
        "the old file again": (AFTER + 'kit.kubectl("apply -f -", stdin=bed("rose", "tulip"))', "in the new file"),
    },
    "self_healing": {
        "somebody heals the number": (
            heals(REPLACED % "new", **{"the Deployment is scaled to 0": "by itself"}),
            "an accident from a wish"),
        "nobody makes ReplicaSets": (
            heals(REPLACED % "new", **{"the ReplicaSet is deleted": "apply again"}),
            "Who made the ReplicaSet"),
        "it is the same one": (heals(REPLACED % "old"), "Nothing came back to life"),
        "nothing was deleted": (
            heals('uid = kit.kubectl("get rs -l app=heal -o jsonpath={.items[0].metadata.uid}")\n'
                  'lab.answer("replicaset", {"old": "the old one", "new": uid})'), "Note the uid first"),
    },
    "immutable": {
        "the hotfix travels": (
            OLD + V2 + 'lab.answer("hotfix", {"in the next Pod": "there", "old ReplicaSet": old})',
            "one container's* own layer"),
        "patched a Pod": (
            OLD + 'kit.kubectl("set image " + kit.kubectl("get pods -l app=page -o name").split()[0] + '
                  '" echo=kit/echo:v2")\n' + HOTFIX, "You changed a Pod, not the wish"),
        "an order past the file": (
            OLD + 'kit.kubectl("set image deployment/page echo=kit/echo:v2")\n' + HOTFIX, "takes it back"),
        "deleted and made anew": (
            OLD + 'kit.kubectl("delete deployment page")\n' + V2 + HOTFIX, "Was page deleted"),
        "the new ReplicaSet's name": (
            OLD + V2 + 'kit.kubectl("rollout status deployment/page --timeout=30s")\n'
            'old = kit.kubectl("get rs -l app=page -o jsonpath={.items[?(@.spec.replicas==2)].metadata.name}")\n'
            + HOTFIX, "the old one wants 0"),
    },
}
