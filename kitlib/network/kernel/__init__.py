"""kube-proxy's rules in real kernels: one network namespace per node.

    shell.py        how a command runs inside a node
    restore.py      two states of iptables → what iptables-restore has to be told
    transaction.py  two states of a table → what nft has to be told
    conntrack.py    which of the kernel's memories of UDP connections are wrong now
    routes.py       routes that are known again as ours
    fabric.py       the ways to load balancers' addresses, between the nodes
    node.py         one node: bring its kernel to the wanted state, again and again if need be
    proxy.py        all nodes: informers in, rules out
    policies.py     the same for NetworkPolicies
    modes.py        which modes this machine's kernel can do, and why not

The states are computed by the pure functions beside this package; here is only what turns one into the other.
"""
