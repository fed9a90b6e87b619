"""Containers by hand: a process that becomes a container, one step at a time, while one looks on.

    notebook ──JSON lines──▶ agent                        the box: an ordinary process at first
               unshare uts ──▶ namespaces.unshare()       its own hostname
               unshare pid, fork ──▶ agent's child        number 1 of its own process list
               mount_proc ──▶ root.mount_proc()           `ps` believes it
               new_root, pivot_root ──▶ root.py           files of its own
               join ──▶ namespaces.join()                 what another box has: half a Pod
    limits.py  from outside: a cgroup                     how much it may have
    wire.py    from outside: two ends of a cable          whom it can talk to

Nothing here hides what it does: each step is one system call or a few, in a page of code.  What the kernel does not
allow is told in a sentence (`refused.py`) and noted, and all else goes on: a machine like Binder's allows none of it.

    box.py     what the notebook holds      agent.py   the loop in the box
"""
