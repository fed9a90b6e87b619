"""Mistakes in lab02.  Most are the solution's own cell with one thing wrong in it, as it happens to people."""

from __future__ import annotations

from wrong_answers import Answers

but = Answers("lab02_containers").but


def effect(what: str, right: str, said: str) -> str:
    return but("predict_namespaces", (f'"{what}": "{right}"', f'"{what}": "{said}"'))


def signal(case: str, right: str, said: str) -> str:
    return but("predict_signals", (f'"{case}": "{right}"', f'"{case}": "{said}"'))


FORWARDS = "signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, number))"
LOOP = """while True:
    pid, status = os.wait()
    if pid == child:
"""
WEB = "    while true; do sh /srv/web.sh; sleep 0.1; done &"
CLOCK = "    while true; do sh /srv/clock.sh; sleep 0.1; done &"

WRONG = {
    "predict_namespaces": {
        "a limit is a namespace": (
            effect("a program that takes too much is killed", "cgroup limit", "pid"), "another department"),
        "the hostname belongs to the network": (
            effect("hostname prints another name", "uts", "net"), "what uname(2) answers"),
        "ps looks at files": (effect("ps shows three processes", "pid", "mnt"), "who is number 1"),
        "ports are the processes'": (
            effect("two servers listen on port 80, in peace", "net", "pid"), "free or taken per network"),
    },
    "own_name": {
        "renamed too early": (
            but("own_name", ('web.unshare("uts")\nweb.hostname("web")', 'web.hostname("web")\nweb.unshare("uts")')),
            "the order of the steps matters"),
        "nobody is anybody": (but("own_name", ("web.map_users()\n", "")), "writes who is who"),
        "no name given": (but("own_name", ('web.hostname("web")', "")), "begins as a copy"),
        "no user namespace": (
            but("own_name", ('web.unshare("user")\nweb.map_users()\n', "")), "So it comes first"),
    },
    "process_one": {
        "nobody was born": (but("process_one", ("alone.fork()\n", "")), "gives a new process list to the"),
        "ps was not told": (but("process_one", ("alone.mount_proc()\n", "")), "ps believes the files"),
        "no place to mount": (but("process_one", ('alone.unshare("mnt")\n', "")), "everybody would see it"),
        "only the files": (
            but("process_one", ('alone.unshare("pid")\nalone.fork()\n', "")), "it counts for children only"),
    },
    "new_root": {
        "chroot": (but("new_root", ("pivot_root", "chroot")), "chroot only says where paths begin"),
        "built, and not moved in": (but("new_root", ("cage.pivot_root()", "")), "Building a house"),
        "in the machine's mounts": (but("new_root", ('cage.unshare("mnt")\n', "")), "Where nobody else sees it"),
        "no note": (but("new_root", ('{"/etc/motd": "made by hand"}', "{}")), "it has not brought along"),
    },
    "pod_by_hand": {
        "a network for each": (
            but("pod_by_hand", ('helper.join(app, "user", "net", "uts", "ipc")\nhelper.unshare("mnt", "pid")',
                                'helper.join(app, "user", "uts", "ipc")\nhelper.unshare("net", "mnt", "pid")')),
            "Two new namespaces are two"),
        "ipc forgotten": (
            but("pod_by_hand", ('helper.join(app, "user", "net", "uts", "ipc")',
                                'helper.join(app, "user", "net", "uts")')), "is still in the machine's"),
        "one set of files": (
            but("pod_by_hand", ('"uts", "ipc")\nhelper.unshare("mnt", "pid")',
                                '"uts", "ipc", "mnt")\nhelper.unshare("pid")')), "share volumes, not files"),
        "lo is down": (but("pod_by_hand", ("app.loopback_up()\n", "")), "its only interface is down"),
    },
    "limits": {
        "requests are not limits": (but("limits", ("{limits: {memory", "{requests: {memory")), "sets aside"),
        "64 thousandths of a byte": (but("limits", ("memory: 64Mi", "memory: 64m")), "a thousandth"),
        "one sees what one gets": (
            but("limits", ("int(seen.split()[1]) // 1024", "64")), "A limit is no namespace"),
        "kilobytes": (but("limits", ("// 1024", "* 1")), "counts in kB"),
    },
    "predict_signals": {
        "TERM ends everybody": (
            signal("TERM to process 1, which is sleep", "nothing", "it ends"), "by accident"),
        "everybody is protected": (
            signal("TERM to another process, which is sleep", "it ends", "nothing"), "a process like any other"),
        "shells pass signals on": (
            signal("TERM to process 1, a shell that waits for sleep", "nothing", "it ends"), "pass signals on"),
        "KILL always kills": (
            signal("KILL to process 1, from inside the container", "nothing", "it ends"), "from its own children"),
    },
    "forward": {
        "the wrapper stays": (but("forward", ("exec sh /app", "sh /app"), ("till.sh\"]", "till.sh; echo bye\"]")),
                              "makes room for the program"),
        "the wrapper has manners, the till has not": (
            but("forward", ("echo good morning; exec sh /app/till.sh",
                            "trap 'exit 0' TERM; echo good morning; sh /app/till.sh & wait")), "A trap in the wrapper"),
        "nobody at the till": (but("forward", ("exec sh /app/till.sh", "sleep 3600")), "the program stays"),
        "the till begins and the wrapper goes": (
            but("forward", ("exec sh /app/till.sh", "sh /app/till.sh &")), "something that stays"),
    },
    "init": {
        "waits for one": (but("init", (LOOP, "while True:\n    pid, status = os.waitpid(child, 0)\n    if True:\n")),
                          "An orphan is left to process 1"),
        "does not forward": (but("init", (FORWARDS, "")), "pass it on to the child"),
        "leaves first": (but("init", (FORWARDS, "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))")),
                         "go on waiting"),
        "all is well, always": (but("init", ("sys.exit(code if code >= 0 else 128 - code)", "sys.exit(0)")),
                                "Whoever started the container asks"),
    },
    "system_container": {
        "one after the other": (
            but("system_container", (WEB, "    while true; do sh /srv/web.sh; sleep 0.1; done")), "each one needs an"),
        "the first one is process 1": (
            but("system_container", (WEB, "    sh /srv/clock.sh &\n    exec sh /srv/web.sh"), (CLOCK + "\n", "")),
            "an *application* container"),
        "started, not looked after": (
            but("system_container", (CLOCK, "    sh /srv/clock.sh &")), "A loop round it"),
        "process 1 goes home": (but("system_container", ("    wait\n", "")), "something that stays"),
    },
}
