"""debian-slim: the essential packages of this machine's Debian (or Ubuntu) and apt, unpacked; and python, upon it.

What the packages' scripts would do in a running system is done here by hand, without running any:

    /bin ─▶ usr/bin …      passwd, group, shadow      /etc/alternatives      dpkg's database, so that apt works

Documentation and translations are left out, as in Docker Hub's slim images.  The same packages give the same digest.

Source: docker.com's debuerreotype (slim); scripts of base-files, base-passwd, libc-bin, mawk, debianutils.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kitlib.images.base import deb, image, packages
from kitlib.images.errors import ImageError
from kitlib.images.layerwriter import Entry, of_text
from kitlib.images.store import ImageStore, StoredImage

SLIM = ("apt",)
PYTHON = ("python3", "python3-pip", "ca-certificates")
_DIRECTORIES = (("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("run", 0o755), ("run/lock", 0o1777), ("tmp", 0o1777),
                ("root", 0o700), ("home", 0o755), ("mnt", 0o755), ("media", 0o755), ("opt", 0o755), ("srv", 0o755),
                ("var/tmp", 0o1777), ("var/log", 0o755), ("var/log/apt", 0o755), ("var/mail", 0o2775),
                ("var/cache/apt/archives/partial", 0o755), ("var/lib/apt/lists/partial", 0o755),
                ("var/lib/dpkg/info", 0o755), ("var/lib/dpkg/alternatives", 0o755), ("var/lib/dpkg/updates", 0o755),
                ("etc/alternatives", 0o755), ("usr/local/bin", 0o755), ("usr/local/sbin", 0o755),
                ("usr/local/lib", 0o755), ("usr/local/share", 0o755), ("usr/local/etc", 0o755),
                ("usr/local/include", 0o755), ("usr/local/src", 0o755))
_LINKS = {"var/run": "/run", "var/lock": "/run/lock"}
_ALTERNATIVES = {"awk": "mawk", "nawk": "mawk", "pager": "more", "which": "which.debianutils"}
_PAM = {  # what pam-auth-update writes where only passwords count
    "auth": "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n"
            "auth required pam_permit.so\n",
    "account": "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\n"
               "account required pam_permit.so\n",
    "password": "password [success=1 default=ignore] pam_unix.so obscure yescrypt\npassword requisite pam_deny.so\n"
                "password required pam_permit.so\n",
    "session": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\n"
               "session required pam_unix.so\n"}
_COPIES = {"etc/nsswitch.conf": "usr/share/libc-bin/nsswitch.conf", "etc/profile": "usr/share/base-files/profile",
           "root/.bashrc": "usr/share/base-files/dot.bashrc", "root/.profile": "usr/share/base-files/dot.profile",
           "etc/passwd": "usr/share/base-passwd/passwd.master", "etc/group": "usr/share/base-passwd/group.master"}


def debian_slim(store: ImageStore, name: str, tell: image.Tell = lambda words: None) -> StoredImage:
    """Raises ImageError in one sentence where it cannot be made."""
    with tempfile.TemporaryDirectory(prefix=".base-", dir=_place(store)) as scratch:
        found = packages.collect(SLIM, _cache(store), Path(scratch), tell)
        tell(f"writing the layer of {len(found)} packages")
        return image.write(store, [name], "debian-slim", tree(found), {"Cmd": ["bash"]})


def python(store: ImageStore, name: str, below: StoredImage, tell: image.Tell = lambda words: None
           ) -> StoredImage:
    """Debian's python3 with pip, on debian-slim.  Raises ImageError."""
    with tempfile.TemporaryDirectory(prefix=".base-", dir=_place(store)) as scratch:
        found = packages.collect((*SLIM, *PYTHON), _cache(store), Path(scratch), tell)
        there = set(dpkg_names(store, below))
        new = [package for package in found if package.name not in there]
        version = next(package.value("Version") for package in found if package.name == "python3").partition("-")[0]
        tell(f"writing the layer of {len(new)} packages")
        settings = {"Env": [image.PATH, "LANG=C.UTF-8", f"PYTHON_VERSION={version}"], "Cmd": ["python3"]}
        return image.write(store, [name], "python", _python_tree(found, new), settings, below)


def _place(store: ImageStore) -> Path:
    parent = store.root / "base"
    parent.mkdir(parents=True, exist_ok=True)
    return parent


def _cache(store: ImageStore) -> Path:
    return _place(store) / "packages"


def dpkg_names(store: ImageStore, found: StoredImage) -> Iterator[str]:
    """The packages that an image's dpkg knows."""
    with open(store.blob(found.layers[-1].digest), "rb") as file, tarfile.open(fileobj=file, mode="r:*") as tar:
        stream = tar.extractfile("var/lib/dpkg/status")
        if stream is None:
            raise ImageError(f"{found.name} has no list of its packages")
        for line in stream:
            if line.startswith(b"Package: "):
                yield line[9:].strip().decode()


