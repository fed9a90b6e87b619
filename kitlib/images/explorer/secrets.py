"""What looks like a secret in an image, and whether a later layer has only hidden it.

A file that a later RUN removes is gone from what a container sees, but it lies in its own layer for everybody who has
the image.  Looks at names, at the beginning of small files, and at variables and build arguments in the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

SMALL = 64 * 1024
_KEPT_AS = r"(\.(txt|key|pem|json|ya?ml|env|ini|cfg|conf|properties|toml|xml))?"
_NAMES = (
    (re.compile(r"(^|/)id_(rsa|dsa|ecdsa|ed25519)$"), "the name of a private SSH key"),
    (re.compile(r"(^|/)\.env(\.\w+)?$"), "a file with settings of an application"),
    (re.compile(r"(^|/)\.(netrc|npmrc|pypirc|pgpass|git-credentials|dockercfg)$"), "a file with credentials"),
    (re.compile(r"(^|/)(\.docker/config\.json|\.aws/credentials|\.kube/config|kubeconfig)$"),
     "a file with credentials"),
    (re.compile(rf"(^|[/_.-])(password|passwd|secret|token|credential)s?{_KEPT_AS}$", re.IGNORECASE),
     "its name says so"))
_ANY_NAME = re.compile("|".join(f"(?:{pattern.pattern})" for pattern, _ in _NAMES), re.IGNORECASE)
_TOKENS = (
    (b"PRIVATE KEY-----", re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"), "a private key"),
    (b"AKIA", re.compile(rb"\bAKIA[0-9A-Z]{16}\b"), "an AWS access key"),
    (b"gh", re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b"), "a GitHub token"))
# A line that gives such a thing a value: DB_PASSWORD=…, export API_TOKEN="…", secret: … (but no $VARIABLE, true, null).
_HINTS = (b"passw", b"secret", b"token", b"api_key", b"apikey")  # in lower case: without one of them nothing is set
_SETS = re.compile(rb"""(?:password|passwd|secret|token|api_?key)[\w.-]*["']?[ \t]*[=:][ \t]*["']?"""
                   rb"""(?!(?:true|false|null|none|files)\b)[^\s"'$<{(%]{4}""")
_BEFORE = re.compile(rb"""[ \t]*(?:export[ \t]+|-[ \t]+)?["']?[\w.-]*""")
_VARIABLE = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL)", re.IGNORECASE)
_ASSIGNED = re.compile(r"\b(\w*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)\w*)=(\S+)", re.IGNORECASE)
# Where distributions and package managers put what everybody has, and files that are code: full of such words.
_HARMLESS_PLACES = (
    "usr/share/", "usr/lib/", "usr/lib64/", "usr/libexec/", "usr/include/", "usr/bin/", "usr/sbin/", "usr/local/lib/",
    "usr/local/share/", "usr/local/include/", "usr/local/bin/", "bin/", "sbin/", "lib/", "lib64/", "var/lib/dpkg/",
    "var/lib/apt/", "etc/pam.d/", "etc/security/", "etc/ssl/", "etc/init.d/", "etc/alternatives/")
_HARMLESS_FILES = ("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/nsswitch.conf", "etc/login.defs")
_HARMLESS_PARTS = ("/site-packages/", "/dist-packages/", "/node_modules/", "/.git/objects/")
_HARMLESS_KINDS = (".py", ".pyc", ".pyi", ".so", ".h", ".c", ".cc", ".cpp", ".go", ".rs", ".java", ".class", ".jar",
                   ".js", ".mjs", ".ts", ".css", ".map", ".rb", ".php", ".md", ".rst", ".html", ".svg", ".png", ".gz",
                   ".xz", ".zip")


@dataclass(frozen=True, slots=True)
class Finding:
    """layer: its number, 0 for the configuration; hidden_by: the layer that removed or replaced it, or None."""

    where: str
    layer: int
    why: str
    hidden_by: int | None = None


class Looker:
    """Sees the files of one layer as they are scanned."""

    def __init__(self, layer: int) -> None:
        self._layer = layer
        self._harmless: dict[str, bool] = {}  # directories that were met, and whether nobody keeps secrets there
        self.found: list[Finding] = []

    def wants(self, path: str, size: int) -> int:
        if path.endswith(_HARMLESS_KINDS):
            return 0
        directory = path.rpartition("/")[0]
        harmless = self._harmless.get(directory)
        if harmless is None:
            harmless = self._harmless[directory] = f"{directory}/".startswith(_HARMLESS_PLACES) or any(
                part in f"{directory}/" for part in _HARMLESS_PARTS)
        if harmless or (directory == "etc" and path.startswith(_HARMLESS_FILES)):
            return 0
        if size <= SMALL:
            return size
        return 1 if _ANY_NAME.search(path) else 0

    def see(self, path: str, data: bytes) -> None:
        why = "" if b"\0" in data[:1024] else _in_text(data)
        if not why and _ANY_NAME.search(path):
            why = next((text for pattern, text in _NAMES if pattern.search(path)), "")
        if why:
            self.found.append(Finding("/" + path, self._layer, why))


def _in_text(data: bytes) -> str:
    """What it is, or ""."""
    for hint, pattern, what in _TOKENS:
        if hint in data and pattern.search(data):
            return what
    lower = data.lower()
    if any(hint in lower for hint in _HINTS):
        for match in _SETS.finditer(lower):
            if _BEFORE.fullmatch(lower, lower.rfind(b"\n", 0, match.start()) + 1, match.start()):
                return "a line that sets a password or token"
    return ""


def in_config(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Variables of the image, and build arguments that the history tells everybody."""
    for item in (config.get("config") or {}).get("Env") or ():
        name, _, value = item.partition("=")
        if value and _VARIABLE.search(name):
            yield Finding(f"ENV {name}", 0, "a variable of every container, and of `docker inspect`")
    for line in config.get("history") or ():
        for name, _ in _ASSIGNED.findall(line.get("created_by") or ""):
            if not line["created_by"].lstrip().startswith("ENV "):
                yield Finding(f"history: {name}", 0, "its value stands in `docker history`")


def hidden(found: list[Finding], removed: Mapping[str, int]) -> list[Finding]:
    """removed: path → the last layer that removed or replaced it.

    The same, with the layer that hides each; those that are hidden come first: nobody expects them."""
    result = []
    for each in found:
        by = removed.get(each.where.lstrip("/")) if each.layer else None
        result.append(replace(each, hidden_by=by) if by is not None and by > each.layer else each)
    return sorted(result, key=lambda f: (f.hidden_by is None, f.layer, f.where))
