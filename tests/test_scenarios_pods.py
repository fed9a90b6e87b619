"""The kubelet replays what a real cluster was recorded doing: each state of the Pod, each event, in order.

scenarios/recorded.py has the recordings; test_node_kubelet.py has the same stories in short.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from node_fakes import run
from node_scenario import Cluster
from scenarios.recorded import replayed, scenarios

from kitlib.objects.clock import FakeClock

NAMES = replayed("pod-", "config-")


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_pod_is_replayed_state_by_state(name: str, tmp_path: Path) -> None:
    scenario = scenarios()[name]
    clock = FakeClock()
    cluster = Cluster(tmp_path, clock)
    expected = distinct(next(t["states"] for t in scenario["transitions"] if t["object"] == "Pod/p"))
    run(clock, replay(cluster, scenario["actions"], len(expected)))
    assert expected == without_last_touch(cluster.recorder.of())
    events = [(e["type"], e["reason"], e.get("fieldPath", "")) for e in scenario["events"]
              if e["object"] == "Pod/p" and e["source"] == "kubelet"]
    assert events == cluster.events()


def distinct(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the times, and without what then is the same as before."""
    result: list[dict[str, Any]] = []
    for state in states:
        shown = {k: v for k, v in state.items() if k != "t"}
        if not result or result[-1] != shown:
            result.append(shown)
    return without_last_touch(result)


def without_last_touch(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The API server's own write of grace 0 an instant before DELETED: not the kubelet's doing."""
    return [s for s, after in zip(states, [*states[1:], {}], strict=True)
            if not (after.get("gone") and s.get("grace") == 0 and not s.get("finalizers"))]


async def replay(cluster: Cluster, actions: list[dict[str, Any]], states: int) -> None:
    await cluster.start()
    for action in actions:
        await wait_for(cluster, action.get("after", ""))
        if action["do"] == "apply":
            cluster.apply(action["object"])
        elif action["do"] == "delete":
            cluster.delete("p", action.get("gracePeriodSeconds"))
        elif action["do"] == "patch":
            cluster.person.patch("pods", "default", "p", action["patch"], kind=action.get("type", "merge"),
                                 subresource=action.get("subresource", ""))
    end = cluster.clock.now() + 120
    while len(without_last_touch(cluster.recorder.of())) < states and cluster.clock.now() < end:
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    await cluster.stop()


async def wait_for(cluster: Cluster, what: str) -> None:
    if what == "settled":
        await cluster.settled()
    elif what.endswith("s passed"):
        await asyncio.sleep(float(what.partition(" ")[0]))
    elif "has phase" in what:
        await cluster.until(lambda: cluster.phase() == what.rpartition(" ")[2])
