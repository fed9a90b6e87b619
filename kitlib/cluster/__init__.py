"""Where a lab runs: one `Cluster` interface, and what stands behind it.

Kubernetes itself has no word for this; kind, minikube and k3d are its neighbours.  A lab never asks
which backend it is on.  Here is the embedded one: a background process per named cluster.

    interface.py   what every backend can do
    embedded.py    start, find again and stop the background process
    process.py     that process: store, API, controllers, scheduler and nodes on one event loop
    home.py        where everything of a cluster lies on disk
    pki.py, kubeconfig.py    who may log in, and how
    kitapi.py      the /kit/ paths: what a learner may ask that no real API server offers
    find.py        which cluster is meant

This package wires all others together; only `cli`, `grading` and the notebook's own module may import it.
"""
