"""Mistakes in lab00."""

SHORT = "lab.answer('short', {'configmaps': 'cm', 'namespaces': 'ns', 'services': 'svc'})"
BRIEF = """!kubectl run brief --image=kit/echo
!kubectl wait --for=condition=Ready pod/brief --timeout=15s
"""
DELETE = "!kubectl delete pod brief --grace-period=1\n"

WRONG = {
    "count_nodes": {
        "the header counts as a node": ('lab.answer("nodes", 4)', "a header that does not count"),
        "a text instead of a number": ('lab.answer("nodes", "three")', "form that the exercise shows"),
        "nothing was answered": ("...", "Replace the `...`"),
    },
    "first_object": {
        "another name": ("!kubectl create configmap hallo --from-literal=greeting='Hello, world'", "makes one"),
        "key and value swapped": ("!kubectl create configmap hello --from-literal=world=greeting", "the KEY is what"),
        "greets somebody else": ("!kubectl create configmap hello --from-literal=greeting='Hello, Kubernetes!'",
                                 "Say hello to the world"),
    },
    "first_pod": {
        "an image that does not exist": (
            '!kubectl run hello --image=kit/ecco\nlab.answer("address", "10.0.0.1")', "describe pod hello"),
        "the node's address": (
            "!kubectl run hello --image=kit/echo\n!kubectl wait --for=condition=Ready pod/hello --timeout=15s\n"
            'lab.answer("address", kit.kubectl("get pod hello -o jsonpath={.status.hostIP}"))', "has a column IP"),
        "another name for the Pod": ("!kubectl run echo --image=kit/echo", "starts one"),
    },
    "short_names": {
        "not short": (SHORT.replace("'ns'", "'namespace'"), "The column SHORTNAMES"),
        "somebody else's": (SHORT.replace("'svc'", "'sa'"), "line that begins with services"),
        "made up": (SHORT.replace("'cm'", "'conf'"), "line that begins with configmaps"),
    },
    "read_log": {
        "the usual port": ('lab.answer("port", 80)', "this one does not"),
        "as text": ('lab.answer("port", "8080")', "form that the exercise shows"),
        "another number": ('lab.answer("port", 443)', "The first line of"),
    },
    "labels": {
        "an annotation": ("!kubectl annotate pod hello mood=good", "notes for readers"),
        "in another mood": ("!kubectl label pod hello mood=bad", "--overwrite"),
        "key and value swapped": ("!kubectl label pod hello good=mood", "NAME KEY=VALUE"),
    },
    "break_it": {
        "hoped that it comes back": (BRIEF + DELETE + 'lab.answer("comes_back", "yes")', "who else would want it"),
        "not deleted": (BRIEF + 'lab.answer("comes_back", "no")', "kubectl delete pod brief"),
        "only predicted": ('lab.answer("comes_back", "no")', "what never ran"),
    },
}
