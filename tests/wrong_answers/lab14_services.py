"""Mistakes in lab14."""

from __future__ import annotations

from typing import Any


def flat(**changes: str) -> str:
    right = {"who the server sees": "the client", "two Pods, one node, one port": "both answer",
             "the address of a replacement": "another"}
    return f'lab.answer("flat", {right | {key.replace("_", " "): value for key, value in changes.items()}!r})'


def apply(*manifests: str) -> str:
    return "kit.kubectl('apply -f -', stdin='''" + "\n---\n".join(manifests) + "''')\n"


def service(name: str, selector: str, ports: str = "[{port: 80, targetPort: 8080}]", *more: str) -> str:
    extra = "".join(f"\n  {line}" for line in more)
    return (f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  selector: {{app: {selector}}}\n"
            f"  ports: {ports}{extra}\n")


REFUSED = 'lab.answer("without_endpoints", "refused")\n'
BY_ADDRESS = 'lab.answer("recognised_by", "its address")\n'
BASKET = service("basket", "web", "[{port: 80, targetPort: 8080}]", "sessionAffinity: ClientIP")


def patch(what: str, spec: str) -> str:
    return f"kit.kubectl({('patch ' + what + ' -p ' + repr(spec))!r})\n"


SELECTOR = patch("service gate", '{"spec": {"selector": {"app": "gate"}}}')
PORT = patch("service gate", '{"spec": {"ports": [{"port": 80, "targetPort": "http"}]}}')


def door(kind: str = "NodePort", policy: str = "Local", **changes: str) -> str:
    given: dict[str, str] = {"Cluster: the Pod sees": "the node", "Local: the Pod sees": "the caller",
                             "Local: a node without a Pod": "does not answer"}
    given |= {{"cluster": "Cluster: the Pod sees", "local": "Local: the Pod sees",
               "without": "Local: a node without a Pod"}[key]: value for key, value in changes.items()}
    policies = [f"externalTrafficPolicy: {policy}"] if kind != "ClusterIP" else []
    return f'lab.answer("door", {given!r})\n' + apply(service(
        "door", "door", "[{port: 80, targetPort: 8080}]", f"type: {kind}", *policies))


FRONT = apply(service("front", "web", "[{port: 80, targetPort: 8080}]", "type: LoadBalancer")) + (
    'kit.kubectl("wait --for=jsonpath={.status.loadBalancer.ingress} service/front --timeout=20s")\n'
    'parts = "{.spec.clusterIP} {.status.loadBalancer.ingress[0].ip} {.spec.ports[0].nodePort}"\n'
    'inside, outside, port = kit.kubectl(f"get service front -o jsonpath=\'{parts}\'", show=False).split()\n')


def crew(*, web: int = 1, count: int = 3, port_80: str = "does not answer", cluster_ip: str = "clusterIP: None",
         captain: str = "hostname: captain, subdomain: crew, ", labels: str = "{app: crew}") -> str:
    given: dict[str, Any] = {"web": web, "crew": count, "http://crew/": port_80}
    pod = (f"apiVersion: v1\nkind: Pod\nmetadata: {{name: captain, labels: {labels}}}\n"
           f"spec: {{{captain}terminationGracePeriodSeconds: 1, containers: [{{name: echo, image: kit/echo}}]}}\n")
    lines = [cluster_ip] if cluster_ip else []
    return (f'lab.answer("records", {given!r})\n'
            + apply(service("crew", "crew", "[{name: http, port: 8080}]", *lines), pod)
            + 'kit.kubectl("wait --for=condition=Ready pod/captain --timeout=30s")\n')


FULL = "web.lab14.svc.cluster.local"


def asked(**changes: Any) -> str:
    given: dict[str, Any] = {"web": [FULL], "web.lab14": ["web.lab14.lab14.svc.cluster.local", FULL],
                             FULL: f"{FULL}.lab14.svc.cluster.local", FULL + ".": FULL}
    names = {"web": "web", "short": "web.lab14", "full": FULL, "dot": FULL + "."}
    return f'lab.answer("asked", {given | {names[key]: value for key, value in changes.items()}!r})'


