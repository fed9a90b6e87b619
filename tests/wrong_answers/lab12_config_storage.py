"""Mistakes in lab12."""

from __future__ import annotations


def pod(name: str, *, env: str = "", mounts: str = "", volumes: str = "", image: str = "busybox",
        command: str = 'command: [sleep, "3600"]', more: str = "") -> str:
    return f"""kit.kubectl("apply -f -", stdin='''
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  terminationGracePeriodSeconds: 0
  {more}
  containers:
  - name: main
    image: {image}
    {command}
    {env}
    {mounts}
  {volumes}
''')
"""


def reach(**changes: str) -> str:
    right = {"env": "old", "argument": "old", "file": "new", "subPath": "old", "projected": "new"}
    return f'lab.answer("reach", {right | changes!r})'


SHOP = 'kit.kubectl("create configmap shop --from-literal=greeting=hello --from-literal=currency=yen")\n'
GREETING = "{name: GREETING, valueFrom: {configMapKeyRef: {name: shop, key: greeting}}}"
BULK = "envFrom: [{prefix: SHOP_, configMapRef: {name: shop}}]"

REASON = 'lab.answer("reason", "CreateContainerConfigError")\n'
LIMIT = """kit.kubectl("patch configmap limits -p '{\\"data\\": {\\"limit\\": \\"10\\"}}'")\n"""

PAGE = 'kit.kubectl("create configmap page --from-literal=index.html=\'<h1>version 1</h1>\'")\n'
CHANGE = ('kit.kubectl("wait --for=condition=Ready pod/web --timeout=30s")\n'
          """kit.kubectl('''patch configmap page -p '{"data": {"index.html": "<h1>version 2</h1>"}}' ''')\n""")
VOLUME = "volumes: [{name: page, configMap: {name: page}}]"


def web(mount: str) -> str:
    return pod("web", image="nginx", command="", mounts=f"volumeMounts: [{mount}]", volumes=VOLUME)


WHOLE = "{name: page, mountPath: /usr/share/nginx/html}"


def paint(more: str = "immutable: true") -> str:
    return f"""kit.kubectl("apply -f -", stdin='''
apiVersion: v1
kind: ConfigMap
metadata: {{name: paint-v2}}
data: {{color: red}}
{more}
''')
"""


NAMED = ('kit.kubectl("apply -f -", stdin=painter.replace("paint-v1", "paint-v2"))\n'
         'kit.kubectl("rollout status deployment/painter --timeout=30s")\n')


def looks(password: str, **changes: str) -> str:
    right = {"kubectl get secret -o yaml": "seen", "kubectl describe secret": "hidden",
             "kubectl get pod -o yaml": "hidden", "kubectl exec POD -- printenv": "seen"}
    return ('import base64\nencoded = kit.kubectl("get secret vault -o jsonpath={.data.password}")\n'
            f'lab.answer("looks", {right | changes!r})\nlab.answer("password", {password})')


DECODED = "base64.b64decode(encoded).decode()"
ALLOWED = 'lab.answer("predict", "allowed")\n'
LOOT = "env: [{name: LOOT, valueFrom: {secretKeyRef: {name: vault, key: password}}}]"


def spy(command: str = "[printenv, LOOT]") -> str:
    return (pod("spy", command=f"command: {command}", env=LOOT, more="restartPolicy: Never")
            .replace("- name: main", "- name: spy").replace('"apply -f -"', 'f"create {AS_CLERK} -f -"')
            + 'kit.kubectl("wait --for=jsonpath={.status.phase}=Succeeded pod/spy --timeout=30s")\n')


def papers(**changes: str) -> str:
    """sources, some of them replaced (or left out: "")."""
    sources = {"sky": "configMap: {name: weather}", "password": "secret: {name: vault}",
               "labels": "downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}",
               "token": "serviceAccountToken: {path: token, audience: vault.example, expirationSeconds: 600}"}
    chosen = ", ".join(f"{{{text}}}" for text in (sources | changes).values() if text)
    return pod("papers", mounts="volumeMounts: [{name: papers, mountPath: /papers}]",
               volumes=f"volumes: [{{name: papers, projected: {{sources: [{chosen}]}}}}]")


