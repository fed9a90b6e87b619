"""Recordings whose programs print something, played by stock kubectl on real processes: the output is compared.

scenarios/recorded.py has the recordings; the other replays have a fake shell and virtual time.  `<ns>`, `<node>` and
`<time>` in an output stand for what is different in every cluster.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from scenarios.recorded import scenarios
from support import Kubectl, eventually

PRINTING = {name: scenario for name, scenario in scenarios().items()
            if any(action["do"] == "logs" for action in scenario["actions"])}
# The kubelet's own annotations of a Pod that came from a file or the API; nothing that a Pod asked for.
OF_THE_KUBELET = re.compile(r'kubernetes\.io/config\.(seen|source)="[^"]*"\n')


@pytest.mark.parametrize("name", PRINTING)
def test_programs_print_what_they_printed_on_a_real_node(kubectl: Kubectl, name: str) -> None:
    compared = 0
    for action in PRINTING[name]["actions"]:
        wait_for(kubectl, action.get("after", ""))
        if action["do"] == "apply":
            kubectl("create", "-f", "-", stdin=action["object"])
        elif action["do"] == "logs":
            pod = name_of(kubectl, action["object"]["name"])
            said = kubectl("logs", pod, *(["-c", action["container"]] if "container" in action else []))
            assert said == filled_in(kubectl, pod, action["output"])
            compared += 1
    assert compared


def wait_for(kubectl: Kubectl, what: str) -> None:
    """What the recorder waited for before it acted."""
    if match := re.fullmatch(r"Pod (\S+) has phase (\S+)", what):
        pod, phase = match.groups()
        eventually(lambda: kubectl.get("pod", pod)["status"]["phase"] == phase)
    elif match := re.fullmatch(r"Job (\S+) has finished", what):
        kubectl("wait", f"job/{match[1]}", "--for=condition=Complete", "--timeout=60s")


def name_of(kubectl: Kubectl, recorded: str) -> str:
    """`job-1-<pod1>` stands for the one Pod whose name begins so."""
    beginning = recorded.partition("<")[0]
    [found] = [pod["metadata"]["name"] for pod in kubectl.get("pods")["items"]
               if pod["metadata"]["name"].startswith(beginning)]
    return str(found)


def filled_in(kubectl: Kubectl, pod: str, output: str) -> str:
    spec: dict[str, Any] = kubectl.get("pod", pod)["spec"]
    return OF_THE_KUBELET.sub("", output).replace("<ns>", kubectl.namespace).replace("<node>", spec["nodeName"])