CNAME = 'lab.answer("record", "CNAME")\n'


def alias(target: str) -> str:
    return CNAME + f'kit.kubectl("create service externalname bank --external-name={target}")'


def coins(three: list[int], four: list[int], share: int = 25) -> str:
    return f'lab.answer("coins", {{"three Pods": {three}, "four Pods": {four}, "each of four gets": {share}}})'


THREE, FOUR = [33, 50, 100], [25, 33, 50, 100]
WALK = r"""
(pod, ip), (_, other), *_ = sorted(pods("web").items())
rules = kit.rules("iptables", service="web")
service = re.search(r"-A KUBE-SERVICES .*-j (KUBE-SVC-\S+)", rules)[1]
def sep(ip):
    return re.search(rf"-A (KUBE-SEP-\S+) .*--to-destination {ip}:8080", rules)[1]
def answer(chains, to, pod=pod):
    lab.answer("walk", {"pod": pod, "chains": chains, "arrives at": to})
"""


def modes(**changes: str) -> str:
    given = {"a process copies every byte": "userspace", "rules are asked one after the other": "iptables",
             "a load balancer inside the kernel": "ipvs", "one look into a map of verdicts": "nftables",
             "here": "userspace"}
    return f'lab.answer("modes", {given | {key.replace("_", " "): value for key, value in changes.items()}!r})'


