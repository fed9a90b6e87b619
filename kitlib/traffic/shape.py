"""An answer in the shape that curl gives it: head, verbose tale, JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kitlib.traffic.exchange import Answer


def headers_of(lines: Iterable[str]) -> list[tuple[str, str]]:
    """curl's -H 'Name: value'; 'Name:' has an empty value, which leaves the header away.  Raises ValueError."""
    found = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(sign in line for sign in "\r\n"):
            raise ValueError(f"{line!r} is not a header: write 'Name: value'")
        found.append((name.strip(), value.strip()))
    return found


def head_of(answer: Answer) -> list[str]:
    return [f"{answer.protocol} {answer.status} {answer.reason}".rstrip(),
            *(f"{name}: {value}" for name, value in answer.headers)]


def verbose(answer: Answer) -> list[str]:
    """`curl -v`: * what happened, > what was sent, < what came."""
    lines = [f"* {note}" for note in answer.notes]
    if answer.sent:
        path = "/" + answer.url.partition("://")[2].partition("/")[2]
        lines += [f"> {answer.method} {path} HTTP/1.1", *(f"> {name}: {value}" for name, value in answer.sent), ">"]
    if answer.status:
        lines += [*(f"< {line}" for line in head_of(answer)), "<"]
    return [*lines, f"* {answer.seconds * 1000:.1f} ms"]


def text(answer: Answer, *, include: bool = False) -> str:
    """What a terminal would show: head (if wanted), body, or curl's complaint."""
    parts = ["\n".join(head_of(answer)) + "\n\n"] if include and answer.status else []
    parts.append(answer.text if answer.status else "")
    if answer.failure:
        parts.append(f"curl: {answer.failure}")
    return "".join(parts)


def as_json(answer: Answer) -> dict[str, Any]:
    failure = answer.failure
    why = {"kind": failure.kind, "code": failure.code, "message": failure.message} if failure else None
    return {"url": answer.url, "method": answer.method, "status": answer.status, "headers": dict(answer.headers),
            "body": answer.text, "seconds": round(answer.seconds, 6), "address": answer.address, "pod": answer.pod,
            "version": answer.version, "notes": answer.notes, "failure": why}
