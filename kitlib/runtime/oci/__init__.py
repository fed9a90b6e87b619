"""The `oci` runtime: Pods as real containers, by the programs that a production node uses.

    kubelet ── cri.py ──▶ client.py ── unix socket, JSON lines ──▶ daemon.py            containerd's role
                                                                    │
    network.py   a network namespace for every node, and the      ◀─┤
                 fabric between them                                │
    cni.py       the Pod's interface, by the CNI's plugins        ◀─┤  bridge, host-local, loopback, portmap
    rootfs.py    layers become a root, by overlayfs               ◀─┤
    spec.py      a container as the OCI runtime-spec has it       ◀─┤  config.json
    runner.py    runs it                                          ◀─┤  runc or crun
    cgroups.py   what it uses, whether it ran out of memory       ◀─┘

It is the process runtime's daemon (kitlib.runtime.process) with another way to start a container; everything around
that, from logs to exec sessions, is the same code.

What belongs to a cluster stays in the cluster's own: the daemon begins by leaving the host's mount and network
namespaces, so the host's mounts, links, addresses, routes and rules are never touched.  Only cgroups have no such
namespace: a cluster's lie below /kit/ID.
"""
