"""A packet's walk through a node's rules, for each of kube-proxy's modes.

    packet.py      what a packet is, what a step is, and how chance is played
    iptables.py    the rules read as text, table after table
    nftables.py    the same for a table of nft
    ipvs.py        few rules, then the kernel's load balancer
    userspace.py   a process in between
    walk.py        one walk with its odds, whatever the mode

Nothing here needs privileges: what a rule does is worked out from its text, so a walk works on any machine.  That the
kernel does the same is tested by laying its own trace of a packet beside the walk (tests/test_kernel_trace.py).
"""
