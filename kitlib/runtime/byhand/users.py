"""Users in a user namespace: root inside, nobody in particular outside.

    /proc/PID/uid_map      0      1000     1          inside 0 is outside 1000, and this goes for 1 number
                        inside  outside  count

Who has just made a user namespace has every capability *in it*, and is called 65534 ("nobody") until somebody writes
this map.  An ordinary user may write one line, with the own number; the real root may map whomever it likes.

Source: user_namespaces(7).
"""

from __future__ import annotations

import os

from kitlib.runtime.process import rootfs, syscalls

NOBODY = 65534
_PR_SET_DUMPABLE = 4


def map_myself(user: int, group: int) -> None:
    """An ordinary user, from inside: 0 here is `user` outside."""
    rootfs.map_user(user, group, 0, 0)


def map_from_outside(pid: int) -> None:
    """The real root, from outside: 0 there is `nobody` here, so that root of a box is not root of the machine."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(f"0 {NOBODY} 1")


def become_root() -> None:
    """Be user 0 of this user namespace.  /proc would hide us for having changed; we have nothing to hide."""
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    syscalls.prctl(_PR_SET_DUMPABLE, 1)
