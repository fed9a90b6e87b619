"""The image `busybox`: Debian's static build, with a link for every applet.

That build lacks one thing which every Kubernetes tutorial uses: `wget -T 2` (it crashes on the option).  So where the
machine's busybox is like that, `wget` is a small script that keeps the time with `timeout`.  Debian's shell would run
its own wget without looking for a file, so our copy of the program has that one name hidden, and a whole one stays
beside it.  `printenv`, which the image of that name has and Debian's build has not, is a script, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from kitlib.runtime.elf import is_static

__all__ = ["is_static", "tools"]

_FULL = "busybox-full"
_NAMES = (b"\0wc\0wget\0which\0", b"\0wc\0wgeT\0which\0")  # in the program's sorted table of applets
_WGET = """#!/bin/sh
# wget with -T: this busybox was built without it.
seconds=
count=$#
while [ "$count" -gt 0 ]; do
    argument=$1
    shift
    count=$((count - 1))
    case $argument in
    -T | --timeout)
        seconds=$1
        shift
        count=$((count - 1))
        ;;
    -T*) seconds=${argument#-T} ;;
    --timeout=*) seconds=${argument#*=} ;;
    *) set -- "$@" "$argument" ;;
    esac
done
full=${0%/*}/busybox-full
[ -n "$seconds" ] || exec "$full" wget "$@"
timeout "$seconds" "$full" wget "$@"
code=$?
if [ $code = 143 ]; then
    echo 'wget: download timed out' >&2
    code=1
fi
exit $code
"""
_PRINTENV = """#!/bin/sh
# printenv: this busybox was built without it.
[ $# -gt 0 ] || exec env
code=0
for name; do
    case $name in '' | *[!A-Za-z0-9_]* | [0-9]*) code=1 && continue ;; esac
    eval "[ -n \\"\\${$name+set}\\" ]" && eval "printf '%s\\\\n' \\"\\$$name\\"" || code=1
done
exit $code
"""


def tools(directory: str) -> str | None:
    """A directory with busybox and its applets, made once under `directory`; None where there is no busybox."""
    found = shutil.which("busybox", path=os.environ.get("PATH", "") + ":/bin:/usr/bin:/sbin")
    if found is None:
        return None
    target = f"{directory}/busybox"
    if not os.path.exists(f"{target}/sh"):
        os.makedirs(target, exist_ok=True)
        shutil.copy(os.path.realpath(found), f"{target}/busybox")
        if "-T SEC" not in _run(f"{target}/busybox", "wget", "--help"):
            _add_wget(target)
        applets = _run(found, "--list").split()
        if "printenv" not in applets:
            _add_script(f"{target}/printenv", _PRINTENV)
        for applet in sorted(applets, key="sh".__eq__):  # `sh` last: it says that all are there
            if not os.path.lexists(f"{target}/{applet}"):
                os.symlink("busybox", f"{target}/{applet}")
    return target


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout + done.stderr


def _add_wget(target: str) -> None:
    with open(f"{target}/busybox", "rb") as file:
        program = file.read()
    if program.count(_NAMES[0]) != 1:
        return  # another build: it keeps its own wget
    os.rename(f"{target}/busybox", f"{target}/{_FULL}")
    with open(f"{target}/busybox", "wb") as file:
        file.write(program.replace(*_NAMES))
    os.chmod(f"{target}/busybox", 0o755)
    _add_script(f"{target}/wget", _WGET)


def _add_script(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)
