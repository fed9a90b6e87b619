"""Containers on slides: `!figure namespaces web` draws with the living figure's code, `!figure inits` two trees.

nothing    a process like any other          web     after unshare user and uts
alone      with a process list of its own    pod     two boxes that share what page 67 says
"""

from __future__ import annotations

from kitlib.views import theme
from kitlib.views.namespaces_svg import ABOUT, Member, render

_MACHINE = {kind: 4026531834 + number for number, kind in enumerate(ABOUT)}
_NEXT = 4026532100


def _member(name: str, number: int, /, **own: int) -> Member:
    """own: kind → which of the new namespaces; the others are the machine's."""
    new = {kind: _NEXT + which for kind, which in own.items()}
    return Member(name, f"process {number}", {**_MACHINE, **new})


_NOTEBOOK = _member("notebook", 2101)
_STORIES = {
    "nothing": (_NOTEBOOK, _member("sample", 2107)),
    "web": (_NOTEBOOK, _member("web", 2110, user=1, uts=2)),
    "alone": (_NOTEBOOK, _member("web", 2110, user=1, uts=2), _member("alone", 2124, user=3, pid=4, mnt=5)),
    "pod": (_NOTEBOOK, _member("app", 2140, user=6, net=7, uts=8, ipc=9, mnt=10, pid=11),
            _member("helper", 2144, user=6, net=7, uts=8, ipc=9, mnt=12, pid=13)),
}


def namespaces(story: str = "pod") -> str:
    """Raises ValueError for a story that there is not."""
    if story not in _STORIES:
        raise ValueError(f"there is {', '.join(_STORIES)}")
    return render(_STORIES[story])


WIDTH, HEIGHT = 980, 330
_SYSTEM = ("system container", "1 init", ("web", "clock", "sshd"), "a service dies: init starts it again",
           "outside, nobody has noticed", "kube-controller-manager")
_APPLICATION = ("application container", "1 web", (), "web dies: the container has ended",
                "outside, somebody counts it, and starts another one", "kubelet")


def inits() -> str:
    """A system container and an application container, side by side (the talk's pages 31 and 32)."""
    parts = [_tree(20, *_SYSTEM), _tree(510, *_APPLICATION)]
    spoken = " ".join(f"{name}: process {first}, below it {', '.join(below) or 'nobody'}; {inside}; {outside}."
                      for name, first, below, inside, outside, _ in (_SYSTEM, _APPLICATION))
    return theme.svg(WIDTH, HEIGHT, "".join(parts), title="System and application container", description=spoken)


def _tree(x: float, name: str, first: str, below: tuple[str, ...], inside: str, outside: str, role: str) -> str:
    colour = theme.colour(role)
    parts = [theme.text(x, 30, name, size=18, weight=700), theme.box(x, 44, 450, 214, stroke=colour, thick=4),
             theme.box(x + 160, 66, 130, 44, stroke=colour, thick=3),
             theme.text(x + 225, 94, first, size=17, anchor="middle", weight=700, cls="mono")]
    for number, service in enumerate(below):
        left = x + 25 + 140 * number
        parts.append(f'<path d="M {x + 225:g} 110 L {left + 60:g} 156" class="line" stroke-width="2"/>')
        parts.append(theme.box(left, 156, 120, 44, stroke="var(--kit-line)"))
        parts.append(theme.text(left + 60, 184, f"{7 + number} {service}", size=15, anchor="middle", cls="mono"))
    parts.append(theme.text(x + 225, 240, inside, size=15, anchor="middle"))
    parts.append(theme.text(x + 225, 288, outside, size=15, anchor="middle", cls="dim"))
    return "".join(parts)
