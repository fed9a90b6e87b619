"""Who hears a container's output as it comes, and writes to it.

    session (runtime) ──▶ Audience ──┬──▶ Listener ──▶ docker attach, docker run
                                     └──▶ Listener ──▶ another one

A listener that does not read stops the container once a megabyte waits for it, as in Docker: nothing is lost.

Frames where there is no terminal:  1 byte stream · 3 bytes 0 · 4 bytes length, big endian · payload

Source: moby 20.10, pkg/stdcopy, container/stream/attach.go, pkg/broadcaster; moby/term proxy.go (detach keys).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from kitlib.engine.errors import bad_request

_MUCH = 1 << 20
DETACH = "ctrl-p,ctrl-q"


class Listener:
    def __init__(self, stdout: bool, stderr: bool) -> None:
        self._wanted = {1: stdout, 2: stderr}
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self._ended = False
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()

    def put(self, stream: int, data: bytes) -> None:
        if self._wanted.get(stream) and not self._ended:
            self._waiting.append((stream, data))
            self._size += len(data)
            self._news.set()
            if self._size > _MUCH:
                self._room.clear()

    def end(self) -> None:
        self._ended = True
        self._news.set()
        self._room.set()

    async def room(self) -> None:
        await self._room.wait()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            while self._waiting:
                stream, data = self._waiting.popleft()
                self._size -= len(data)
                if self._size <= _MUCH:
                    self._room.set()
                yield stream, data
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()


class Audience:
    def __init__(self) -> None:
        self.listeners: set[Listener] = set()

    def join(self, *, stdout: bool = True, stderr: bool = True) -> Listener:
        listener = Listener(stdout, stderr)
        self.listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        listener.end()
        self.listeners.discard(listener)

    async def tell(self, stream: int, data: bytes) -> None:
        for listener in list(self.listeners):
            listener.put(stream, data)
        for listener in list(self.listeners):
            await listener.room()

    def end(self) -> None:
        """The run is over: whoever listened has heard it all."""
        for listener in list(self.listeners):
            self.leave(listener)


def frame(stream: int, data: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


def keys(text: str) -> bytes:
    """ctrl-p,ctrl-q or a,b → the bytes.  Raises EngineError."""
    codes = bytearray()
    for word in (text or DETACH).split(","):
        if len(word) == 1 and word.isascii():
            codes.append(ord(word))
        elif word.startswith("ctrl-") and len(word) == 6 and ("a" <= word[5] <= "z" or word[5] in "@[\\]^_"):
            codes.append(ord(word[5].upper()) & 0x1F)
        else:
            raise bad_request(f"Invalid detach keys ({text}): Unknown character: '{word}'")
    return bytes(codes)


class Escape:
    """Looks for the detach keys in what is typed."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence, self._seen = sequence, b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what goes on to the program, whether the client wants to leave)."""
        text, self._seen = self._seen + data, b""
        at = text.find(self._sequence)
        if at >= 0:
            return text[:at], True
        for length in range(min(len(self._sequence) - 1, len(text)), 0, -1):
            if self._sequence.startswith(text[-length:]):
                self._seen = text[-length:]
                return text[:-length], False
        return text, False
