"""Checks of lab14: Services and names (the talk's pages 87 to 95).

What a Service does is measured: who answered, and whom they saw calling.  What DNS is asked and where a packet goes is
worked out from this cluster, never from a list of right words.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.world import World

TITLE = "Services and names"
MINUTES = 90
NAMESPACE = "lab14"

SERVICES, DEPLOY = "services", "deployments.apps"
FLAT = {
    "who the server sees": (("the client", "its node"), "the client", "Page 88: every Pod reaches every Pod, without "
                            "translation. Whose address is on the packet then?"),
    "two Pods, one node, one port": (("both answer", "one fails"), "both answer", "A port belongs to an *address*. "
                                     "How many addresses do two Pods have?"),
    "the address of a replacement": (("the same", "another"), "another", "A replacement is a new Pod, with a new name "
                                     "and a new uid. Why would it get the dead one's address?"),
}
MODES = frozenset(("userspace", "iptables", "ipvs", "nftables"))
WORK = {
    "a process copies every byte": ("userspace", "In one mode kube-proxy itself stands in the way of every byte. Which "
                                    "one has a process in its name, nearly?"),
    "rules are asked one after the other": ("iptables", "One of the kernel's tools knows lists only: with 10,000 "
                                            "Services a packet may have to pass 10,000 rules."),
    "a load balancer inside the kernel": ("ipvs", "Virtual servers with real servers behind them: `ipvsadm` lists "
                                          "them, with a scheduler (rr)."),
    "one look into a map of verdicts": ("nftables", "Address and port go in, the name of a chain comes out, however "
                                        "many Services there are. Look for `vmap` or `map service-ips`."),
}


# -- looking ---------------------------------------------------------------------------------------------------------

def _service(world: World, name: str) -> dict[str, Any]:
    return world.find("Service", SERVICES, name, "What did kubectl say to your command? `kubectl get services` shows "
                      "what is there.")


def _names(world: World, app: str) -> set[str]:
    """The Pods that are ready, by their label."""
    return {pod["metadata"]["name"] for pod in world.pods(f"app={app}")
            if any((c["type"], c["status"]) == ("Ready", "True") for c in pod["status"].get("conditions") or ())}


def _endpoints(world: World, service: str) -> list[str]:
    slices = world.list("endpointslices.discovery.k8s.io", f"kubernetes.io/service-name={service}")
    return sorted(address for s in slices for e in s.get("endpoints") or ()
                  if e["conditions"].get("ready") is not False for address in e["addresses"])


def _client(world: World) -> None:
    if not world.eventually(lambda: "client" in {p["metadata"]["name"] for p in world.pods()}):
        raise Wrong("the Pod client is not there", "It is where questions come from: run the lab's first cells again.")


def _who(world: World, url: str, times: int = 6) -> set[str]:
    """Who answers one client, each time on a new connection; "" stands for nobody.

    Where the cluster's network is this machine's, the client is this process; else it is the Pod client.
    """
    client = "" if world.backend == "embedded" else "client"
    return {world.request(url, from_pod=client, seconds=3).pod for _ in range(times)}


def _leads(world: World, url: str, service: str, app: str) -> None:
    """The Service answers, and with every Pod of `app`; else says what is wrong with it."""
    _client(world)
    found = _service(world, service)
    if not world.eventually(lambda: _endpoints(world, service), within=4):
        raise Wrong(f"Service {service} has no endpoints", "It looks for Pods by its selector. Do its words stand "
                    "among the labels of the Pods (`kubectl get pods --show-labels`)?", expected={"app": app},
                    actual=found["spec"].get("selector"))
    seen = {world.eventually(lambda: world.request(url, from_pod="client", seconds=3).pod, within=3)}

    def everybody() -> bool:
        seen.update(_who(world, url, 3))
        return bool(seen >= (names := _names(world, app)) and names)

    if not world.eventually(everybody, within=6):
        ports = [{key: p.get(key) for key in ("port", "targetPort")} for p in found["spec"].get("ports") or ()]
        if not seen - {""}:
            raise Wrong(f"nobody answers at {url}", "The Service has endpoints, so it is about the numbers: `port` is "
                        "where the Service listens (a URL without a number means 80), `targetPort` where the Pods do "
                        "(8080).", expected=[{"port": 80, "targetPort": 8080}], actual=ports)
        raise Wrong(f"{url} is answered by other Pods than those of {app}", "Look at the selector: whom does it "
                    "choose?", expected=sorted(_names(world, app)), actual=sorted(seen - {""}))


# -- exercises -------------------------------------------------------------------------------------------------------

@exercise()
def predict_flat(world: World) -> None:
    """Predict what the flat network does"""
    given = world.answer("flat", {question: frozenset(choices) for question, (choices, _, _) in FLAT.items()})
    for question, (_, truth, hint) in FLAT.items():
        if given[question] != truth:
            raise Wrong(f"{question}: not {given[question]!r}", hint, actual=given[question])


@exercise(points=2)
def cluster_ip(world: World) -> None:
    """Service shop leads to every Pod of shop"""
    found = _service(world, "shop")
    if found["spec"].get("clusterIP") == "None":
        raise Wrong("Service shop has no address of its own", "`clusterIP: None` makes it headless; that comes later. "
                    "Here leave the line away (delete the Service first: an address is for life).", actual="None")
    _leads(world, "http://shop/", "shop", "shop")


@exercise(points=2)
def broken(world: World) -> None:
    """gate leads somewhere again, and only the Service was mended"""
    given = world.answer("without_endpoints", {"refused", "timeout", "no such name"})
    if given != "refused":
        raise Wrong(f"a Service without endpoints does not end in {given!r}", "The name is there, the address is "
                    "there, and yet nobody listens. What does a kernel say to a connection to such a port? "
                    "`kit.curl` has shown it.", actual=given)
    deployment = world.get(DEPLOY, "gate")
    labels = ((deployment or {}).get("spec", {}).get("template", {}).get("metadata", {}).get("labels"))
    if labels != {"app": "gate"}:
        raise Wrong("the Deployment gate was changed, or is gone", "Its Pods were fine. Run the cell that makes gate, "
                    "and mend the Service only.", expected={"app": "gate"}, actual=labels)
    spec = _service(world, "gate")["spec"]
    if spec.get("selector") != {"app": "gate"}:
        raise Wrong("gate still looks for the wrong Pods", "Hold its selector beside the labels of the Pods, letter by "
                    "letter.", expected={"app": "gate"}, actual=spec.get("selector"))
    if spec["ports"][0].get("targetPort") not in ("http", 8080):
        raise Wrong("gate has found its Pods and does not know their port", "A targetPort that is a word must be the "
                    "*name* of a port in the Pod. `kubectl get pod -l app=gate -o yaml`: how is it called there?",
                    actual=spec["ports"][0].get("targetPort"))
    _leads(world, "http://gate/", "gate", "gate")


@exercise(points=2)
def sticky(world: World) -> None:
    """A client of basket keeps its Pod; a client of web does not"""
    given = world.answer("recognised_by", {"its address", "a cookie", "its user"})
    if given != "its address":
        raise Wrong(f"a Service does not recognise a client by {given}", "A Service works on packets (layer 4). What "
                    "of these stands on a *packet*?", actual=given)
    if _service(world, "web")["spec"].get("sessionAffinity") != "None":
        raise Wrong("web is sticky now", "Give web back what it had (`sessionAffinity: None`): basket is a Service of "
                    "its own, before the same Pods.", expected="None", actual="ClientIP")
    affinity = _service(world, "basket")["spec"].get("sessionAffinity")
    _client(world)
    world.eventually(lambda: _who(world, "http://basket/", 1) - {""}, within=2)
    seen = _who(world, "http://basket/")
    if seen <= {""}:
        raise Wrong("nobody answers at http://basket/", "Compare it with web: the same selector, the same ports, and "
                    "one line more.")
    if len(seen) > 1:
        raise Wrong("the same client was answered by several Pods", "`kubectl explain service.spec.sessionAffinity` "
                    "knows two values.", expected="ClientIP", actual=affinity)


@exercise(points=2)
def node_port(world: World) -> None:
    """door opens on every node, and its Pod sees who knocks"""
    given = world.answer("door", {"Cluster: the Pod sees": {"the node", "the caller"},
                                  "Local: the Pod sees": {"the node", "the caller"},
                                  "Local: a node without a Pod": {"answers", "does not answer"}})
    if given["Cluster: the Pod sees"] != "the node":
        raise Wrong("with the policy Cluster the Pod does not see the caller", "The node that was addressed may send "
                    "the connection to another node's Pod. Answers must come back through it, so it puts its *own* "
                    "address on the packet.", actual=given["Cluster: the Pod sees"])
    if given["Local: the Pod sees"] != "the caller":
        raise Wrong("with the policy Local the Pod does not see the node", "The connection stays on the node, so "
                    "nothing has to find its way back.", actual=given["Local: the Pod sees"])
    if given["Local: a node without a Pod"] != "does not answer":
        raise Wrong("with the policy Local a node does not help itself elsewhere", "Local means local: who has "
                    "nothing at home has nothing to offer.", actual=given["Local: a node without a Pod"])
    spec = _service(world, "door")["spec"]
    if spec["type"] not in ("NodePort", "LoadBalancer") or not spec["ports"][0].get("nodePort"):
        raise Wrong("door is not open on the nodes", "`kubectl explain service.spec.type`: one of the types opens a "
                    "port on each node.", expected="NodePort", actual=spec["type"])
    nodes = {n["metadata"]["name"]: next(a["address"] for a in n["status"]["addresses"] if a["type"] == "InternalIP")
             for n in world.client.list("nodes")["items"]}
    home = next((p["spec"]["nodeName"] for p in world.pods("app=door") if p["metadata"]["name"] in
                 world.eventually(lambda: _names(world, "door"))), "")
    if not home:
        raise Wrong("the Pod of door is not ready", "Run the cell that makes door again.")
    url = "http://{}:" + str(spec["ports"][0]["nodePort"]) + "/?format=json"
    answer = world.eventually(lambda: (a := world.request(url.format(nodes[home]), seconds=3)).ok and a)
    if not answer:
        raise Wrong("the node of the Pod does not answer", "Is targetPort 8080, and the selector app=door?",
                    expected=url.format(nodes[home]), actual=spec["ports"])
    if answer.json().get("client") in nodes.values():
        raise Wrong("the Pod sees a node, not the caller", "`kubectl explain service.spec.externalTrafficPolicy`.",
                    expected="Local", actual=spec.get("externalTrafficPolicy"))
    elsewhere = next((address for name, address in nodes.items() if name != home), "")
    if elsewhere and world.request(url.format(elsewhere), seconds=1).ok:
        raise Wrong("a node without the Pod answers, too", "Then the connection has left the node: the policy is not "
                    "Local.", actual=spec.get("externalTrafficPolicy"))


@exercise(points=2)
def balancer(world: World) -> None:
    """front has three kinds of addresses, and all three answer"""
    spec, status = (_service(world, "front").get(part, {}) for part in ("spec", "status"))
    if spec["type"] != "LoadBalancer":
        raise Wrong("front is not of the type LoadBalancer", "`kubectl create service --help` lists the types; or "
                    "write `type:` into the manifest.", expected="LoadBalancer", actual=spec["type"])
    given = world.answer("ways", [str])
    ingress = world.eventually(lambda: _service(world, "front")["status"].get("loadBalancer", {}).get("ingress"))
    if not ingress:
        raise Wrong("nobody has given front an address from outside", "`kubectl describe service front` says who is "
                    "at work on it. A cluster without a load balancer's controller waits for ever.", actual=status)
    nodes = {a["address"] for n in world.client.list("nodes")["items"] for a in n["status"]["addresses"]}
    port = spec["ports"][0]
    kinds: dict[str, set[str]] = {
        "a cluster address": {f"{spec['clusterIP']}:{port['port']}"},
        "a node's address": {f"{node}:{port.get('nodePort')}" for node in nodes},
        "the load balancer's address": {f"{i['ip']}:{port['port']}" for i in ingress if i.get("ip")}}
    ways = {way.removeprefix("http://").rstrip("/") for way in given}
    for kind, right in kinds.items():
        if not ways & right:
            raise Wrong(f"your list lacks {kind}", "A LoadBalancer is a NodePort as well, and a NodePort is a "
                        "ClusterIP as well: one Service, three ways in. Each is `address:port`, and not every way has "
                        "the same port: `kubectl get service front` shows PORT:NODEPORT.", actual=sorted(given))
    strange = ways.difference(*kinds.values())
    if strange:
        raise Wrong(f"{min(strange)} is no address of front", "A Pod's address does not belong to the Service: it goes "
                    "with the Pod.", actual=sorted(given))
    for way in sorted(ways):
        url = f"http://{way}/"
        if not world.eventually(lambda url=url: world.request(url, seconds=2).ok):  # type: ignore[misc]
            raise Wrong(f"nobody answers at {way}", "Has front endpoints, and is its targetPort 8080?", actual=way)


@exercise(points=2)
def headless(world: World) -> None:
    """crew is all its Pods, and the captain has a name"""
    given = world.answer("records", {"web": int, "crew": int, "http://crew/": {"answers", "does not answer"}})
    if given["web"] != 1:
        raise Wrong(f"the name web has not {given['web']} addresses", "It has a ClusterIP, and that is all a client "
                    "learns. Choosing a Pod is kube-proxy's business.", actual=given["web"])
    if given["crew"] != 3:
        raise Wrong(f"the name crew has not {given['crew']} addresses", "No address of its own: so what can DNS say, "
                    "if not all of its Pods'? (Count before the captain comes aboard.)", actual=given["crew"])
    if given["http://crew/"] != "does not answer":
        raise Wrong("nobody listens on port 80 of crew", "Without a proxy nobody turns 80 into 8080: you dial the Pods "
                    "themselves.", actual=given["http://crew/"])
    if _service(world, "crew")["spec"].get("clusterIP") != "None":
        raise Wrong("crew has an address of its own", "Headless is a Service whose clusterIP *says* None. (It cannot "
                    "be changed later: delete it and create it anew.)", expected="None",
                    actual=_service(world, "crew")["spec"].get("clusterIP"))
    captain = world.get("pods", "captain")
    if captain is None:
        raise Wrong("there is no Pod captain", "It is a Pod of its own, beside the Deployment.")
    _client(world)
    answer = world.eventually(lambda: (a := world.request("http://captain.crew:8080/", from_pod="client", seconds=3)).ok
                              and a, within=8)
    if not answer:
        spec, labels = captain["spec"], captain["metadata"].get("labels") or {}
        if labels.get("app") != "crew":
            raise Wrong("the captain is not one of the crew", "The Service finds him by his label, like everybody.",
                        expected={"app": "crew"}, actual=labels)
        raise Wrong("captain.crew has no address", "Two fields of the Pod make the name: `hostname` is the first word, "
                    "`subdomain` the second (the name of the headless Service). They are read when the Pod is made.",
                    expected={"hostname": "captain", "subdomain": "crew"},
                    actual={key: spec.get(key) for key in ("hostname", "subdomain")})


@exercise(points=2)
def search_path(world: World) -> None:
    """Predict which names a resolver asks for"""
    from kitlib.traffic.network import Network

    given = world.answer("asked", {"web": [str], "web.lab14": [str], "web.lab14.svc.cluster.local": str,
                                   "web.lab14.svc.cluster.local.": str})
    network = Network(world.client, world.namespace)
    for name in ("web", "web.lab14"):
        truth = [t.name.rstrip(".") for t in network.look_up(name).tries]
        mine = [text.rstrip(".") for text in given[name]]
        if mine != truth:
            raise Wrong(f"a Pod that asks for {name!r} does not ask like that",
                        "The words of `search` are hung on, one after the other, and the first that exists ends it." if
                        set(mine) & set(truth) else "Take the `search` line of the Pod's resolv.conf, and hang its "
                        "first word on the name.", actual=given[name])
    full = "web.lab14.svc.cluster.local"
    if given[full].rstrip(".") != network.conf().candidates(full)[0]:
        raise Wrong("the full name is not asked for first", "Count its dots, and look at `ndots`: fewer dots than "
                    "that, and the search path comes *first*, even for a name that is complete.", actual=given[full])
    if given[full + "."].rstrip(".") != full:
        raise Wrong("a dot at the end ends the search", "It says: this name is complete. Nothing is hung on.",
                    actual=given[full + "."])


@exercise(points=2)
def alias(world: World) -> None:
    """bank is another name for vault"""
    given = world.answer("record", {"A", "CNAME", "SRV", "PTR"})
    if given != "CNAME":
        raise Wrong(f"an alias is not a record of the type {given}", "`kit.dig(\"bank\")` prints it: a name whose "
                    "value is a name.", actual=given)
    spec = _service(world, "bank")["spec"]
    if spec.get("type") != "ExternalName":
        raise Wrong("bank is a Service with Pods of its own behind it", "It works, as long as vault lives here. Make "
                    "it a mere *name*: the type ExternalName has no selector, no address and no proxy.",
                    expected="ExternalName", actual=spec.get("type"))
    _client(world)
    if not world.eventually(lambda: _who(world, "http://bank/", 1) - {""}, within=4):
        raise Wrong("bank leads nowhere", "The target of an alias is looked up as it stands, without any search path: "
                    "write vault's *full* name, without http:// and without a port.",
                    expected="vault.lab14.svc.cluster.local", actual=spec.get("externalName"))
    if not _who(world, "http://bank/", 1) <= _names(world, "vault"):
        raise Wrong("somebody else than vault answers at bank", "Whose name is the externalName?",
                    actual=spec.get("externalName"))


@exercise()
def coins(world: World) -> None:
    """Predict kube-proxy's coins"""
    given = world.answer("coins", {"three Pods": [int], "four Pods": [int], "each of four gets": int})
    for question, truth in (("three Pods", [33, 50, 100]), ("four Pods", [25, 33, 50, 100])):
        if len(given[question]) == len(truth) and len(set(given[question])) == 1:
            raise Wrong(f"{question}: the rules are asked one after the other", "The second rule is reached only by "
                        "packets that the first has let go. If all had the same chance, the last Pod would starve, and "
                        "some packets would find no rule at all.", actual=given[question])
        if given[question] == truth[::-1]:
            raise Wrong(f"{question}: the other way round", "What would the first rule leave for the others if it took "
                        "every packet?", actual=given[question])
        if len(given[question]) != len(truth) or any(abs(a - b) > 1 for a, b in zip(given[question], truth,
                                                                                    strict=True)):
            raise Wrong(f"{question}: these are not the chances", "One rule for each Pod. The last takes all that "
                        "come; the one before it is left with two Pods to choose from, so half; and so on.",
                        actual=given[question])
    if abs(given["each of four gets"] - 25) > 1:
        raise Wrong("the Pods do not get that share", "Different chances, rule by rule, so that all get the *same*: "
                    "¼; ¾ · ⅓; ¾ · ⅔ · ½; …", actual=given["each of four gets"])


