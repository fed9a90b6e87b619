"""The same load with wrk (https://github.com/wg/wrk), where it is installed: a generator in C costs less itself.

wrk sends for whole seconds and takes its requests from a Lua script.  The script here numbers the names
of what it creates, or goes through a number of names in turn.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from kitlib.bench.load import head
from kitlib.cluster.errors import KitError

SCRIPT = """
local number = -1
local headers = {%(headers)s}
function request()
  number = number + 1
  local name = string.format("%%06d", number %% %(names)d)
  local path, body = string.gsub(%(path)s, "@", name), %(body)s
  if body then body = string.gsub(body, "@", name) end
  return wrk.format(%(method)s, path, headers, body)
end
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\n{"seconds": %%f, "answers": %%d, "bad": %%d, "p50": %%f, "p99": %%f}\\n',
    summary.duration / 1e6, summary.requests, errors.connect + errors.read + errors.write + errors.status
    + errors.timeout, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
"""


def installed() -> str | None:
    return shutil.which("wrk")


def run(job: dict[str, Any], request: tuple[str, str, str], names: int) -> dict[str, Any]:
    """The request (method, path, body) for job["seconds"]; @ stands for 0 … names-1, in turn."""
    method, path, body = request
    script = SCRIPT % {
        "headers": ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in head(job).items()), "names": names,
        "method": _lua(method), "path": _lua(path), "body": _lua(body) if body else "nil"}
    with tempfile.TemporaryDirectory(prefix="kit-bench-") as directory:  # 0700: the script holds the token
        file = Path(directory, "load.lua")
        file.write_text(script)
        done = subprocess.run(["wrk", "--threads=1", f"--connections={job['connections']}",
                               f"--duration={max(1, round(job['seconds']))}s", "--timeout=10s", f"--script={file}",
                               f"https://{job['host']}:{job['port']}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise KitError(f"wrk failed: {(done.stderr or done.stdout).strip()}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _lua(text: str) -> str:
    """A Lua string.  JSON's escapes of printable ASCII are Lua's, too."""
    return json.dumps(text)
