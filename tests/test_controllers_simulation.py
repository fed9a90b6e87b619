"""Whatever goes wrong, in whatever order, it converges.  Each seed is one history, and replays exactly.

KIT_SEEDS says how many (CI runs thousands at night); a failure names its seed.
"""

from __future__ import annotations

import os
import random
from typing import Any
from zlib import crc32

import pytest
from controller_faults import FaultyTransport, Killed
from controller_world import World, daemon_set, deployment, stateful_set, template

from kitlib.client import Client, Manager
from kitlib.controllers.daemonset import DaemonSet
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.garbagecollector import GarbageCollector
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.controllers.rollout import max_replicas
from kitlib.controllers.serviceaccount import ServiceAccount
from kitlib.controllers.statefulset import StatefulSet
from kitlib.objects import meta
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import controller_of
from kitlib.scheduler.scheduler import Scheduler

SEEDS = int(os.environ.get("KIT_SEEDS", "20"))
DEPLOYMENTS, SETS = "deployments.apps", "statefulsets.apps"


class Simulation(World):
    """A World whose controllers and scheduler talk through a bad network and may die."""

    def __init__(self, seed: int, *, lose: float = 0.0) -> None:
        self.dice = random.Random(seed)
        self.lose = lose
        meta._random.seed(seed)   # names and uids are part of the history
        super().__init__(nodes=3, ready_after=lambda pod: crc32(pod["metadata"]["name"].encode()) % 5 * 0.4 + 0.2)
        self.faulty = FaultyTransport(self.transport, self.dice, lose=lose)
        self.settle(1)
        self.deaths = 0
        self.restart()

    def restart(self) -> None:
        """New processes: empty caches, empty queues, nothing remembered."""
        relist = 20.0 if self.lose else 0.0

        def client(agent: str) -> Client:
            return Client(self.faulty, agent)

        self.manager.stop()
        self.scheduling.stop()
        self.manager = Manager(client, self.clock, relist=relist)
        self.scheduling = Manager(client, self.clock, component="kube-scheduler", relist=relist)
        for make in (Deployment, StatefulSet, DaemonSet, ReplicaSet, GarbageCollector, ServiceAccount):
            self._add(self.manager, make())
        self._add(self.scheduling, Scheduler())

    def _add(self, manager: Manager, controller: Any) -> None:
        calm, self.faulty.calm = self.faulty.calm, True   # starting up reads only
        manager.add(controller)
        self.faulty.calm = calm

    def live(self, seconds: float) -> None:
        """Time goes by, in small steps, with faults."""
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            try:
                for _ in range(5):
                    self.turn()
            except Killed:
                self.deaths += 1
                self.restart()
            if self.dice.random() < 0.01:
                self.restart()
            self.check_always()
            self.clock.advance(0.1)

    def act(self) -> None:
        """What a user might do next."""
        choice = self.dice.choice(["scale", "scale", "template", "kill", "kill", "release", "create", "delete", "sts"])
        apps = self.names(DEPLOYMENTS)
        pods = [p for p in self.list("pods") if "deletionTimestamp" not in p["metadata"]]
        try:
            if choice == "create" or not apps:
                self.create(DEPLOYMENTS, deployment(f"app-{self.dice.randint(0, 2)}", self.dice.randint(0, 5)))
            elif choice == "scale":
                self.patch(DEPLOYMENTS, self.dice.choice(apps), {"spec": {"replicas": self.dice.randint(0, 6)}})
            elif choice == "template":
                name = self.dice.choice(apps)
                self.patch(DEPLOYMENTS, name, {"spec": {"template": template(name, str(self.dice.randint(1, 4)))}})
            elif choice == "delete":
                self.user.delete(DEPLOYMENTS, "default", self.dice.choice(apps),
                                 propagation=self.dice.choice(["Background", "Foreground"]))
            elif choice == "sts":
                self.patch(SETS, "db", {"spec": {"replicas": self.dice.randint(0, 4),
                                                 "template": template("db", str(self.dice.randint(1, 3)))}})
            elif choice == "kill" and pods:
                self.user.delete("pods", "default", self.dice.choice(pods)["metadata"]["name"])
            elif choice == "release" and pods:
                victim = self.dice.choice(pods)
                if (controller_of(victim) or {}).get("kind") == "ReplicaSet":
                    self.patch("pods", victim["metadata"]["name"], {"metadata": {"labels": {"app": "released"}}})
        except StatusError as error:
            if error.code not in (404, 409):   # gone meanwhile, or there already: that is life
                raise

    def check_always(self) -> None:
        """What must hold at every moment, not only in the end."""
        if self.lose:
            return   # who is told nothing for seconds must act on what it sees
        by_owner: dict[str, int] = {}
        for pod in self.list("pods"):
            owner = controller_of(pod)
            if owner and "deletionTimestamp" not in pod["metadata"]:
                by_owner[owner["uid"]] = by_owner.get(owner["uid"], 0) + 1
        for replica_set in self.list("replicasets.apps"):
            count, wanted = by_owner.get(replica_set["metadata"]["uid"], 0), replica_set["spec"]["replicas"]
            peak = self.peaks.setdefault(replica_set["metadata"]["uid"], 0)
            self.peaks[replica_set["metadata"]["uid"]] = max(peak, wanted)
            assert count <= self.peaks[replica_set["metadata"]["uid"]], "more Pods than were ever asked for"

    peaks: dict[str, int]

    def end_well(self) -> None:
        """The network recovers; then everything must be as it was asked for."""
        self.faulty.calm = True
        self.settle(400, step=1.0)
        names = {d["metadata"]["name"]: d for d in self.list(DEPLOYMENTS)}
        sets = {s["metadata"]["uid"]: s for s in self.list("replicasets.apps")}
        pods = self.list("pods")
        for name, found in names.items():
            status, wanted = found["status"], found["spec"]["replicas"]
            counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
            assert counts == [wanted] * 3, name
            assert status["observedGeneration"] == found["metadata"]["generation"]
            assert sum(1 for p in pods if p["metadata"]["labels"].get("app") == name and controller_of(p)) == wanted
            assert wanted <= max_replicas(found)
        for one in sets.values():
            owner = controller_of(one)
            assert owner is not None
            assert owner["name"] in names, "an orphan was left"
        for pod in pods:
            owner = controller_of(pod)
            assert owner is None or owner["kind"] != "ReplicaSet" or owner["uid"] in sets, "an orphan was left"
            assert pod["spec"].get("nodeName"), "a Pod was never scheduled"
        db = self.get(SETS, "db")
        ordinals = sorted(p["metadata"]["name"] for p in pods if p["metadata"]["labels"].get("app") == "db")
        assert ordinals == [f"db-{number}" for number in range(db["spec"]["replicas"])]
        assert db["status"]["currentRevision"] == db["status"]["updateRevision"]
        assert len([p for p in pods if p["metadata"]["labels"].get("app") == "agent"]) == 3


def simulate(seed: int, *, lose: float = 0.0) -> Simulation:
    simulation = Simulation(seed, lose=lose)
    simulation.peaks = {}
    simulation.create(SETS, stateful_set("db", 2))
    simulation.create("daemonsets.apps", daemon_set("agent"))
    for _ in range(12):
        simulation.act()
        simulation.live(simulation.dice.choice([0.2, 1.0, 4.0]))
    simulation.end_well()
    return simulation


@pytest.mark.parametrize("seed", range(SEEDS))
def test_it_converges_through_late_events_refusals_and_deaths(seed):
    simulate(seed)


@pytest.mark.parametrize("seed", range(1000, 1000 + SEEDS // 3 + 1))
def test_with_lists_from_time_to_time_it_converges_even_if_events_are_lost(seed):
    simulate(seed, lose=0.1)


def test_the_simulation_does_kill_and_a_seed_replays_exactly():
    runs = [simulate(7), simulate(7)]
    assert runs[0].store.revision == runs[1].store.revision
    assert sum(simulate(seed).deaths for seed in range(3)) > 0
