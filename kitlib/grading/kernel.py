"""A learner's kernel, as the grader talks to it: run this text, wait so long, then stop it.

Outputs are thrown away as they come; nothing that a kernel sends is believed or unpickled.  A cell that
does not end is interrupted; a kernel that ignores that is killed and a new one takes its place.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

START_SECONDS = 60
GRACE_SECONDS = 4


class Kernel:
    """One ipykernel process.  prefix: makes its command line a confined one."""

    def __init__(self, work: Path, env: Mapping[str, str], confined: Any) -> None:
        self.work, self.env, self._confined = work, dict(env), confined
        self._manager: Any = None
        self._client: Any = None

    def start(self) -> None:
        """Start it and wait until it answers.  Raises RuntimeError if it does not."""
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import KernelManager

        # parent_handle 0: in a process namespace of its own a kernel would take its parent for dead; bubblewrap
        # ends it with us.
        argv = self._confined([sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                               "--IPKernelApp.parent_handle=0"])
        name = f"k{time.monotonic_ns() % 10**9}.json"  # short: the path of a Unix socket has 107 bytes
        manager = KernelManager(transport="ipc", connection_file=str(self.work / name))
        # message: the kernel interrupts itself, which also works from inside another process namespace.
        manager._kernel_spec = KernelSpec(argv=argv, display_name="learner", language="python",
                                          interrupt_mode="message")
        self._write_connection_file(manager)
        manager.start_kernel(cwd=str(self.work), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = manager.blocking_client()
        client.start_channels()
        self._manager, self._client = manager, client
        client.wait_for_ready(timeout=START_SECONDS)

    def _write_connection_file(self, manager: Any) -> None:
        manager.write_connection_file()
        self._confined([])  # an other-user sandbox makes the new file readable for its user

    def run(self, source: str, timeout: float) -> str:
        """Run one cell: "ok", "error: …", "timeout" (and the kernel is usable again) or "died"."""
        message = self._client.execute(source, store_history=False, allow_stdin=False)
        outcome = self._await(message, time.monotonic() + timeout)
        if outcome != "timeout":
            return outcome
        self._manager.interrupt_kernel()
        if self._await(message, time.monotonic() + GRACE_SECONDS) in ("timeout", "died"):
            self.stop()
            self.start()
            return "died"
        return "timeout"

    def _await(self, message: str, end: float) -> str:
        while time.monotonic() < end:
            self._drain()
            try:
                reply = self._client.get_shell_msg(timeout=0.05)
            except Empty:
                if not self._manager.is_alive():
                    self.start()
                    return "died"
                continue
            if reply.get("parent_header", {}).get("msg_id") == message:
                content = reply.get("content", {})
                if content.get("status") == "ok":
                    return "ok"
                return f"error: {str(content.get('ename', ''))[:80]}: {str(content.get('evalue', ''))[:300]}"
        return "timeout"

    def _drain(self) -> None:
        """Throw away what the cell prints, so that a flood of it fills no memory of ours."""
        for _ in range(1000):
            try:
                self._client.get_iopub_msg(timeout=0)
            except Empty:
                return

    def stop(self) -> None:
        if self._client is not None:
            self._client.stop_channels()
        if self._manager is not None:
            self._manager.shutdown_kernel(now=True)
        self._client = self._manager = None


def environment(base: Mapping[str, str], kubeconfig: Path, work: Path, keep: Sequence[str] = ()) -> dict[str, str]:
    """What a learner's kernel may know: a PATH, its cluster, a home of its own; nothing of the grader's."""
    from kitlib.book.execute import kernel_environment

    kept = {name: base[name] for name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", *keep) if name in base}
    full = kernel_environment(kept)
    allowed = {*kept, "PATH", "PYDEVD_DISABLE_FILE_VALIDATION"}
    return {**{k: v for k, v in full.items() if k in allowed}, "HOME": str(work), "TMPDIR": str(work),
            "KIT_HOME": str(work / "kit"), "IPYTHONDIR": str(work / "ipython"), "JUPYTER_RUNTIME_DIR": str(work),
            "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
