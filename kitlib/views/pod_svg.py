"""A Pod's anatomy (the talk's pages 66 and 67), drawn from the object itself: what is shared and what is not.

    ┌ Pod duo ───────────────────────────── Running ┐
    │ one address · one hostname · one IPC           │   what all containers share
    │ ┌ init ────┐ ┌ sidecar ─┐ ┌ web ─────────────┐ │   in the order in which they are started
    │ │ own files│ │ own files│ │ own files        │ │
    │ └───╲──────┘ └────│─────┘ └──╱───────────────┘ │
    │      ╰────── ( volume ) ────╯                  │   the only files that two of them see
    └────────────────────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kitlib.trace.record import containers
from kitlib.views import theme

WIDTH = 980
PAD, GAP = 24, 14
STRIP_TOP, STRIP, LINE = 56, 38, 18
# One look for each volume, so that lines can be told apart without colour, too.
LOOKS = (("#0072b2", ""), ("#d55e00", "7 4"), ("#009e73", "2 4"), ("#cc79a7", "10 3 2 3"), ("#e69f00", "4 2"))
ROLES = {"init": "init container", "sidecar": "sidecar", "main": "container", "debug": "ephemeral container"}
SERVICE_ACCOUNT = "kube-api-access-"


def roles(pod: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(role, container) in the order of their lives."""
    spec = pod["spec"]
    found = [("sidecar" if c.get("restartPolicy") == "Always" else "init", c) for c in spec.get("initContainers") or ()]
    found += [("main", c) for c in spec.get("containers") or ()]
    return found + [("debug", c) for c in spec.get("ephemeralContainers") or ()]


