"""The userspace proxy: a process that listens on the Services' addresses and copies bytes to their Pods.

As kube-proxy did it until Kubernetes 1.2, and the only mode that needs no privilege.  `main.py` is the process,
`tcp.py` and `udp.py` copy, `balance.py` chooses, `health.py` answers load balancers, `client.py` is how the cluster
process drives it.

A Service without endpoints has no listener, so a connection to it is refused, as kube-proxy's REJECT rules do it.
"""