WRONG: dict[str, dict[str, tuple[str, str]]] = {
    "predict_flat": {
        "the node translates": (flat(who_the_server_sees="its node"), "Whose address is on the packet then"),
        "ports collide": (flat().replace("both answer", "one fails"), "How many addresses do two Pods have"),
        "addresses are inherited": (flat(the_address_of_a_replacement="the same"), "A replacement is a new Pod"),
    },
    "cluster_ip": {
        "no targetPort": (apply(service("shop", "shop", "[{port: 80}]")), "it is about the numbers"),
        "the Deployment's neighbour": (apply(service("shop", "web")), "whom does it choose"),
        "a selector that finds nobody": (apply(service("shop", "shops")), "It looks for Pods by its selector"),
        "headless": (apply(service("shop", "shop", "[{port: 80, targetPort: 8080}]", "clusterIP: None")),
                     "makes it headless; that comes later"),
        "another name": (apply(service("shops", "shop")), "What did kubectl say to your command"),
    },
    "broken": {
        "it waits": (SELECTOR + PORT + 'lab.answer("without_endpoints", "timeout")', "What does a kernel say"),
        "one mistake left: the port": (REFUSED + SELECTOR, "A targetPort that is a word must be the *name*"),
        "one mistake left: the selector": (REFUSED + PORT, "letter by letter"),
        "the Pods were bent to the Service": (
            REFUSED + PORT + 'kit.kubectl("delete deployment gate")\n' + 'kit.kubectl("apply -f -", '
            'stdin=deployment("gate").replace(\'"app": "gate"\', \'"app": "gates"\'))', "Its Pods were fine"),
    },
    "sticky": {
        "by a cookie": (apply(BASKET) + 'lab.answer("recognised_by", "a cookie")',
                        "What of these stands on a *packet*"),
        "no affinity": (BY_ADDRESS + apply(service("basket", "web")), "knows two values"),
        "web itself": (BY_ADDRESS + patch("service web", '{"spec": {"sessionAffinity": "ClientIP"}}') + apply(BASKET)
                       + "\n", "Give web back what it had"),
        "no port": (BY_ADDRESS + apply(service("basket", "web", "[{port: 80}]", "sessionAffinity: ClientIP")),
                    "the same selector, the same ports"),
    },
    "node_port": {
        "Cluster shows the caller": (door(cluster="the caller"), "Answers must come back through it"),
        "Local shows the node": (door(local="the node"), "nothing has to find its way back"),
        "Local helps itself": (door(without="answers"), "nothing at home"),
        "the policy forgotten": (door(policy="Cluster"), "service.spec.externalTrafficPolicy"),
        "a ClusterIP": (door("ClusterIP"), "one of the types opens a port on each node"),
    },
    "balancer": {
        "a NodePort": (apply(service("front", "web", "[{port: 80, targetPort: 8080}]", "type: NodePort")),
                       "lists the types"),
        "only two ways": (FRONT + 'lab.answer("ways", [f"{inside}:80", f"{outside}:80"])', "a node's address"),
        "the node on port 80": (FRONT + 'lab.answer("ways", [f"{inside}:80", f"{nodes[home]}:80", f"{outside}:80"])',
                                "not every way has the same port"),
        "a Pod's address": (FRONT + 'lab.answer("ways", [f"{inside}:80", f"{nodes[home]}:{port}", f"{outside}:80", '
                            'list(pods("web").values())[0] + ":8080"])', "does not belong to the Service"),
    },
    "headless": {
        "one address": (crew(count=1), "if not all of its Pods'"),
        "all of web's Pods": (crew(web=3), "Choosing a Pod is kube-proxy's business"),
        "port 80": (crew(port_80="answers"), "nobody turns 80 into 8080"),
        "with an address": (crew(cluster_ip=""), "whose clusterIP *says* None"),
        "a captain without a subdomain": (crew(captain="hostname: captain, "), "Two fields of the Pod make the name"),
        "a captain of nobody": (crew(labels="{app: captain}"), "The Service finds him by his label"),
    },
    "search_path": {
        "cluster.local only": (asked(web=["web.cluster.local"]), "hang its first word on the name"),
        "the right one at once": (asked(short=[FULL]), "the first that exists ends it"),
        "full is full": (asked(full=FULL), "Count its dots"),
        "searched in spite of the dot": (asked(dot=f"{FULL}.lab14.svc.cluster.local"), "this name is complete"),
    },
    "alias": {
        "an address": (alias("vault.lab14.svc.cluster.local").replace("CNAME", "A"), "a name whose value is a name"),
        "a short name": (alias("vault"), "vault's *full* name"),
        "a proxy before vault": (CNAME + apply(service("bank", "vault")), "Make it a mere *name*"),
        "somebody else": (alias("web.lab14.svc.cluster.local"), "Whose name is the externalName"),
    },
    "coins": {
        "a third each": (coins([33, 33, 33], FOUR), "the last Pod would starve"),
        "upside down": (coins([100, 50, 33], FOUR), "What would the first rule leave"),
        "halves": (coins(THREE, [50, 50, 50, 100]), "The last takes all that come"),
        "an unfair share": (coins(THREE, FOUR, 33), "rule by rule, so that all get the *same*"),
    },
    "walk": {
        "straight to the Pod": (WALK + 'answer(["KUBE-SERVICES", sep(ip)], f"{ip}:8080")', "Each question has a chain"),
        "somebody else's chain": (WALK + 'answer(["KUBE-SERVICES", "KUBE-SVC-NPX46M4PTMTKRN6Y", sep(ip)], '
                                  'f"{ip}:8080")', "find the line with web's address"),
        "another Pod's chain": (WALK + 'answer(["KUBE-SERVICES", service, sep(other)], f"{ip}:8080")',
                                "whose DNAT rule names"),
        "still the Service's port": (WALK + 'answer(["KUBE-SERVICES", service, sep(ip)], f"{ip}:80")',
                                     "no longer on the packet"),
        "from the middle": (WALK + 'answer([service, sep(ip)], f"{ip}:8080")', "in which each Service has a line"),
        "no such Pod": (WALK + 'answer(["KUBE-SERVICES", service, sep(ip)], f"{ip}:8080", pod="web-1")',
                        "kubectl get pods -l app=web"),
    },
    "modes": {
        "iptables copies": (modes(a_process_copies_every_byte="iptables"), "stands in the way of every byte"),
        "ipvs is a list": (modes(rules_are_asked_one_after_the_other="ipvs"), "knows lists only"),
        "nftables is ipvs": (modes(a_load_balancer_inside_the_kernel="nftables"), "Virtual servers with real servers"),
        "ipvs is a map": (modes(one_look_into_a_map_of_verdicts="ipvs"), "Address and port go in"),
        "iptables here": (modes(here="iptables"), "needs root"),
    },
}
