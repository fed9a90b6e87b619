"""Which packages an image is made of, and where they come from.

    apt-get, with an empty list of what is installed, says which packages there have to be
      ├─ their files are in a cache of ours or of apt's, or are fetched from the mirror
      └─ no mirror: what is installed on this machine is taken instead

Nothing of the machine's own apt is changed, and none of it needs root.

Source: apt-get(8), apt-patterns(7), dpkg-query(1).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kitlib.images.base import deb
from kitlib.images.base.image import Tell
from kitlib.images.errors import ImageError

SECONDS = 600.0
_APT_CACHE = Path("/var/cache/apt/archives")
_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+\.deb) (?P<size>\d+)")
_NAME = re.compile(r"^([a-z0-9][a-z0-9+.-]*)")


def collect(seeds: Sequence[str], cache: Path, scratch: Path, tell: Tell) -> list[deb.Package]:
    """Essential packages and these, with all they depend upon, sorted by name.  Raises ImageError."""
    if shutil.which("dpkg-query") is None:
        raise ImageError("this machine is no Debian or Ubuntu: its packages are what such an image is made of")
    try:
        files = fetched(seeds, cache, tell)
    except ImageError as error:
        tell(f"{error}; taking what is installed here instead")
        return of_this_machine(seeds, tell)
    found = []
    for i, file in enumerate(files, 1):
        tell(f"unpacking {i} of {len(files)}: {file.name.partition('_')[0]}")
        found.append(deb.read(file, scratch))
    return sorted(found, key=lambda package: package.name)


def _apt(archives: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """archives: where it finds packages, and puts new ones."""
    status = archives / "status"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    status.touch()
    settings = {"Dir::State::status": status, "Dir::Cache::archives": archives, "Dir::Cache::pkgcache": "",
                "Dir::Cache::srcpkgcache": "", "Debug::NoLocking": 1, "APT::Sandbox::User": "",
                "APT::Install-Recommends": 0, "Acquire::Retries": 2, "Acquire::http::Timeout": 15}
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    return subprocess.run(["apt-get", *options, "-y", *arguments], capture_output=True, text=True, check=False,
                          timeout=SECONDS, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})


def fetched(seeds: Sequence[str], cache: Path, tell: Tell) -> list[Path]:
    """The .deb files.  Raises ImageError."""
    if shutil.which("apt-get") is None:
        raise ImageError("there is no apt-get on this machine")
    cache.mkdir(parents=True, exist_ok=True)
    wanted = ("install", "?essential", *seeds, "usr-is-merged", "usrmerge-")
    listed = _apt(cache / "none", "--print-uris", *wanted)  # it names only those that it does not find
    files = [(m["file"], int(m["size"])) for line in listed.stdout.splitlines() if (m := _URI.match(line))]
    if listed.returncode or not files:
        raise ImageError("apt-get knows no packages here (`apt-get update` would fetch the lists)")
    missing = [name for name, size in files if not _there(cache, name, size)]
    if missing:
        tell(f"fetching {len(missing)} of {len(files)} packages from the mirror")
        done = _apt(cache, "--download-only", *wanted)
        if done.returncode:
            raise ImageError("the mirror of this machine's apt-get cannot be reached")
    return [cache / name for name, _ in files]


def _there(cache: Path, name: str, size: int) -> bool:
    """Whether a package is in our cache, or can be put there from apt's."""
    for place in (cache / name, _APT_CACHE / name):
        if place.exists() and place.stat().st_size == size:
            if place.parent != cache:
                shutil.copyfile(place, cache / name)
            return True
    return False


def of_this_machine(seeds: Sequence[str], tell: Tell) -> list[deb.Package]:
    """The same out of what dpkg has installed here.  Raises ImageError for a seed that is not."""
    needs, provides, essential = _installed()
    chosen: set[str] = set()
    waiting = [*essential, *seeds]
    while waiting:
        name = waiting.pop()
        name = name if name in needs else provides.get(name, "")
        if not name or name in chosen or name == "usrmerge":
            continue
        chosen.add(name)
        waiting += needs[name]
    if lacking := [seed for seed in seeds if seed not in needs]:
        raise ImageError(f"the package {lacking[0]} is neither installed here nor can be fetched")
    found = []
    for i, name in enumerate(sorted(chosen), 1):
        tell(f"reading {i} of {len(chosen)}: {name}")
        found.append(deb.installed(name))
    return found


def _installed() -> tuple[dict[str, list[str]], dict[str, str], list[str]]:
    """Package → what it depends upon; what is provided → by whom; the essential ones."""
    shown = "${Package}\t${Essential}\t${Pre-Depends},${Depends}\t${Provides}\t${db:Status-Status}\n"
    done = subprocess.run(["dpkg-query", "-W", "-f", shown], capture_output=True, text=True, check=True)
    needs: dict[str, list[str]] = {}
    provides: dict[str, str] = {}
    essential, clauses = [], {}
    for line in done.stdout.splitlines():
        name, is_essential, depends, offered, status = line.split("\t")
        if status != "installed":
            continue
        clauses[name] = depends
        essential += [name] if is_essential == "yes" else []
        for each in offered.split(","):
            if match := _NAME.match(each.strip()):
                provides.setdefault(match[1], name)
    for name, depends in clauses.items():
        needs[name] = []
        for clause in depends.split(","):
            choices = [m[1] for each in clause.split("|") if (m := _NAME.match(each.strip()))]
            known = [each for each in choices if each in clauses or each in provides]
            needs[name] += known[:1]
    return needs, provides, essential