def volumes(pod: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, kind) of the volumes that somebody wrote into the manifest (not the ServiceAccount's token)."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if not volume["name"].startswith(SERVICE_ACCOUNT):
            kind = next((key for key in volume if key != "name"), "emptyDir")
            source = volume.get(kind) or {}
            what = source.get("name") or source.get("secretName") or source.get("claimName") or source.get("path") or ""
            found.append((volume["name"], f"{kind} {what}".strip()))
    return found


def mounts(container: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """(path, volume, read-only) without the ServiceAccount's token."""
    return [(m["mountPath"], m["name"], bool(m.get("readOnly"))) for m in container.get("volumeMounts") or ()
            if not m["name"].startswith(SERVICE_ACCOUNT)]


def shares(pod: Mapping[str, Any]) -> list[str]:
    """What all containers of the Pod have in common, in words."""
    spec, status = pod["spec"], pod.get("status") or {}
    address = status.get("podIP") or "not yet known"
    found = [f"one address: {address}", f"one hostname: {spec.get('hostname') or pod['metadata']['name']}", "one IPC"]
    if spec.get("shareProcessNamespace"):
        found.append("one list of processes (process 1: pause)")
    return found


def _strips(pod: Mapping[str, Any]) -> list[list[str]]:
    """The same in lines of the figure: the processes get one of their own."""
    words = shares(pod)
    return [words[:3], words[3:]] if words[3:] else [words]


def facts(pod: Mapping[str, Any], role: str, container: Mapping[str, Any]) -> list[str]:
    """What is a container's own, line by line."""
    lines = [container.get("image", "")]
    ports = [str(p["containerPort"]) for p in container.get("ports") or ()]
    if ports:
        lines.append(f"says it listens on {', '.join(ports)}")
    probes = [kind for kind in ("startup", "readiness", "liveness") if container.get(f"{kind}Probe")]
    if probes:
        lines.append(f"probes: {', '.join(probes)}")
    hooks = [hook for hook in ("postStart", "preStop") if (container.get("lifecycle") or {}).get(hook)]
    if hooks:
        lines.append(f"hooks: {', '.join(hooks)}")
    lines.append("own files")
    if not pod["spec"].get("shareProcessNamespace"):
        target = container.get("targetContainerName") if role == "debug" else ""
        lines.append(f"sees the processes of {target}" if target else "own process numbers")
    return lines


def state_colour(state: str) -> str:
    word = state.partition(" ")[0]
    role = {"ready": "Running", "running": "Running", "waiting": "Pending"}.get(word, "gone")
    if word == "exited":
        role = "Succeeded" if state.endswith(" 0") else "Failed"
    return theme.colour(role)


def render(pod: Mapping[str, Any]) -> str:
    """The figure as a self-contained SVG."""
    cast, stores, states = roles(pod), volumes(pod), containers(pod)
    rows = max(len(facts(pod, role, c)) + len(mounts(c)) for role, c in cast)
    box_height = 68 + LINE * rows
    top = STRIP_TOP + STRIP * len(_strips(pod)) + 14
    bottom = top + box_height
    height = bottom + (142 if stores else 40)
    width = (WIDTH - 2 * PAD - 2 * GAP - GAP * (len(cast) - 1)) / len(cast)
    parts = [_frame(pod, height)]
    stored = {name: _store_place(index, len(stores), bottom + 56) for index, (name, _) in enumerate(stores)}
    for index, (role, container) in enumerate(cast):
        x = PAD + GAP + index * (width + GAP)
        parts.append(_wires(container, x, width, bottom, stored, [name for name, _ in stores]))
        state = states.get(container["name"], "waiting")
        parts.append(_container(pod, role, container, state, (x, top, width, box_height)))
    parts += [_store(stored[name], name, kind, LOOKS[i % len(LOOKS)]) for i, (name, kind) in enumerate(stores)]
    name = pod["metadata"]["name"]
    return theme.svg(WIDTH, height, "".join(parts), title=f"Anatomy of Pod {name}", description=describe(pod))


def _frame(pod: Mapping[str, Any], height: float) -> str:
    meta, status = pod["metadata"], pod.get("status") or {}
    phase = "Terminating" if meta.get("deletionTimestamp") else status.get("phase") or "Pending"
    node = pod["spec"].get("nodeName") or "no node yet"
    colour = theme.colour(phase)
    parts = [theme.box(PAD / 2, 12, WIDTH - PAD, height - 24, stroke=colour, thick=2.5, radius=14),
             theme.text(PAD + GAP, 40, f"Pod {meta['name']}", size=17, weight=700),
             theme.text(WIDTH - PAD - GAP, 40, f"{phase} on {node}", size=14, anchor="end", weight=700)]
    for number, words in enumerate(_strips(pod)):
        y = STRIP_TOP + STRIP * number
        parts.append(f'<rect x="{PAD + GAP}" y="{y}" width="{WIDTH - 2 * PAD - 2 * GAP}" height="30" rx="15" '
                     f'fill="{theme.colour("kube-apiserver")}" fill-opacity="0.16" '
                     f'stroke="{theme.colour("kube-apiserver")}"/>')
        parts.append(theme.text(WIDTH / 2, y + 20, "shared: " + "  ·  ".join(words), size=13, anchor="middle"))
    return "".join(parts)


def _container(pod: Mapping[str, Any], role: str, container: Mapping[str, Any], state: str,
               place: tuple[float, float, float, float]) -> str:
    x, top, width, height = place
    limit = max(8, int((width - 20) / 6.6))
    colour = state_colour(state)
    dashes = ' stroke-dasharray="6 4"' if role in ("init", "debug") else ""
    parts = [f'<rect x="{x:g}" y="{top}" width="{width:g}" height="{height:g}" rx="8" class="bg" '
             f'stroke="{colour}" stroke-width="2"{dashes}/>',
             theme.text(x + 10, top + 21, theme.shorten(container["name"], limit - 2), size=14, weight=700),
             theme.text(x + 10, top + 38, theme.shorten(f"{ROLES[role]}", limit), size=11, cls="dim"),
             f'<circle cx="{x + 15:g}" cy="{top + 51}" r="5" fill="{colour}"/>',
             theme.text(x + 26, top + 55, theme.shorten(state, limit - 2), size=12)]
    y = top + 58
    for line in facts(pod, role, container):
        y += LINE
        own = line.startswith("own ")
        parts.append(theme.text(x + 10, y, theme.shorten(line, limit), size=12, cls="" if own else "dim"))
    for path, volume, readonly in mounts(container):
        y += LINE
        text = f" is {volume}" + (", ro" if readonly else "")
        parts.append(theme.text(x + 10, y, theme.shorten(path, max(6, limit - len(text))) + text, size=12, weight=700))
    return "".join(parts)


def _store_place(index: int, count: int, y: float) -> tuple[float, float]:
    share = (WIDTH - 2 * PAD - 2 * GAP) / count
    return PAD + GAP + share * (index + 0.5), y


def _store(place: tuple[float, float], name: str, kind: str, look: tuple[str, str]) -> str:
    """A volume, as the drum that disks have always been drawn as."""
    x, y = place
    colour, dashes = look
    stroke = f'stroke="{colour}" stroke-width="2"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
    return (f'<path d="M {x - 80:g} {y:g} v 44 a 80 9 0 0 0 160 0 v -44" class="box" {stroke}/>'
            f'<ellipse cx="{x:g}" cy="{y:g}" rx="80" ry="9" class="box" {stroke}/>'
            + theme.text(x, y + 26, theme.shorten(name, 22), size=13, anchor="middle", weight=700)
            + theme.text(x, y + 43, theme.shorten(kind, 24), size=11, anchor="middle", cls="dim"))


def _wires(container: Mapping[str, Any], x: float, width: float, bottom: float,
           stored: Mapping[str, tuple[float, float]], order: list[str]) -> str:
    parts = []
    used = [volume for _, volume, _ in mounts(container) if volume in stored]
    for index, volume in enumerate(used):
        colour, dashes = LOOKS[order.index(volume) % len(LOOKS)]
        start = x + width * (index + 1) / (len(used) + 1)
        end_x, end_y = stored[volume]
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        parts.append(f'<path d="M {start:g} {bottom:g} C {start:g} {bottom + 34:g}, {end_x:g} {bottom + 14:g}, '
                     f'{end_x:g} {end_y - 9:g}" fill="none" stroke="{colour}" stroke-width="2.5"{dash}/>')
    return "".join(parts)


def describe(pod: Mapping[str, Any]) -> str:
    """The figure in words: its alternative text, and what a terminal shows."""
    states, status = containers(pod), pod.get("status") or {}
    lines = [f"Pod {pod['metadata']['name']}: {status.get('phase') or 'Pending'} on "
             f"{pod['spec'].get('nodeName') or 'no node yet'}", "  shared: " + ", ".join(shares(pod))]
    for role, container in roles(pod):
        name = container["name"]
        lines.append(f"  {ROLES[role]} {name} ({states.get(name, 'waiting')}): "
                     + ", ".join(facts(pod, role, container)))
        lines += [f"      {path} is volume {volume}{' (read-only)' if readonly else ''}"
                  for path, volume, readonly in mounts(container)]
    lines += [f"  volume {name}: {kind}" for name, kind in volumes(pod)]
    return "\n".join(lines)
