"""Mistakes in lab00."""

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
}
