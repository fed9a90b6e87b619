"""JupyterLab on the learner's copy, with the cluster's kubectl in every terminal.

The server listens on loopback only and keeps Jupyter's own token.  It inherits KUBECONFIG and a PATH
with the venv's programs, so a terminal in JupyterLab is as good as a cell.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from kitlib.book.execute import kernel_environment
from kitlib.cluster.errors import KitError


def jupyter_command(notebook: Path, *, browser: bool, port: int = 0) -> list[str]:
    """The command line that opens JupyterLab on one notebook.  port 0: Jupyter's own choice."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise KitError("JupyterLab is not installed here: `pip install 'kitlib[lab]'`, or `python3 -m kitlib lab …` "
                       "in a checkout, which does it for you")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={notebook.parent}",
               f"--LabApp.default_url=/lab/tree/{notebook.name}", "--ServerApp.ip=127.0.0.1"]
    if port:
        command.append(f"--ServerApp.port={port}")
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def launch(notebook: Path, kubeconfig: Path, *, browser: bool, port: int = 0) -> None:
    """Become JupyterLab (this process is replaced; Ctrl-C ends it, the cluster stays)."""
    # Our settings come first: no question about news on the first screen, and no looking for it on the Internet.
    config = [str(Path(__file__).with_name("jupyter")), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    env = kernel_environment({"KUBECONFIG": str(kubeconfig),
                              "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, config))})
    command = jupyter_command(notebook, browser=browser, port=port)
    sys.stdout.flush()
    os.execve(command[0], command, env)
