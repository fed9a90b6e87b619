"""The runtime daemon's event loop: epoll, a heap of timers, nothing else.

Not asyncio: importing that costs more memory than the whole daemon may use.  A callback belongs to a file descriptor
and is called when it is readable (or writable); what never blocks needs no coroutine.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import signal
import time
from collections.abc import Callable

Callback = Callable[[], None]
_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Callback]] = []
        self._sequence = itertools.count()
        self._signals: dict[int, Callback] = {}
        self._running = False
        self._wakeup, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.reader(self._wakeup, self._on_signals)

    def _update(self, fd: int, before: bool) -> None:
        mask = (_READ if fd in self._readers else 0) | (select.EPOLLOUT if fd in self._writers else 0)
        if not mask:
            self._epoll.unregister(fd)
        elif before:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)

    def _set(self, table: dict[int, Callback], fd: int, callback: Callback | None) -> None:
        before = fd in self._readers or fd in self._writers
        if callback is not None:
            table[fd] = callback
        elif table.pop(fd, None) is None:
            return
        self._update(fd, before)

    def reader(self, fd: int, callback: Callback | None) -> None:
        """Call back while `fd` has something to read or was hung up; None stops it."""
        self._set(self._readers, fd, callback)

    def writer(self, fd: int, callback: Callback | None) -> None:
        self._set(self._writers, fd, callback)

    def forget(self, fd: int) -> None:
        """To be called before the descriptor is closed."""
        self.reader(fd, None)
        self.writer(fd, None)

    def later(self, seconds: float, callback: Callback) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._sequence), callback))

    def on_signal(self, number: int, callback: Callback) -> None:
        self._signals[number] = callback
        signal.signal(number, lambda *_: None)

    def _on_signals(self) -> None:
        for number in set(os.read(self._wakeup, 4096)):
            if number in self._signals:
                self._signals[number]()

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        self._running = True
        while self._running:
            timeout = -1.0
            if self._timers:
                timeout = max(0.0, self._timers[0][0] - time.monotonic())
            for fd, mask in self._epoll.poll(timeout):
                if mask & _READ and fd in self._readers:
                    self._call(self._readers[fd], fd)
                if mask & ~select.EPOLLIN and fd in self._writers:
                    self._call(self._writers[fd], fd)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                self._call(heapq.heappop(self._timers)[2])

    def _call(self, callback: Callback, fd: int = -1) -> None:
        """One failing callback must not take every Pod of the cluster along: it is reported, and not called again."""
        try:
            callback()
        except Exception:
            import traceback  # late: it is not small, and rarely needed

            traceback.print_exc()
            if fd >= 0 and fd != self._wakeup:
                self.forget(fd)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self._epoll.close()
        os.close(self._wakeup)