def places(**changes: str) -> str:
    right = {"own layer, container restarts": "gone", "emptyDir, container restarts": "there",
             "claim, container restarts": "there", "own layer, new Pod": "gone", "emptyDir, new Pod": "gone",
             "claim, new Pod": "there"}
    return f'lab.answer("places", {right | changes!r})'


POD = """def make(name, storage_class, more="", mode="ReadWriteOnce"):
    kit.kubectl("apply -f -", stdin=f'''
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  storageClassName: {storage_class}
  {more}
  accessModes: [{mode}]
  resources: {{requests: {{storage: 10Mi}}}}
''')

def start(name, claim, script="sleep 3600"):
    kit.kubectl("apply -f -", stdin=pod(name, claim, script))
    kit.kubectl(f"wait --for=condition=Ready pod/{name} --timeout=30s")

"""
WRITE = 'start("author", "notes", "echo all to the cat > /data/will; sleep 3600")\n'
GONE = 'kit.kubectl("delete pod author")\n'
NODE = 'lab.answer("node", kit.kubectl("get pod heir -o jsonpath={.spec.nodeName}"))\n'
BEFORE = 'make("notes", "standard")\nlab.answer("before", "Pending")\n'

AFTER = 'lab.answer("after", {"keep": "Released", "standard": "deleted"})\n'
FIND = ('volume = next(line.split()[0] for line in kit.kubectl("get pv --no-headers").splitlines() '
        'if "lab12/diary " in line)\n')
FREE = """kit.kubectl(f"patch pv {volume} --type=merge -p '{{\\"spec\\": {{\\"claimRef\\": null}}}}'")\n"""
AGAIN = 'make("diary-again", "keep", f"volumeName: {volume}")\n'