def tree(found: Sequence[deb.Package]) -> list[Entry]:
    """All files of a system that has these packages."""
    made = {entry.path: entry for package in found for entry in _sorted(package)}
    for name in deb.MERGED:
        if name in ("bin", "sbin", "lib") or any(path.startswith(f"usr/{name}/") for path in made):
            made[name] = Entry(name, tarfile.SYMTYPE, 0o777, link=f"usr/{name}")
            made[f"usr/{name}"] = Entry(f"usr/{name}", tarfile.DIRTYPE, 0o755)
    for path, mode in _DIRECTORIES:
        made[path] = Entry(path, tarfile.DIRTYPE, mode, gid=8 if path == "var/mail" else 0)
    made |= {path: Entry(path, tarfile.SYMTYPE, 0o777, link=target) for path, target in _LINKS.items()}
    for name, target in _ALTERNATIVES.items():
        if f"usr/bin/{target}" in made:
            made[f"etc/alternatives/{name}"] = _link(f"etc/alternatives/{name}", f"/usr/bin/{target}")
            made[f"usr/bin/{name}"] = _link(f"usr/bin/{name}", f"/etc/alternatives/{name}")
    texts = {path: text for path, origin in _COPIES.items() if (text := _text(made.get(origin)))}
    texts["etc/passwd"] = texts.get("etc/passwd", "root:*:0:0:root:/root:/bin/bash\n") \
        + "_apt:*:42:65534::/nonexistent:/usr/sbin/nologin\n"
    texts["etc/passwd"] = texts["etc/passwd"].replace(":*:", ":x:")
    texts["etc/group"] = texts.get("etc/group", "root:*:0:\n").replace(":*:", ":x:")
    users = [line.partition(":")[0] for line in texts["etc/passwd"].splitlines()]
    texts["etc/shadow"] = "".join(f"{user}:*:19000:0:99999:7:::\n" for user in users)
    texts |= {f"etc/pam.d/common-{name}": text for name, text in _PAM.items()}
    texts["etc/pam.d/common-session-noninteractive"] = _PAM["session"]
    texts |= _database(found)
    made |= {path: of_text(path, text.encode()) for path, text in texts.items()}
    made["etc/shadow"] = Entry("etc/shadow", mode=0o640, gid=42, size=len(texts["etc/shadow"]),
                               content=made["etc/shadow"].content)
    made |= {path: entry for package in found for path, entry in _info(package)}
    return list(made.values())


def _python_tree(every: Sequence[deb.Package], new: Sequence[deb.Package]) -> list[Entry]:
    made = {entry.path: entry for package in new for entry in _sorted(package)
            if not entry.path.endswith("/EXTERNALLY-MANAGED")}  # pip may install: nothing else manages an image
    for name, target in (("python", "/usr/bin/python3"), ("python3", "/usr/bin/python3"), ("pip", "/usr/bin/pip3")):
        made[f"usr/local/bin/{name}"] = _link(f"usr/local/bin/{name}", target)
    certificates = [entry for path, entry in sorted(made.items())
                    if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt")]
    if certificates:
        bundle = "".join(_text(entry) for entry in certificates).encode()
        made["etc/ssl/certs/ca-certificates.crt"] = of_text("etc/ssl/certs/ca-certificates.crt", bundle)
    made |= {path: of_text(path, text.encode()) for path, text in _database(every).items()}
    made |= {path: entry for package in new for path, entry in _info(package)}
    return list(made.values())


def _sorted(package: deb.Package) -> Iterator[Entry]:
    """Directories of several packages are the same; what was a link in one stays so."""
    yield from sorted(package.entries, key=lambda entry: entry.path)


def _link(path: str, target: str) -> Entry:
    return Entry(path, tarfile.SYMTYPE, 0o777, link=target)


def _text(entry: Entry | None) -> str:
    if entry is None or entry.content is None:
        return ""
    with entry.content() as content:
        return content.read().decode(errors="replace")


def _database(found: Sequence[deb.Package]) -> dict[str, str]:
    status = "\n".join(deb.paragraph(package) for package in found)
    return {"var/lib/dpkg/status": status, "var/lib/dpkg/available": "", "var/lib/dpkg/diversions": "",
            "var/lib/dpkg/statoverride": "", "var/lib/dpkg/lock": "",
            "var/lib/dpkg/arch": f"{next((p.value('Architecture') for p in found if p.name == 'dpkg'), 'amd64')}\n",
            "etc/apt/sources.list.d/debian.sources": _sources(found)}


def _sources(found: Sequence[deb.Package]) -> str:
    """Where apt finds more."""
    whose, name = release(found)
    if not name:
        return ""
    parts = {"debian": (("http://deb.debian.org/debian", f"{name} {name}-updates", "main"),
                        ("http://deb.debian.org/debian-security", f"{name}-security", "main")),
             "ubuntu": (("http://archive.ubuntu.com/ubuntu", f"{name} {name}-updates {name}-security",
                         "main universe"),)}
    return "\n".join(f"Types: deb\nURIs: {place}\nSuites: {suites}\nComponents: {components}\n"
                     f"Signed-By: /usr/share/keyrings/{whose}-archive-keyring.gpg\n"
                     for place, suites, components in parts.get(whose, ()))


def release(found: Sequence[deb.Package]) -> tuple[str, str]:
    """debian and bookworm, say; nothing if the packages do not tell."""
    told = next((e for p in found if p.name == "base-files" for e in p.entries if e.path == "usr/lib/os-release"), None)
    fields = dict(line.partition("=")[::2] for line in _text(told).splitlines())
    return fields.get("ID", ""), fields.get("VERSION_CODENAME", "")


def _info(package: deb.Package) -> Iterator[tuple[str, Entry]]:
    for suffix, content in sorted(package.info.items()):
        path = f"var/lib/dpkg/info/{package.stem}.{suffix}"
        script = suffix in ("preinst", "postinst", "prerm", "postrm", "config")
        yield path, of_text(path, content, mode=0o755 if script else 0o644)
