"""Containers by hand: each step on a real process, what is refused, and how checks judge a box."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import unprivileged

from kitlib.checks import boxes
from kitlib.checks import lab02_containers as lab02
from kitlib.runtime.byhand import limits, namespaces, refused, root, wire
from kitlib.runtime.byhand.box import Box, BoxError, plug
from kitlib.views.deck_containers import inits
from kitlib.views.deck_containers import namespaces as deck
from kitlib.views.namespaces_svg import Member, describe, render, verdict

needs_namespaces = pytest.mark.needs("root")


@pytest.fixture
def box():
    made = []

    def make(name: str, *steps: str) -> Box:
        one = Box(name)
        made.append(one)
        for step in ("user", *steps):
            one.unshare(step)
            if step == "user":
                one.map_users()
        return one

    yield make
    for one in made:
        one.end()


@needs_namespaces
def test_a_box_becomes_a_container_one_step_at_a_time(box) -> None:
    web = box("web", "uts", "ipc", "net")
    machine = os.uname().nodename
    web.hostname("web")
    assert (web.run("hostname; id -u", show=False), os.uname().nodename) == ("web\n0", machine)
    web.unshare("pid", "mnt")
    web.fork()
    web.mount_proc()
    assert web.run("cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l", show=False).split() in (["box", "2"], ["box", "3"],
                                                                                            ["box", "4"])
    assert refused.status(web.pid)["NSpid"].split()[-1] == "1"
    own = {kind for kind, number in web.namespaces.items() if number != web.outside[kind]}
    assert (own, web.refused, web.mistakes) == (set(namespaces.KINDS) - {"cgroup"}, {}, [])
    web.new_root({"/etc/motd": "made by hand"})
    web.pivot_root()
    assert web.run("cat /etc/motd", show=False) == "made by hand"
    assert "etc" in web.break_out()
    assert not {"home", "srv", "sys"} & set(web.break_out())  # there is no way back
    assert not os.path.exists(f"{root.PLACE}/etc/motd")  # and nobody outside has seen anything of it


@needs_namespaces
def test_chroot_is_left_by_root_and_a_visitor_sees_it(box) -> None:
    walker = box("walker", "mnt")
    walker.new_root({"/etc/motd": "no way out"})
    walker.chroot()
    assert {"usr", "sys"} <= set(walker.break_out())
    assert walker.run("ls -d /sys 2>/dev/null || echo no sys", show=False) == "no sys"


@needs_namespaces
def test_a_pid_namespace_dies_with_its_first_process(box, capsys) -> None:
    doomed = box("doomed", "pid")
    assert doomed.run("echo $$", show=False) == "1"
    assert doomed.run("echo $$", show=False) == ""
    assert "has lost its process 1" in capsys.readouterr().out.replace("\n    ", " ")


@pytest.mark.needs("nftables")
def test_two_boxes_share_a_network_and_two_are_wired(box) -> None:
    app = box("app", "net", "uts")
    app.loopback_up()
    helper = Box("helper")
    try:
        helper.join(app, "user", "net")
        assert helper.namespaces["net"] == app.namespaces["net"]
        assert helper.namespaces["uts"] != app.namespaces["uts"]
        far = Box("far")
        try:
            far.join(app, "user")
            far.unshare("net")
            plug(app, far)
            assert "10.9.0.2" in far.run("ip -o addr show eth0", show=False)
            assert f"{wire.NETWORK}.1" in app.run("ip -o addr show eth0", show=False)
        finally:
            far.end()
    finally:
        helper.end()


@pytest.mark.needs("oci")
def test_nothing_is_left_of_a_box_and_its_cgroup() -> None:
    held = Box("held")
    held.limit(memory="64M", pids=12)
    assert held.cgroup is not None
    assert held.cgroup.files
    held.start("sleep 600")
    places = [Path(path).parent for path in held.cgroup.files]
    assert "Cannot fork" in held.run("for n in $(seq 20); do sleep 1 & done 2>&1", show=False)
    pids = [int(line) for place in places for line in (place / "cgroup.procs").read_text().split()]
    held.end()
    assert pids
    assert not [place for place in places if place.exists()]
    with pytest.raises(BoxError, match=r"make it anew with kit\.box\('held'\)"):
        held.run("true")


def test_a_notebook_that_is_killed_takes_its_boxes_along() -> None:
    program = ("from kitlib.runtime.byhand.box import Box\nbox = Box('left')\n"
               "print(box.pid, box.start('sleep 600'), flush=True)\nimport os, signal\nos.kill(os.getpid(), 9)\n")
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert len(told.stdout.split()) == 2
    for pid in told.stdout.split():
        assert _gone(int(pid)), pid


def _gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends soon (a zombie has ended)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if refused.status(pid)["State"].startswith("Z"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_what_would_change_the_machine_is_not_done(capsys) -> None:
    plain = Box("plain")
    try:
        before = os.uname().nodename, os.listdir(root.PLACE)
        plain.hostname("oops")
        plain.mount_proc()
        plain.new_root({"/etc/motd": "oops"})
        plain.pivot_root()
        plain.loopback_up()
        plain.fork()
        plain.chroot()
        assert plain.break_out() == []
        assert plain.mistakes == ["hostname oops", "mount_proc", "new_root", "pivot_root", "loopback_up", "fork",
                                  "chroot"]
        assert (os.uname().nodename, os.listdir(root.PLACE), plain.steps) == (*before, [])
        assert capsys.readouterr().out.count("not done") == 8
        with pytest.raises(BoxError, match="There are: user, mnt, pid"):
            plain.unshare("network")
        with pytest.raises(BoxError, match="is no size"):
            plain.limit(memory="much")
    finally:
        plain.end()


@pytest.mark.needs("docker", "nftables")
@pytest.mark.parametrize("place", ["laptop", "binder"])
def test_an_ordinary_user_and_one_who_is_locked_up(place: str) -> None:
    program = ("from kitlib.runtime.byhand.box import Box, plug\nbox = Box('web')\nbox.unshare('user')\n"
               "box.map_users()\nbox.unshare('uts')\nbox.hostname('web')\n"
               "print('web', box.run('id -u; hostname', show=False).replace(chr(10), ' '))\n"
               "box.unshare('net')\nbox.loopback_up()\n"
               "far = Box('far')\nfar.join(box, 'user')\nfar.unshare('net')\nplug(box, far)\n")
    done = unprivileged.run(place, [sys.executable, "-c", program])
    assert done.returncode == 0, done.stdout
    if place == "laptop":
        assert "web 0 web" in done.stdout
        assert "ip link set eth0 up" in done.stdout
        assert "refused" not in done.stdout
    else:
        assert "A seccomp filter stands before the kernel" in done.stdout
        assert "hostname web: not tried. It needs `unshare uts`" in done.stdout


def test_refusals_are_explained() -> None:
    assert refused.capabilities(0x200401) == ["chown", "net_bind_service", "sys_admin"]
    assert "covered" in refused.explain("mount_proc", errno.EPERM)
    assert "systemd-run" in refused.explain("limit memory=1M", errno.EACCES)
    assert "unshare `user` first" in refused.explain("unshare uts", errno.EPERM)
    assert len(refused.CAPABILITIES) == 41


def test_limits_in_both_versions_of_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)  # an ordinary user's groups are beside the own one
    assert [limits.size(text) for text in ("64M", "64Mi", "1G", 5)] == [64 << 20, 64 << 20, 1 << 30, 5]
    assert limits.beside_us("0::/user.slice/app.slice/lab.scope\n") == "/user.slice/app.slice"
    assert [limits.beside_us(text) for text in ("0::/\n", "4:memory:/x\n0::/lab\n", "4:memory:/x\n")] == ["", "", ""]
    for unified in (False, True):
        mount = tmp_path / str(unified)
        mount.mkdir()
        for tree in ("memory", "pids", "cpu"):
            (mount / tree).mkdir()
        if unified:
            (mount / "cgroup.controllers").touch()
            (mount / "cgroup.subtree_control").touch()
        group = limits.Group("kit-box-web-1", str(mount))
        group.limit(memory=32 << 20, pids=20, cpu=0.5)
        group.add(4711)
        told = {str(Path(path).relative_to(mount)): text for path, text in group.files.items()}
        assert told == ({"kit-box-web-1/memory.max": "33554432", "kit-box-web-1/pids.max": "20",
                         "kit-box-web-1/cpu.max": "50000 100000"} if unified else
                        {"memory/kit-box-web-1/memory.limit_in_bytes": "33554432", "pids/kit-box-web-1/pids.max": "20",
                         "cpu/kit-box-web-1/cpu.cfs_period_us": "100000",
                         "cpu/kit-box-web-1/cpu.cfs_quota_us": "50000"})
        assert {path.read_text() for path in mount.rglob("cgroup.procs")} == {"4711"}


OUTSIDE = {kind: number for number, kind in enumerate(namespaces.KINDS, 1)}


def told(*steps: str, refused: tuple[str, ...] = (), mistakes: tuple[str, ...] = ()) -> boxes.Box:
    return boxes.judged({"name": "web", "pid": 1, "steps": list(steps), "refused": dict.fromkeys(refused, "no"),
                         "mistakes": list(mistakes), "namespaces": OUTSIDE, "outside": OUTSIDE})


def test_where_all_is_refused_the_steps_are_judged() -> None:
    first = ("unshare user", "map_users")
    good = (*first, "unshare uts", "hostname web", "unshare pid", "fork", "unshare mnt", "mount_proc", "new_root",
            "pivot_root", "unshare net", "loopback_up")
    found = told(*good, refused=good)
    assert found.own == {"user", "uts", "pid", "mnt", "net"}
    assert (found.root_inside, found.hostname, found.first, found.proc, found.root, found.loopback) == (
        True, "web", True, True, "pivot_root", True)
    assert told(*first, "hostname web", "unshare uts", refused=good).hostname == ""
    assert not told(*first, "unshare pid", "mount_proc", refused=good).proc
    late = ("unshare uts", "unshare user")
    assert told(*late, refused=late).own == {"user"}  # the kernel's no to the first was the learner's doing
    assert told("join web user net", refused=("join web user net",)).own == {"user", "net"}


class AnswersOnly:
    """A world in which there is nothing but an answer."""

    def __init__(self, *given: boxes.Box) -> None:
        reports = [{"name": box.name, "pid": 1, "steps": box.steps, "refused": box.refused, "mistakes": box.mistakes,
                    "namespaces": OUTSIDE, "outside": OUTSIDE} for box in given]
        self.given = reports if len(reports) > 1 else reports[0]

    def answer(self, _name: str, _form: object) -> object:
        return self.given

    def note(self, _text: str) -> None:
        pass


USER, APP = "unshare user;map_users", "unshare user;map_users;unshare net;unshare uts;unshare ipc;loopback_up"
OWN = "unshare mnt;unshare pid;fork"


@pytest.mark.parametrize(("check", "steps", "hint"), [
    (lab02.own_name, [f"{USER};unshare uts;hostname web"], None),
    (lab02.own_name, ["unshare uts;hostname web"], "So it comes first"),
    (lab02.own_name, ["unshare uts;unshare user;map_users;hostname web"], "came too late"),
    (lab02.own_name, [f"{USER};unshare net"], "page 67 puts last"),
    (lab02.own_name, [f"{USER};unshare uts;hostname box"], "begins as a copy"),
    (lab02.own_name, ["unshare user;unshare uts;hostname web"], "writes who is who"),
    (lab02.process_one, [f"{USER};unshare pid;fork;unshare mnt;mount_proc"], None),
    (lab02.process_one, [f"{USER};unshare pid;unshare mnt;mount_proc"], "next child"),
    (lab02.process_one, [f"{USER};unshare pid;fork;unshare mnt"], "ps believes the files"),
    (lab02.process_one, [f"{USER};unshare mnt;mount_proc"], "counts for children only"),
    (lab02.new_root, [f"{USER};unshare mnt;new_root;pivot_root"], None),
    (lab02.new_root, [f"{USER};unshare mnt;new_root;chroot"], "where paths begin"),
    (lab02.new_root, [f"{USER};unshare mnt;new_root"], "Building a house"),
    (lab02.new_root, [f"{USER};unshare mnt;pivot_root"], "then the box has to go there"),
    (lab02.new_root, [f"{USER};new_root;pivot_root"], "Where nobody else sees it"),
    (lab02.pod_by_hand, [f"{APP};{OWN}", f"join app user net uts ipc;{OWN}"], None),
    (lab02.pod_by_hand, [f"{APP};{OWN}", f"join app user uts ipc;unshare net;{OWN}"], "Two new namespaces are two"),
    (lab02.pod_by_hand, [f"{APP};{OWN}", f"join app user net uts;{OWN}"], "is still in the machine's"),
    (lab02.pod_by_hand, [f"{APP};{OWN}", "join app user net uts ipc mnt;unshare pid;fork"], "share volumes, not files"),
    (lab02.pod_by_hand, [f"{APP};unshare mnt", "join app user net uts ipc;unshare mnt"], "the Pod asks for more"),
    (lab02.pod_by_hand, [f"{APP};unshare mnt;unshare pid", f"join app user net uts ipc;{OWN}"], "next child"),
    (lab02.pod_by_hand, [f"{APP.removesuffix(';loopback_up')};{OWN}", f"join app user net uts ipc;{OWN}"], "is down"),
    (lab02.pod_by_hand, [f"{APP};{OWN}"], "a name of its own"),
])  # fmt: skip
def test_mistakes_get_their_hints_where_all_is_refused(check, steps: list[str], hint: str | None, monkeypatch) -> None:
    monkeypatch.setattr(boxes, "_users_may", lambda: False)
    given = [told(*line.split(";"), refused=tuple(line.split(";"))) for line in steps]
    for box, name in zip(given, ("app", "helper"), strict=False):
        box.name = name
    world = AnswersOnly(*given)
    if check is lab02.pod_by_hand and len(given) == 1:
        world.given = [world.given]
    if hint is None:
        check(world)
    else:
        with pytest.raises(boxes.Wrong) as wrong:
            check(world)
        assert hint in f"{wrong.value} {wrong.value.help}"


def test_a_refusal_is_not_believed_where_none_would_be(monkeypatch) -> None:
    monkeypatch.setattr(boxes, "_users_may", lambda: True)
    steps = ("unshare user", "map_users", "unshare uts", "hostname web")
    with pytest.raises(boxes.Wrong, match="this machine allows them"):
        lab02.own_name(AnswersOnly(told(*steps, refused=steps)))


def test_a_box_that_has_ended_is_told_from_one_that_never_was() -> None:
    world = AnswersOnly(told("unshare user", "map_users", "unshare uts", "hostname web"))
    world.given["namespaces"] = dict.fromkeys(OUTSIDE, 1 << 40)
    with pytest.raises(boxes.Wrong, match="not there any more"):
        lab02.own_name(world)


def test_the_picture_says_in_words_who_shares_what() -> None:
    members = [Member("notebook", "", {"uts": 1, "net": 2}), Member("a", "", {"uts": 3, "net": 2}),
               Member("b", "", {"uts": 3, "net": 4})]
    assert verdict("uts", members) == "a and b share one; notebook: its own"
    assert verdict("net", members) == "notebook and a share one; b: its own"
    assert "4026531834" in deck("nothing")
    for drawn in (render(members), deck("pod"), inits()):
        tree = ET.fromstring(drawn)
        assert [len(tree.find(f"{{http://www.w3.org/2000/svg}}{tag}").text or "") > 10 for tag in ("title", "desc")]
    assert describe(members).splitlines()[0] == "Namespaces of notebook, a, b"
    with pytest.raises(ValueError, match="there is nothing, web"):
        deck("elsewhere")
