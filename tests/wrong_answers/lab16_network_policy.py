"""Mistakes in lab16.  Most are the solution's own cell with one thing wrong in it, as it happens to people."""

from __future__ import annotations

from wrong_answers import Answers

ANSWERS = Answers("lab16_network_policy")
but = ANSWERS.but


WEB = "    - podSelector: {matchLabels: {app: web}}\n"
NS_AND_POD = ("    - namespaceSelector: {matchLabels: {team: ops}}\n"
              "      podSelector: {matchLabels: {app: monitor}}\n")
TO_DNS = ("    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}\n"
          "      podSelector: {matchLabels: {k8s-app: kube-dns}}\n")
DNS_RULE = "  - to:\n" + TO_DNS + "    ports:\n    - {port: 53, protocol: UDP}\n    - {port: 53, protocol: TCP}\n"
TO_WEB = "  - to: [{podSelector: {matchLabels: {app: web}}}]\n    ports: [{port: 8080}]\n"
BLOCK = "    - ipBlock:\n        cidr: 0.0.0.0/0\n        except: [{impostor}/32]\n"
VISITOR = "    - podSelector: {matchLabels: {app: visitor}}\n"

WRONG = {
    "predict_open": {
        "somebody surely closed it": (
            but("predict_open", ('"visitor → web:8080": "passes"', '"visitor → web:8080": "times out"')),
            "Nobody has forbidden anything yet"),
        "a database has a door": (
            but("predict_open", ('"visitor → db:5432": "passes"', '"visitor → db:5432": "is refused"')),
            "no door of its own"),
        "a namespace is a wall": (
            but("predict_open", ('namespace → db:5432": "passes"', 'namespace → db:5432": "times out"')),
            "a room for names, not a wall"),
        "nobody listens, so it times out": (
            but("predict_open", ('"is refused"', '"times out"')), "says at once that nobody is there"),
    },
    "default_deny": {
        "only web is closed": (
            but("default_deny", ("podSelector: {}", "podSelector: {matchLabels: {app: web}}")),
            "also those that come tomorrow"),
        "the other direction": (
            but("default_deny", ("[Ingress]", "[Egress]")), "In is one, out is the other"),
        "a rule without conditions": (
            but("default_deny", ("[Ingress]", "[Ingress]\n  ingress:\n  - {}")), "To allow nothing, have no rule"),
        "both directions": (but("default_deny", ("[Ingress]", "[Ingress, Egress]")), "Only the way in, for now"),
    },
    "by_label": {
        "selectors the wrong way round": (
            but("by_label", ("{app: api}", "{app: X}"), ("{app: web}", "{app: api}"), ("{app: X}", "{app: web}")),
            "`from` is who may knock"),
        "all ports": (
            but("by_label", ("    ports:\n    - {port: 8080, protocol: TCP}\n", "")), "that is none of web's business"),
        "everybody of the namespace": (
            but("by_label", (WEB, "    - podSelector: {}\n")), "Who shall it be?"),
        "a label that nobody has": (
            but("by_label", (WEB, WEB.replace("app: web", "role: web"))), "knocks on api's door in vain"),
    },
    "pods_port": {
        "the Service's port": (but("pods_port", ("port: sql", "port: 80")), "what arrives at the Pod has the Pod's"),
        "UDP": (but("pods_port", ("protocol: TCP", "protocol: UDP")), "The port has a name, too"),
        "from everybody": (
            but("pods_port", ("  - from:\n    - podSelector: {matchLabels: {app: api}}\n    ports:", "  - ports:")),
            "without it, anybody may"),
        "predicted 80": (but("pods_port", ('"db_port", "5432"', '"db_port", "80"')), "what a prediction is for"),
        "from web as well": (
            but("pods_port", (WEB.replace("web", "api"), WEB.replace("web", "api") + WEB)),
            "web is to ask api, not the database"),
    },
    "and_or": {
        "two dashes": (
            but("and_or", (NS_AND_POD, NS_AND_POD.replace("      podSelector", "    - podSelector"))),
            "Count the dashes"),
        "the whole namespace": (
            but("and_or", (NS_AND_POD, NS_AND_POD.partition("\n")[0] + "\n")), "is *every* Pod of those namespaces"),
        "only the label": (
            but("and_or", (NS_AND_POD, "    - podSelector: {matchLabels: {app: monitor}}\n")),
            "looks in the policy's own namespace"),
        "monitors of everywhere": (
            but("and_or", ("namespaceSelector: {matchLabels: {team: ops}}", "namespaceSelector: {}")),
            "anybody may give a Pod that label"),
        "a label that the namespace has not": (
            but("and_or", ("{team: ops}", "{name: lab16-ops}")), "No namespace has the label"),
        "the other port, too": (but("and_or", ("port: 9090", "port: 8080, endPort: 9090")), "8080 is for web"),
    },
    "additive": {
        "the last one wins": (
            but("additive", ('"web → api:8080": "passes"', '"web → api:8080": "times out"')), "the *union*"),
        "more policies, more doors": (
            but("additive", ('"visitor → api:8080": "times out"', '"visitor → api:8080": "passes"')),
            "opens no door that has no rule"),
        "it selects nobody": (but("additive", ("{app: api}", "{app: apis}")), "and so it proves nothing"),
        "it allows everybody": (
            but("additive", ("[Ingress]", "[Ingress]\n  ingress:\n  - {}")), "policyTypes Ingress, and no rule"),
    },
    "cidr": {
        "nothing excepted": (but("cidr", ("        except: [{impostor}/32]\n", "")), "The block has no `except`"),
        "only the impostor": (
            but("cidr", (BLOCK, "    - ipBlock:\n        cidr: {impostor}/32\n")), "An `ipBlock` *allows*"),
        "not isolated for egress": (but("cidr", ("[Egress]", "[Ingress]")), "nobody looks at it"),
        "two blocks": (
            but("cidr", (BLOCK, BLOCK + "    - ipBlock:\n        cidr: 127.0.0.0/8\n    - ipBlock:\n        "
                                        "cidr: 10.0.0.0/8\n")), "another block, or rule, may give it back"),
        "everybody is limited": (
            but("cidr", ("podSelector: {{matchLabels: {{app: courier}}}}", "podSelector: {{}}")),
            "Only courier is to be limited"),
    },
    "dns_trap": {
        "not mended": (but("dns_trap", (DNS_RULE, "")), "No rule leads there yet"),
        "port 53 of web": (
            but("dns_trap", (TO_WEB, TO_WEB.replace("[{port: 8080}]", "[{port: 8080}, {port: 53, protocol: UDP}]")),
                (DNS_RULE, "")), "port 53 *of web*"),
        "kube-dns of this namespace": (
            but("dns_trap", (TO_DNS, "    - podSelector: {matchLabels: {k8s-app: kube-dns}}\n")), "name it, too"),
        "TCP only": (but("dns_trap", ("    - {port: 53, protocol: UDP}\n", "")), "names are asked by UDP first"),
        "everything is open": (but("dns_trap", (DNS_RULE, "  - {}\n")), "clerk gets further than to web"),
        "any DNS server": (
            but("dns_trap", ("  - to:\n" + TO_DNS + "    ports:", "  - ports:")), "names can carry secrets out"),
        "a wrong memory": (
            but("dns_trap", ('"by name": "finds no such host"', '"by name": "passes"')), "that is not what happened"),
    },
    "detective": {
        "only the label is mended": (but("detective", ("port: 8080", "port: 80")), "The right guest at the wrong door"),
        "only the port is mended": (but("detective", ("app: visitor", "app: vistor")), "letter by letter"),
        "everybody of the namespace": (
            but("detective", (VISITOR, "    - podSelector: {}\n")), "Now everybody of lab16 gets in"),
        "the whole world": (
            but("detective", ("  - from:\n" + VISITOR + "    ports:", "  - ports:")), "leave what is right"),
        "the wrong Pod": (but("detective", ("{app: till}", "{app: tills}")), "selects nobody called till"),
    },
    "shop": {
        "the way out forgotten": (
            but("shop", ("[Ingress, Egress]", "[Ingress]"),
                ("podSelector: {}\n  policyTypes: [Egress]",
                 "podSelector: {matchLabels: {app: front}}\n  policyTypes: [Egress]")),
            "a thief would carry the data out"),
        "nobody may ask for names": (but("shop", ("port: 53", "port: 5353")), "The trap of exercise 8"),
        "front goes straight to the store": (
            but("shop", ('link("back", "store"))', 'link("back", "store"), '
                         'link("front", "store").replace("-out", "-out2").replace("-in", "-in2"))')),
            "front may speak to back, not to store"),
        "only one key": (but("shop", ("name: {source}-out", "name: out")), "It takes two keys"),
        "any monitor": (but("shop", ("namespaceSelector: {matchLabels: {team: ops}}", "namespaceSelector: {}")),
                        "Remember exercise 5"),
        "the intern instead": (but("shop", ("{app: monitor}", "{app: intern}")), "The door of the shop"),
    },
}