def _chain(prefix: str, endpoint: str = "") -> str:
    """How kube-proxy calls a chain of Service web: by a hash of whom it is about (pkg/proxy/iptables)."""
    digest = hashlib.sha256(f"{NAMESPACE}/webtcp{endpoint}".encode()).digest()
    return f"KUBE-{prefix}-{base64.b32encode(digest).decode()[:16]}"


@exercise(points=3)
def walk(world: World) -> None:
    """Walk through the iptables rules as a packet to web"""
    given = world.answer("walk", {"pod": str, "chains": [str], "arrives at": str})
    pods = {p["metadata"]["name"]: p["status"].get("podIP", "") for p in world.pods("app=web")}
    if given["pod"] not in pods:
        raise Wrong(f"{given['pod']!r} is none of the Pods behind web now", "`kubectl get pods -l app=web -o wide`.",
                    expected=sorted(pods), actual=given["pod"])
    arrives = f"{pods[given['pod']]}:8080"
    truth = ["KUBE-SERVICES", _chain("SVC"), _chain("SEP", arrives)]
    if not given["chains"] or given["chains"][0] != "KUBE-SERVICES":
        raise Wrong("the walk does not begin there", "Every packet first goes through the chain in which each Service "
                    "has a line.", actual=given["chains"])
    if len(given["chains"]) != len(truth):
        raise Wrong(f"{len(given['chains'])} chains, and it goes through another number of them", "Which Service? "
                    "Which endpoint? Each question has a chain, and each chain's rule ends with `-j` and the next.",
                    expected=len(truth), actual=given["chains"])
    if given["chains"][1] != truth[1]:
        raise Wrong("that is the chain of another Service", "In KUBE-SERVICES find the line with web's address (-d) "
                    "and port. Where does it jump to?", actual=given["chains"][1])
    if given["chains"][2] != truth[2]:
        raise Wrong("that chain leads to another Pod", "Find the KUBE-SEP chain whose DNAT rule names the address of "
                    "*your* Pod.", actual=given["chains"][2])
    if given["arrives at"] != arrives:
        raise Wrong("it does not arrive there", "The last rule says `--to-destination`: address and port. web's own "
                    "address is no longer on the packet then.", actual=given["arrives at"])


@exercise(points=2)
def modes(world: World) -> None:
    """Tell kube-proxy's modes apart"""
    given = world.answer("modes", {**dict.fromkeys(WORK, MODES), "here": MODES})
    for how, (truth, hint) in WORK.items():
        if given[how] != truth:
            raise Wrong(f"{how}: not in the mode {given[how]}", hint, actual=given[how])
    real = _mode_here(world)
    if given["here"] != real:
        raise Wrong(f"in this cluster the mode is not {given['here']}", "A mode that needs the kernel's tables needs "
                    "root. Has this cluster a *process* called proxy?" if world.backend == "embedded" else
                    "`kubectl -n kube-system get configmap kube-proxy -o yaml`.", actual=given["here"])


def _mode_here(world: World) -> str:
    if world.backend == "embedded":
        return str(world.kit("status")["proxyMode"])
    config = ((world.get("configmaps", "kube-proxy", "kube-system") or {}).get("data") or {}).get("config.conf", "")
    return next((line.partition(":")[2].strip().strip('"') for line in config.splitlines()
                 if line.startswith("mode:")), "") or "iptables"
