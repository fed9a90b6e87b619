"""The `process` runtime: Pods as real processes on any Linux machine, without privileges.

A container runtime has three parts, and so has this one:

    kubelet ── cri.py ──▶ client.py ── unix socket, JSON lines ──▶ daemon.py            containerd's role
                                                                   │ clone
    launch.py       runc's role: from clone to exec          ◀─────┤
     ├─ rootfs.py   a private root, where namespaces are allowed   │
     ├─ prootview.py a private root by proot, where they are not   │
     ├─ hostview.py a private directory, where proot is not either │
     └─ filter.py   which system calls stop and ask                │
    notifier.py     answers them: the Pod's own address      ◀─────┘

The daemon is a small process of its own (standard library only, one thread), because Pods must outlive the cluster
process, and because a fork of a small process is a cheap one.
"""
