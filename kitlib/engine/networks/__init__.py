"""Networks of the embedded engine.

    manager.py    Networks: create, connect, …; who is in which network, with which address
    pools.py      which addresses there are
    wiring.py     how a container gets into a network: by bridges (runtime oci), or by its address alone (process)
    names.py      what a name means to a container: the DNS server at 127.0.0.11
    outside.py    the way out of the bridges
    ports.py      published ports: what docker-proxy does
"""