WRONG = {
    "predict_reach": {
        "the environment is live": (reach(env="new"), "Who could change it in a process that runs"),
        "arguments are live": (reach(argument="new"), "filled in before the container starts"),
        "files are copies": (reach(file="old"), "keeps the directory of a ConfigMap volume up to date"),
        "a subPath is a file like any other": (reach(subPath="new"), "mounts *one file*"),
    },
    "as_env": {
        "written into the Pod": (SHOP + pod("shop", env=f"env: [{{name: GREETING, value: hello}}]\n    {BULK}"),
                                 "the ConfigMap is decoration"),
        "without the prefix": (
            SHOP + pod("shop", env=f"env: [{GREETING}]\n    envFrom: [{{configMapRef: {{name: shop}}}}]"),
            "stands beside `configMapRef`"),
        "another key": (SHOP + pod("shop", env=f"env: [{GREETING.replace('key: greeting', 'key: hello')}]"),
                        "was it made?"),
        "a third currency": (SHOP.replace("yen", "yuan") + pod("shop", env=f"env: [{GREETING}]\n    {BULK}"),
                             "--from-literal=KEY=VALUE"),
    },
    "missing_key": {
        "another reason": ('lab.answer("reason", "CrashLoopBackOff")\n' + LIMIT, "column STATUS"),
        "made anew": (
            REASON + LIMIT + 'kit.kubectl("delete pod broken --now")\n'
            + pod("broken", env="env: [{name: LIMIT, valueFrom: {configMapKeyRef: {name: limits, key: limit}}}]"),
            "broken is another Pod now"),
        "only waited": (REASON, "which object, which key"),
    },
    "live_page": {
        "a subPath": (
            PAGE + web("{name: page, mountPath: /usr/share/nginx/html/index.html, subPath: index.html}") + CHANGE,
            "mounted by its subPath"),
        "mounted beside": (PAGE + web("{name: page, mountPath: /usr/share/nginx/pages}") + CHANGE,
                           "It looks into /usr/share/nginx/html"),
        "not changed": (PAGE + web(WHOLE), "shall say version 2"),
        "the file has another name": (
            PAGE.replace("index.html=", "index.htm=") + web(WHOLE), "The key becomes the file's name"),
    },
    "immutable_config": {
        "not immutable": (paint("") + NAMED, "changed by anybody"),
        "an order past the ConfigMap": (
            paint() + 'kit.kubectl("set env deployment/painter COLOR-")\n'
            'kit.kubectl("set env deployment/painter COLOR=red")', "puts a literal there"),
        "only a new ConfigMap": (paint(), "who has to name it"),
        "the old one repainted": (
            'kit.kubectl("delete configmap paint-v1")\n'
            'kit.kubectl("create configmap paint-v1 --from-literal=color=red")\n'
            + paint() + NAMED, "now nobody can go back"),
    },
    "secret_hides": {
        "base64 is a lock": (looks(DECODED, **{"kubectl get secret -o yaml": "hidden"}), "only a spelling"),
        "the Pod's manifest tells": (looks(DECODED, **{"kubectl get pod -o yaml": "seen"}), "a *reference*"),
        "not decoded": (looks("encoded"), "no key is needed"),
        "guessed": (looks('"sesame"'), "`.data.password`"),
    },
    "clerk": {
        "the Secret is safe": (spy() + 'lab.answer("predict", "refused")', "with whose rights"),
        "gave the clerk the right": (
            ALLOWED + 'kit.kubectl("create role reader --verb=get --resource=secrets")\n'
            'kit.kubectl("create rolebinding reader --role=reader --serviceaccount=lab12:clerk")\n' + spy(),
            "That would be no trick"),
        "the spy keeps silent": (ALLOWED + spy('["true"]'), "that prints it and ends"),
        "took the clerk's word for it": (ALLOWED + spy() + 'lab.answer("stolen", "hunter2")', "what the spy found"),
    },
    "papers": {
        "a token for everybody": (papers(token="serviceAccountToken: {path: token, expirationSeconds: 600}"),
                                  "worth nothing elsewhere"),
        "a token for an hour": (papers(token="serviceAccountToken: {path: token, audience: vault.example}"),
                                "lives longer than ten minutes"),
        "no labels": (papers(labels=""), "does not follow the Pod's labels"),
        "no password": (papers(password=""), "A key becomes a file of its name"),
        "the name instead of the labels": (
            papers(labels="downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.name}}]}"),
            "fieldPath metadata.labels"),
    },
    "three_places": {
        "a container is restarted with its files": (places(**{"own layer, container restarts": "there"}),
                                                    "a *new* container"),
        "an emptyDir is the container's": (places(**{"emptyDir, container restarts": "gone"}), "belongs to the Pod"),
        "an emptyDir waits for the next Pod": (places(**{"emptyDir, new Pod": "there"}), "exactly as long as its Pod"),
        "a claim is the Pod's": (places(**{"claim, new Pod": "gone"}), "only borrowed it"),
    },
    "claim": {
        "bound at once": (POD + 'make("notes", "standard")\nlab.answer("before", "Bound")\n' + WRITE + GONE
                          + 'start("heir", "notes")\n' + NODE, "nobody knows where the Pod will run"),
        "no such class": (POD + 'make("notes", "fast")\nlab.answer("before", "Pending")\n', "Is there such a class"),
        "for many nodes": (
            POD + 'make("notes", "standard", mode="ReadWriteMany")\nlab.answer("before", "Pending")\n',
            "once *a node*"),
        "the author lives": (POD + BEFORE + WRITE + 'start("heir", "notes")\n' + NODE, "outlives its author"),
        "an emptyDir of the same name": (
            POD + BEFORE + WRITE + GONE + pod("heir", mounts="volumeMounts: [{name: data, mountPath: /data}]",
                                              volumes="volumes: [{name: data, emptyDir: {}}]") + NODE,
            "is another (empty) place"),
    },
    "retain": {
        "anybody may have it": (POD + AFTER.replace("Released", "Available"), "nobody throws it away"),
        "standard keeps, too": (POD + AFTER.replace("deleted", "Released"), "column RECLAIMPOLICY"),
        "some volume": (POD + AFTER + 'make("diary-again", "keep")\nstart("archivist", "diary-again")',
                        "unless it says which"),
        "not set free": (POD + AFTER + FIND + AGAIN, "names the claim that is gone"),
        "threw the volume away": (POD + AFTER + FIND + 'kit.kubectl(f"delete pv {volume}")\n', "set it free"),
    },
}
