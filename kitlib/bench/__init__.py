"""`kit bench`: the figures we promise, measured on this machine.

    machine.py   on what it was measured: a figure without its machine says nothing
    figures.py   a figure, its unit, and what was promised
    cluster.py   up, memory, scale, check: what a learner feels
    node.py      a Pod's start, a hundred Pods, kill -9
    traffic.py   a Service: bytes, requests, names; stream.py, questions.py: its clients
    rules.py     kube-proxy's rules: computed, written into a kernel, connected through; connects.py: by what
    images/      images and containers, beside dive and the Docker Engine
    api.py       requests per second through TLS, from another process
    load.py      that process; wrk.py: or wrk, where it is installed
    watchers.py  another: a thousand watchers and a writer
"""
