"""Checks of lab02: containers by hand (the talk's pages 31, 32, 43 and 67).

Two kinds of things are measured: boxes, which are processes of this machine that the learner has made containers of
(boxes.py), and Pods, whose process 1 is sent signals, left with orphans and robbed of its services.  Where a machine
allows no namespaces, boxes are judged by their steps; the Pods' exercises measure there as everywhere.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

from kitlib.checks import boxes
from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.inside import run
from kitlib.checks.pods import container, end_of_a_copy, fetch, having, logs, pod, ready, restarts
from kitlib.checks.world import World

TITLE = "Containers: a process that believes it is alone"
MINUTES = 110
NAMESPACE = "lab02"

KINDS = {"user", "mnt", "pid", "uts", "ipc", "net", "cgroup limit"}
EFFECTS = {
    "hostname prints another name": (
        "uts", "The kernel's name for itself and its host is the *Unix time-sharing* system's: what uname(2) answers."),
    "ps shows three processes": (
        "pid", "Not the files are another's, but the numbers: who is number 1?"),
    "ls / shows other directories": (
        "mnt", "What is at / is a matter of what is *mounted* there."),
    "two servers listen on port 80, in peace": (
        "net", "A port is free or taken per network: interfaces, addresses and ports come as one."),
    "id says root, and nobody is afraid": (
        "user", "Root in here, an ordinary number out there: users are mapped."),
    "ipcs shows no shared memory": (
        "ipc", "Shared memory and message queues have no files: they have a namespace with their own name."),
    "a program that takes too much is killed": (
        "cgroup limit", "A namespace changes what one *sees*. How much one *gets* is another department's affair."),
}


@exercise()
def predict_namespaces(world: World) -> None:
    """Predict which part of a container does what"""
    given = world.answer("effects", dict.fromkeys(EFFECTS, KINDS))
    for effect, (right, hint) in EFFECTS.items():
        if given[effect] != right:
            raise Wrong(f"{effect}: that is not {given[effect]}", hint, actual=given[effect])


def _rooted(found: boxes.Box) -> None:
    """The first two steps of every box: a user namespace, and somebody who is root in it."""
    if "user" not in found.own:
        raise Wrong(f"{found.name} has no user namespace", "An ordinary user may make this one kind, and is allowed "
                    "all others by being root *in it*. So it comes first.", expected="user", actual=sorted(found.own))
    if not found.root_inside:
        raise Wrong(f"nobody is root in {found.name}", "A new user namespace knows nobody: `id` says 65534, nobody. "
                    "`map_users` writes who is who.", actual=found.steps)


def _needs(found: boxes.Box, kind: str, hint: str) -> None:
    if kind not in found.own:
        late = f"unshare {kind}" in found.refused
        raise Wrong(f"{found.name} has no {kind} namespace of its own",
                    "The kernel refused it because the user namespace came too late: that is the first step."
                    if late else hint, expected=kind, actual=sorted(found.own))


def _born(found: boxes.Box) -> None:
    if "unshare pid" in found.steps and not found.first:
        raise Wrong(f"nobody is number 1 in {found.name}", "unshare gives a new process list to the *next child*. "
                    "`fork` is that child, and goes on as the box.", actual=found.steps)


@exercise(points=2)
def own_name(world: World) -> None:
    """The box web has a name of its own"""
    found = boxes.box(world, "own_name")
    _rooted(found)
    if found.hostname != "web" and "hostname web" in found.mistakes:
        raise Wrong("web was to be renamed while it still had the machine's name",
                    "A hostname belongs to a uts namespace. As long as the box has none of its own, there is only one "
                    "name for all: the order of the steps matters.", actual=[*found.steps, *found.mistakes])
    _needs(found, "uts", "The name is in the namespace that page 67 puts last.")
    if found.hostname != "web":
        raise Wrong("web's hostname is another one", "A new uts namespace begins as a copy: it has the machine's name "
                    "until `hostname` gives it another.", expected="web", actual=found.hostname)


@exercise(points=2)
def process_one(world: World) -> None:
    """In the box alone, process 1 is its own, and ps knows no other"""
    found = boxes.box(world, "process_one")
    _rooted(found)
    _born(found)
    _needs(found, "pid", "Process numbers are a namespace, too; and it counts for children only.")
    if not found.proc:
        if "mount_proc" in found.mistakes and "mnt" not in found.own:
            raise Wrong("the new /proc has no place to be mounted", "Mounted in the machine's mnt namespace, everybody "
                        "would see it. The box needs a mnt namespace before that.", actual=found.steps)
        raise Wrong("ps in the box still shows the machine's processes", "ps believes the files in /proc, and those "
                    "are still of the old list. A new /proc has to be mounted: by somebody who is in the new list.",
                    actual=[*found.steps, *found.mistakes])


@exercise(points=2)
def new_root(world: World) -> None:
    """The box cage has files of its own, and no way back"""
    found = boxes.box(world, "new_root")
    _rooted(found)
    _needs(found, "mnt", "A new root directory is mounted first. Where nobody else sees it: in which namespace?")
    if not found.root:
        if "new_root" not in found.steps:
            raise Wrong("there is no new root directory", "`new_root(files)` makes one; then the box has to go there.",
                        actual=found.steps)
        if found.tried(boxes.PIVOT) or found.tried(boxes.CHROOT):
            raise Wrong("the note is not in the new root", "`new_root({\"/etc/motd\": …})`: what the box cannot read "
                        "there, it has not brought along.", expected="/etc/motd", actual=found.motd)
        raise Wrong("the new root is made, and nobody lives there", "Building a house is not moving in. Which of the "
                    "two ways of moving leaves no way back?", actual=found.steps)
    if found.root == boxes.CHROOT:
        raise Wrong("the box can walk out of its root directory", "chroot only says where paths begin: the old root "
                    "is still mounted, and root knows the way (you have seen it). The other call lets go of it.",
                    expected="pivot_root", actual="chroot")
    if found.motd != "made by hand" and not found.refused:
        raise Wrong("the note in /etc/motd is another one", "It is what one reads who comes in.",
                    expected="made by hand", actual=found.motd[:80])


@exercise(points=2)
def pod_by_hand(world: World) -> None:
    """Two boxes share what containers of a Pod share, and nothing else"""
    app, helper = boxes.pair(world, "pod_by_hand")
    _rooted(app)
    for kind in ("net", "uts", "ipc"):
        _needs(app, kind, "The first box of a Pod makes what the others join: page 67 lists it.")
    for kind in ("user", "net", "uts", "ipc"):
        if not _shared(app, helper, kind):
            own = kind in helper.own
            raise Wrong(f"the two boxes do not share {kind}",
                        f"Two new namespaces are two: `unshare` makes one more. Into one that is there, one goes by "
                        f"`join`. ({helper.name} and {kind})" if own else
                        f"{helper.name} is still in the machine's. `join` takes as many kinds as you name; `user` has "
                        "to be among them, or nothing else is allowed.",
                        actual={box.name: box.steps for box in (app, helper)})
    for box in (app, helper):
        _born(box)
    for kind, hint in (("mnt", "Containers of a Pod share volumes, not files: each begins with its own image."),
                       ("pid", "Process numbers are each container's own, unless the Pod asks for more.")):
        if _shared(app, helper, kind):
            raise Wrong(f"the two boxes share {kind}", f"{hint} So each of them needs an `unshare` for it.",
                        actual={box.name: box.steps for box in (app, helper)})
        for box in (app, helper):
            _needs(box, kind, hint)
    if not app.loopback:
        raise Wrong("in this Pod, nobody can reach localhost", "They share a network, and its only interface is down. "
                    "Exercise 5 begins with what that looks like.", expected="lo is up", actual=app.steps)


def _shared(one: boxes.Box, other: boxes.Box, kind: str) -> bool:
    """Whether two boxes are in the same namespace; where it was refused, whether the steps say so."""
    if any(step.startswith(("unshare", "join")) and kind in step.split() for box in (one, other)
           for step in box.refused):
        joins = any(step.split()[:2] == ["join", one.name] and kind in step.split()[2:] for step in other.steps)
        return joins or (kind not in one.own and kind not in other.own)
    return one.numbers[kind] == other.numbers[kind]


MEBI = 1 << 20


@exercise(points=2)
def limits(world: World) -> None:
    """Pod diet may have 64 Mi, and you know what it sees"""
    found = pod(world, "diet")
    asked = container(found, "main").get("resources") or {}
    limit = str((asked.get("limits") or {}).get("memory", ""))
    if not limit:
        if (asked.get("requests") or {}).get("memory"):
            raise Wrong("diet asks for memory, and nothing limits it", "`requests` is what the scheduler sets aside. "
                        "What nobody may exceed stands beside it.", expected="limits", actual=asked)
        raise Wrong("nothing limits diet's memory", "`resources` of the container: `kubectl explain "
                    "pod.spec.containers.resources`.", expected="64Mi", actual=asked)
    if limit.endswith("m"):
        raise Wrong("that would be a fraction of a byte", "`m` is a thousandth, as in 500m processors. Mebibytes "
                    "are written with a large M and an i.", expected="64Mi", actual=limit)
    if limit != "64Mi":
        raise Wrong("diet's limit is another one", "64 mebibytes, in Kubernetes' words.", expected="64Mi", actual=limit)
    ready(world, "diet")
    given = world.answer("seen", {"MemTotal in MiB": int, "limit in MiB": int})
    total = _total(world)
    said = given["MemTotal in MiB"]
    if said == 64:
        raise Wrong("that is what it *gets*, not what it sees", "Look into the container: `kubectl exec diet -- cat "
                    "/proc/meminfo`. A limit is no namespace.", actual=said)
    if abs(said - total * 1024) <= total * 20:
        raise Wrong("MemTotal is not in MiB there", "/proc/meminfo counts in kB, 1024 bytes each.",
                    expected="MiB", actual=said)
    if abs(said - total) > total * 0.02:
        raise Wrong("the container sees another MemTotal", "`kubectl exec diet -- head -1 /proc/meminfo`, divided by "
                    "1024.", actual=said)
    if given["limit in MiB"] != 64:
        raise Wrong("the limit is what you wrote into the manifest", "It is enforced whatever /proc/meminfo says.",
                    expected="as in the manifest", actual=given["limit in MiB"])


def _total(world: World) -> int:
    """What diet sees as the memory there is, in MiB."""
    text = world.eventually(lambda: run(world, "diet", "cat", "/proc/meminfo")) or ""
    line = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    if line is None:
        raise Wrong("diet does not tell what it sees", "It has to be an image with `cat`: busybox.", actual=text[:80])
    return int(line[1]) // 1024


NOTHING, ENDS, HANDLER = "nothing", "it ends", "its handler runs"
SIGNALS = {
    "TERM to process 1, which is sleep": (
        NOTHING, "sleep has no handler for TERM. For everybody else the kernel then ends the process. Process 1 is "
                 "not everybody else: nobody may end init by accident."),
    "TERM to another process, which is sleep": (
        ENDS, "Only process 1 has that privilege. This one is a process like any other."),
    "TERM to process 1, a shell with a trap": (
        HANDLER, "What process 1 has a handler for, it gets."),
    "TERM to process 1, a shell that waits for sleep": (
        NOTHING, "Does a shell pass signals on? Does it have a handler of its own?"),
    "KILL to process 1, from inside the container": (
        NOTHING, "KILL has no handlers, so which rule is left? init is protected from its own children."),
    "KILL to process 1, from outside": (
        ENDS, "The privilege holds inside only. From outside, it is process 21734 of the machine."),
}


@exercise()
def predict_signals(world: World) -> None:
    """Predict what a signal does to process 1, and to others"""
    given = world.answer("signals", {case: {NOTHING, ENDS, HANDLER} for case in SIGNALS})
    for case, (right, hint) in SIGNALS.items():
        if given[case] != right:
            raise Wrong(f"{case}: not {given[case]!r}", hint, actual=given[case])


def _end(world: World, name: str, begun: Callable[[str], Any]) -> dict[str, Any]:
    ended, seconds = end_of_a_copy(world, ready(world, name), begun)
    world.evidence["end"] = {"code": ended.get("exitCode"), "seconds": round(seconds, 1)}
    return ended


@exercise(points=2)
def forward(world: World) -> None:
    """Told to end, Pod till counts its money first"""
    found = pod(world, "till")
    if "till.sh" not in str(container(found, "main").get("command")):
        raise Wrong("nobody works at the till", "The wrapper may change, the program stays: `/app/till.sh`.",
                    actual=container(found, "main").get("command"))
    ended = _end(world, "till", lambda copy: having(logs(world, copy, "main"), "open"))
    code, message = ended.get("exitCode"), str(ended.get("message", ""))
    if "money counted" not in message and code == 0:
        raise Wrong("somebody ended in good order, but not the till", "A trap in the wrapper is the wrapper's: the "
                    "till was ended with everybody else. It has to *be* process 1, or to be told.", actual=code)
    if code == 137:
        raise Wrong("the till never heard of it", "Process 1 is the wrapper, and TERM is sent to process 1 only. Is "
                    "there a word with which a shell makes room for the program, instead of waiting for it?",
                    expected="money counted", actual=f"exit code {code}: killed when the grace period was over")
    if "money counted" not in message or code != 0:
        raise Wrong("the till did not end as it should", "Its handler writes a word and ends with 0. `lab.timeline("
                    "'till-check')` shows how the copy ended.", expected="money counted", actual=f"exit code {code}")


ORPHANS = 8  # so many have been left before anybody counts zombies: who does not reap has nearly as many of them
ZOMBIES = """
init=$(cat /tmp/init.pid) && orphans=$(cat /tmp/orphans) || exit 1
for stat in /proc/[0-9]*/stat; do
    read -r line < $stat 2>/dev/null || continue
    set -- ${line##*) }
    [ "$2" = "$init" ] && [ "$1" = Z ] && echo zombie
done
echo orphans $orphans
"""


def _household(world: World) -> tuple[int, int]:
    """How many orphans there have been in house, and how many dead ones its init has not taken note of."""
    seen = (run(world, "house", "sh", "-c", ZOMBIES) or "").split()
    return (int(seen[-1]) if seen[-2:-1] == ["orphans"] else 0), seen.count("zombie")


def _hears_term(world: World, copy: str) -> bool:
    """Whether the init of a copy has a handler for TERM by now, and its program has begun."""
    caught = run(world, copy, "sh", "-c", "grep SigCgt /proc/$(cat /tmp/init.pid)/status") or "0 0"
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@exercise(points=3)
def init(world: World) -> None:
    """Pod house has an init that reaps, forwards, and tells how it ended"""
    found = pod(world, "house")
    if "init.py" not in str(container(found, "main").get("command")):
        raise Wrong("house has no init", "`python3 /init/init.py PROGRAM …`: the program is the init's first child.",
                    actual=container(found, "main").get("command"))
    ready(world, "house")
    if not world.eventually(lambda: _household(world)[0] >= ORPHANS, within=8.0):
        raise Wrong("the program in house has not begun, or leaves no orphans",
                    "`kubectl logs house` has what init.py says, if anything.")
    if not world.eventually(lambda: _household(world)[1] <= 2, within=2.0):  # one may just have died
        raise Wrong("there are zombies in the house", "An orphan is left to process 1, and when it dies somebody has "
                    "to take note: `os.wait()`, for *any* child, again and again. Who waits for one only, waits for "
                    "one only.", expected=0, actual=_household(world)[1])
    ended = _end(world, "house", lambda copy: _hears_term(world, copy))
    code, message = ended.get("exitCode"), str(ended.get("message", ""))
    if code == 137:
        raise Wrong("the program in house never heard TERM", "TERM reached the init, and what does it do with it? "
                    "`signal.signal(signal.SIGTERM, …)`: pass it on to the child.", actual=f"exit code {code}")
    if "lights out" not in message:
        raise Wrong("the init left before its program had put the lights out", "Pass the signal on and go on waiting: "
                    "the program ends when it is done, and *then* so does the init.",
                    expected="lights out", actual=f"exit code {code}")
    if code != 7:
        raise Wrong("nobody learns how the program ended", "It ended with 7. Whoever started the container asks "
                    "process 1: `os.waitstatus_to_exitcode(status)` is what the init should end with.",
                    expected=7, actual=code)


SERVICES = ("web", "clock")


def _number(world: World, service: str) -> str:
    return run(world, "machine", "cat", f"/tmp/{service}.pid") or ""


@exercise(points=2)
def system_container(world: World) -> None:
    """Pod machine looks after its own services"""
    found = ready(world, "machine")
    if len(found["spec"]["containers"]) != 1:
        raise Wrong("that is two application containers", "One container, like a machine of old: its process 1 starts "
                    "both services and looks after them.", expected=1, actual=len(found["spec"]["containers"]))
    before = restarts(found)
    for service in SERVICES:
        number = world.eventually(lambda service=service: _number(world, service), within=3.0)  # type: ignore[misc]
        if not number:
            raise Wrong(f"the service {service} does not run", "A service in the foreground lets nothing after it "
                        "begin: each one needs an `&`, and process 1 a `wait` at the end.", expected=SERVICES)
        if number == "1":
            raise Wrong(f"{service} is process 1 of machine", "Then it is an *application* container: it ends with its "
                        "program, and a container has no second program that starts it again.", actual=number)
        run(world, "machine", "kill", "-KILL", number)
        again = world.eventually(lambda service=service, number=number:  # type: ignore[misc]
                                 _number(world, service) not in ("", number), within=4.0)
        if restarts(pod(world, "machine")) != before:
            raise Wrong(f"with {service}, the whole container ended", "Then the kubelet restarted it: an *application* "
                        "container. In a system container process 1 stays, and starts the service again.",
                        expected="0 restarts", actual=restarts(pod(world, "machine")))
        if not again:
            raise Wrong(f"{service} died, and nobody started it again", "A loop round it: `while true; do sh "
                        f"/srv/{service}.sh; done`. Has each of the two services one?", actual=f"{service} is gone")
    if not world.eventually(lambda: having(fetch(world, "machine", 8080), "a machine of old")):
        raise Wrong("the page is not served", "/srv/web.sh serves /srv on port 8080.",
                    actual=(fetch(world, "machine", 8080) or "nobody answers")[:60])
    if restarts(pod(world, "machine")) != before:
        raise Wrong("the whole container was restarted meanwhile", "Process 1 has to outlive its services.",
                    actual=restarts(pod(world, "machine")))
