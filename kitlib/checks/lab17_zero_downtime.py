"""Checks of lab17: a rolling update that loses no request (the talk's page 99).

Each exercise has a Deployment of its own (naive, ready, polite, patient, calm, hasty, steady, shop), so that all checks
can pass at the end.  What a check says about lost requests it has measured itself, a moment ago.

A keep-alive connection that the server closes just when the next request is on its way costs that request.  It happens
to one or two in a thousand, by chance; only the exercises about it (calm, shop) ask for none at all.
"""

from __future__ import annotations

import math
from typing import Any

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.rolling import available, container, deployment, end_one, env, roll
from kitlib.checks.world import Object, World
from kitlib.traffic.load.report import Report, stretches

TITLE = "Zero downtime"
MINUTES = 75
NAMESPACE = "lab17"

LOSES, NOTHING = "loses requests", "loses nothing"
PREDICTIONS: dict[str, tuple[str, str]] = {
    "the new Pod is Running, but its program still starts": (
        LOSES, "Running says that there is a process. Does the Service wait until that process listens, if nobody "
               "tells it to?"),
    "the old Pod is told to end while it works on a request": (
        LOSES, "SIGTERM ends a program that has no handler for it. What becomes of what it was just doing?"),
    "a Pod has left the endpoints, but a client has a connection to it": (
        LOSES, "Endpoints decide where the next connection goes. Which way do requests take that have one already?"),
    "the new Pod's readiness probe fails for a while": (
        NOTHING, "What does a rollout do with the old Pods as long as a new one is not ready?"),
    "the old Pod sleeps in its preStop hook": (
        NOTHING, "SIGTERM comes after the hook. What does the program do until then?"),
}
START = 0.4  # seconds: START_DELAY of naive and ready
BY_CHANCE = 3  # requests that keep-alive may cost
CROSSING = 8  # the same with fifty connections, half of them idle and closed at once; who is rude loses about twenty
LAG = 0.5  # seconds that the endpoints lag behind in exercise 5
HEARD = 0.5  # seconds within which every connection of the load has had its turn, and an answer
AT_THE_DOOR = ("refused", "unreachable")  # not accepted at all: that is the endpoints' lag, exercise 5
KINDS = {"refused", "reset", "closed", "timeout", "unreachable"}


def _measured(world: World, what: str, report: Report) -> None:
    world.note(f"measured: {report.line().strip()} ({what})")
    world.evidence[what] = {"sent": report.sent, "lost": report.lost, "errors": report.errors}


def _unchanged(obj: Object, **wanted: str) -> None:
    """The program's own nature is not the exercise's to change."""
    for name, value in wanted.items():
        if env(obj, name) != value:
            raise Wrong(f"{name} of {obj['metadata']['name']} is {env(obj, name) or 'gone'}",
                        "That is how this program is; here you can only change what surrounds it.",
                        expected=f"{name}={value}", actual=f"{name}={env(obj, name)}")


def _pre_stop(obj: Object) -> dict[str, Any]:
    found: dict[str, Any] = (container(obj).get("lifecycle") or {}).get("preStop") or {}
    return found


def _grace(obj: Object) -> int:
    return int(obj["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])


@exercise()
def predict_losses(world: World) -> None:
    """Predict when a rolling update loses requests"""
    given = world.answer("predictions", {situation: {LOSES, NOTHING} for situation in PREDICTIONS})
    for situation, (right, hint) in PREDICTIONS.items():
        if given[situation] != right:
            raise Wrong(f"{situation}: that {'is not harmless' if right == LOSES else 'harms nobody'}", hint,
                        actual=given[situation])


@exercise(points=2)
def measure_failure(world: World) -> None:
    """Measure what a naive rolling update loses"""
    given = world.answer("naive", {"lost": int, "kind": KINDS, "hole": float})
    naive = deployment(world, "naive")
    if container(naive).get("readinessProbe") or _pre_stop(naive):
        raise Wrong("naive has been improved", "Leave it as bad as it was: the next exercises have Deployments of "
                                               "their own, and this one is what you compare them with.")
    available(world, "naive", 1)
    mine = roll(world, "naive")
    _measured(world, "naive", mine)
    if given["lost"] <= 0:
        raise Wrong("nothing was lost, you say", "`report.lost` counts requests without an answer. If it is 0, was the "
                    "rollout in the `with` block, and was the load still on when the new Pod came?",
                    expected="more than 0", actual=given["lost"])
    kinds = {kind for kind, count in mine.errors.items() if count > BY_CHANCE}
    if given["kind"] not in kinds:
        raise Wrong(f"most of them were not lost by {given['kind']!r}",
                    "`report.errors` has how many were lost by kind, the most frequent first.", actual=given["kind"])
    times = [sample.due for sample in mine.samples if not sample.ok]
    hole = max(end - begin for begin, end in stretches(times))
    world.evidence["hole"] = hole
    if given["hole"] > 20:
        raise Wrong("a hole of more than 20 seconds", "Seconds, not milliseconds, and only the time between the first "
                    "lost request and the last: `sample.due`.", expected=f"about {hole:.1f}", actual=given["hole"])
    if not hole / 2.5 <= given["hole"] <= max(hole * 2.5, hole + 0.75):
        raise Wrong("the hole was not that long", "From when the first lost request was due until the last one was "
                    "due: `sample.due` of the samples that are not `ok`. The whole load lasted longer than the hole.",
                    expected=f"about {hole:.1f} s", actual=f"{given['hole']:.2f} s")


@exercise(points=2)
def wait_until_ready(world: World) -> None:
    """Deployment ready gets traffic only when it can answer"""
    ready = deployment(world, "ready")
    _unchanged(ready, START_DELAY=f"{START * 1000:.0f}ms")
    probe = container(ready).get("readinessProbe")
    if not probe:
        if container(ready).get("livenessProbe") or container(ready).get("startupProbe"):
            raise Wrong("ready has a probe, but not the one that decides about traffic",
                        "One kind of probe restarts, one holds the others back, one opens the door. Which one?",
                        expected="readinessProbe", actual=sorted(k for k in container(ready) if k.endswith("Probe")))
        if ready["spec"].get("minReadySeconds"):
            raise Wrong("`minReadySeconds` makes the Deployment wait, not the Service",
                        "A Pod without a readiness probe is ready, and an endpoint, from its first moment. Let "
                        "somebody ask the program.", actual={"minReadySeconds": ready["spec"]["minReadySeconds"]})
        raise Wrong("nobody asks the program whether it is ready", "A container of `ready` needs a `readinessProbe`; "
                    "kit/echo answers on /readyz, port 8080.")
    available(world, "ready", 1)
    report = roll(world, "ready", keepalive=False)
    _measured(world, "ready", report)
    if report.lost > BY_CHANCE:
        raise Wrong(f"a rolling update of ready still loses {report.lost} of {report.sent} requests",
                    "When does the probe say yes, and when does the program listen? `kubectl describe pod -l "
                    "app=ready` has both moments.", expected="none", actual=report.errors)


@exercise(points=2)
def finish_work(world: World) -> None:
    """A Pod of polite finishes what it was asked before it ends"""
    polite = deployment(world, "polite")
    _unchanged(polite, DELAY="200ms")
    available(world, "polite", 2)
    if env(polite, "ON_SIGTERM") == "ignore":
        raise Wrong("polite does not listen to SIGTERM at all", "Then the kubelet waits for the whole grace period and "
                    "kills it: SIGKILL cannot be ignored, and asks nobody what he was doing. The description of "
                    "kit/echo above knows a third way.", actual="ON_SIGTERM=ignore")
    name, report = end_one(world, "polite", rps=200, connections=50)
    _measured(world, "polite", report)
    begun = sum(count for kind, count in report.errors.items() if kind not in AT_THE_DOOR)
    if begun <= CROSSING:
        return
    lost = f"when Pod {name} ended, {begun} requests were lost that it had accepted"
    if _pre_stop(polite):
        raise Wrong(lost, "`preStop` puts the end off; when it comes it is as rude as before, and there are still "
                          "connections. Here the program itself has to learn manners.", actual=report.errors)
    if _grace(polite) != 30:
        raise Wrong(lost, "The grace period is the time that a program may take after SIGTERM. This one does not take "
                          "it: look at ON_SIGTERM.", actual=report.errors)
    raise Wrong(lost, "What does the program do at SIGTERM? The description of kit/echo above has a word for "
                      "finishing first.", expected="none", actual=report.errors)


@exercise(points=2)
def outlast_the_lag(world: World) -> None:
    """A Pod of patient goes on until the endpoints have forgotten it"""
    patient = deployment(world, "patient")
    hook, lifecycle = _pre_stop(patient), container(patient).get("lifecycle") or {}
    if not hook:
        if lifecycle.get("postStart"):
            raise Wrong("patient has a hook for its beginning", "`postStart` runs when a container starts. Which end "
                        "of its life is the trouble here?", actual=sorted(lifecycle))
        raise Wrong("patient ends as soon as it is told to", "Between the order to end and the last proxy that has "
                    "heard of it time passes. A hook before SIGTERM can let it pass: `lifecycle` of the container.")
    seconds = (hook.get("sleep") or {}).get("seconds")
    if seconds is not None and not 1 <= seconds <= 5:
        raise Wrong(f"`preStop` sleeps {seconds} seconds",
                    "Longer than the lag, and no longer than one wants to wait for a rollout: here the lag is under a "
                    "second. (On a big cluster people take 5 to 15.)", expected="1 to 5", actual=seconds)
    available(world, "patient", 1)
    report = roll(world, "patient", lag=LAG)
    _measured(world, f"patient, with a lag of {LAG:g} s", report)
    if report.lost > BY_CHANCE:
        raise Wrong(f"with endpoints that lag {LAG:g} s behind, {report.lost} requests were lost",
                    "Is the hook run at all, and to its end? `kubectl get events` would tell of a hook that failed; "
                    "and the grace period begins before the hook, not after it.", expected="none", actual=report.errors)


@exercise()
def who_still_asks(world: World) -> None:
    """Count who still asks a Pod that has left the endpoints"""
    given = world.answer("after-leaving", {"kept alive": int, "fresh": int})
    kept, fresh = given["kept alive"], given["fresh"]
    if kept == fresh == 0:
        raise Wrong("nobody asked it any more, you say", "Count the samples of the old Pod whose `due` is later than "
                    "its moment `no-endpoint`. In the figure they are the dots of its colour to the right of the ▼.",
                    actual=given)
    if kept <= 0 < fresh:
        raise Wrong("that is the other way round", "Who opens a connection for each request asks the Service each "
                    "time. Who keeps one does not.", actual=given)
    if fresh > max(BY_CHANCE, kept // 5):  # a proxy on a busy machine hears of it a little later than a watcher
        raise Wrong(f"{fresh} new connections went to a Pod that was no endpoint",
                    "From which moment did you count? Between `terminating` and `no-endpoint` it is still one.",
                    expected="0, or one or two that were under way", actual=fresh)
    if kept <= BY_CHANCE:
        raise Wrong(f"only {kept} requests on kept connections", "The Pod slept for a whole second while some of the "
                    "connections were to it. Was `keepalive=False` in the wrong load?", actual=given)


@exercise(points=3)
def say_goodbye(world: World) -> None:
    """A Pod of calm sends its clients away before it ends"""
    calm = deployment(world, "calm")
    if env(calm, "DRAIN") and _grace(calm) <= _seconds(env(calm, "DRAIN")):
        raise Wrong("calm wants to drain for longer than it may", "The grace period ends with SIGKILL, whatever the "
                    "program still had in mind. Which of the two numbers has to be the larger one?",
                    actual={"DRAIN": env(calm, "DRAIN"), "terminationGracePeriodSeconds": _grace(calm)})
    available(world, "calm", 2)
    name, report = end_one(world, "calm", rps=300, connections=30)
    for _ in range(2):
        if 0 < report.lost <= BY_CHANCE:  # a busy machine is not the learner's fault; three times in a row it is
            name, report = end_one(world, "calm", rps=300, connections=30)
    _measured(world, "calm", report)
    told = _moment(report, name, "terminating")
    gone = _moment(report, name, "gone")
    late = [sample for sample in report.samples if sample.pod == name and sample.due > told + HEARD]
    if gone - told < HEARD + 0.2:
        raise Wrong("calm ends at once, and closes every connection while its clients are talking",
                    "kit/echo can take a moment for it: after SIGTERM it goes on, and says `Connection: close` with "
                    "each answer. The description above has the word.", expected="a second between SIGTERM and the end",
                    actual=f"{gone - told:.2f} s")
    if late:
        raise Wrong(f"{len(late)} more requests came on old connections after Pod {name} was told to end",
                    "It waited, but said nothing: `preStop` is the kubelet's wait, of which the program knows nothing. "
                    "Let SIGTERM arrive, and the program send its clients away.",
                    expected="no request later than half a second after it", actual=f"{len(late)} requests")
    if report.lost:
        raise Wrong(f"{report.lost} requests were lost", "Look at the figure of a load like this one: at which moment "
                    "of the Pod's end?", expected="none", actual=report.errors)


def _seconds(text: str) -> float:
    """kit/echo's durations: 0.5, 200ms, 3s, 1m; 0 for what is none."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0)):
        if text.endswith(unit):
            try:
                return float(text[:len(text) - len(unit)]) * factor
            except ValueError:
                return 0.0
    return 0.0


def _moment(report: Report, pod: str, what: str) -> float:
    """When it happened to the Pod, in the load's seconds; the end of the load if it was not seen."""
    moments = [moment["at"] for line in report.pods if line["pod"] == pod
               for moment in line["moments"] if moment["what"] == what]
    return moments[-1] if moments else report.seconds


HOOK, DRAIN, SLOWEST = 1, 3.0, 0.5  # of hasty, in seconds
LEAST = math.ceil(HOOK + DRAIN + SLOWEST)


@exercise(points=2)
def enough_grace(world: World) -> None:
    """Deployment hasty has time for all it does at its end"""
    given = world.answer("grace", {"exit code": int, "at least": int})
    if given["exit code"] != 137:
        hint = "128 + 15 would be SIGTERM. What does the kubelet send to those who have not ended in time?" \
            if given["exit code"] == 143 else "The cell above prints how the container ended when its time was up."
        raise Wrong(f"a container that ran out of grace does not end with {given['exit code']}", hint,
                    actual=given["exit code"])
    if given["at least"] != LEAST:
        hint = "First the hook, then the drain, then the slowest request that came at its end: add them up, and " \
               "round up to whole seconds."
        if given["at least"] == LEAST - HOOK:
            hint = "The grace period begins with the deletion, not with SIGTERM: `preStop` is part of it."
        raise Wrong(f"{given['at least']} seconds are not the least that is enough", hint, actual=given["at least"])
    hasty = deployment(world, "hasty")
    if (_pre_stop(hasty).get("sleep") or {}).get("seconds") != HOOK or _seconds(env(hasty, "DRAIN")) != DRAIN:
        raise Wrong("hasty no longer does what it did at its end", "Give it more time, not less to do: `preStop` and "
                    "DRAIN stay as they were.")
    if _grace(hasty) < LEAST:
        raise Wrong("hasty itself is still in a hurry", "`spec.template.spec.terminationGracePeriodSeconds` of the "
                    "Deployment. Was it applied?", expected=f"at least {LEAST}", actual=_grace(hasty))


@exercise()
def never_fewer(world: World) -> None:
    """Deployment steady never has fewer than four Pods available, nor more than five"""
    steady = deployment(world, "steady")
    given = world.answer("default", {"fewest": int, "most": int})
    strategy = steady["spec"]["strategy"]
    if strategy["type"] != "RollingUpdate":
        raise Wrong("steady does not roll", "`Recreate` ends all Pods before it makes the first new one: a hole by "
                    "design. When would one want that?", expected="RollingUpdate", actual=strategy["type"])
    if (given["fewest"], given["most"]) != (3, 5):
        hint = "Both are 25 % by default. maxUnavailable is rounded down, maxSurge up; of four both are one."
        if (given["fewest"], given["most"]) == (4, 5):
            hint = "That is what you make of it now. The default also allows one Pod to be missing."
        raise Wrong("with the default strategy that is not what four replicas may become", hint,
                    actual=given)
    surge, missing = (_of_four(strategy["rollingUpdate"][key], up) for key, up in (("maxSurge", True),
                                                                                  ("maxUnavailable", False)))
    if steady["spec"]["replicas"] != 4:
        raise Wrong(f"steady asks for {steady['spec']['replicas']} Pods", "Four, please: `spec.replicas`.", expected=4,
                    actual=steady["spec"]["replicas"])
    if missing:
        raise Wrong(f"a rollout of steady may have only {4 - missing} Pods available",
                    "`maxUnavailable` is how many may be missing meanwhile.", expected=0, actual=missing)
    if surge != 1:
        raise Wrong(f"a rollout of steady may have {4 + surge} Pods", "`maxSurge` is how many more than wanted there "
                    "may be: each costs a place on a node.", expected=1, actual=surge)
    available(world, "steady", 4)


def _of_four(value: Any, up: bool) -> int:
    """maxSurge and maxUnavailable of four replicas: a number, or a percentage rounded up or down."""
    if isinstance(value, str):
        part = 4 * int(value.rstrip("%"))
        return -(-part // 100) if up else part // 100
    return int(value)


@exercise(points=3)
def lose_nothing(world: World) -> None:
    """A rolling update of shop under load loses no request"""
    shop = deployment(world, "shop")
    if shop["spec"]["replicas"] < 2:
        raise Wrong("shop has a single Pod", "A rollout could live with that; a node that fails could not. Two.",
                    expected=2, actual=shop["spec"]["replicas"])
    _unchanged(shop, START_DELAY=f"{START * 1000:.0f}ms", DELAY="50ms")
    available(world, "shop", 2)
    report = roll(world, "shop", rps=200, connections=20)
    if 0 < report.lost <= BY_CHANCE and env(shop, "DRAIN"):  # a busy machine is not the learner's fault
        report = roll(world, "shop", rps=200, connections=20)
    _measured(world, "shop", report)
    if not report.lost:
        return
    lost = f"{report.lost} of {report.sent} requests were lost"
    if shop["spec"]["strategy"]["type"] == "Recreate":
        raise Wrong(lost, "`Recreate` lets all old Pods go before it makes the first new one: exercise 9.",
                    actual=report.errors)
    if not container(shop).get("readinessProbe"):
        raise Wrong(lost, "New Pods get traffic before their program listens: exercise 3.", actual=report.errors)
    if shop["spec"]["strategy"]["rollingUpdate"].get("maxUnavailable") not in (0, "0%", "25%"):
        raise Wrong(lost, "The rollout may take old Pods away before new ones are there: exercise 9.",
                    actual=report.errors)
    if env(shop, "ON_SIGTERM") not in ("", "drain"):
        raise Wrong(lost, "Old Pods drop what they were working on: exercise 4.", actual=report.errors)
    if not env(shop, "DRAIN"):
        raise Wrong(lost, "Old Pods hang up on clients that keep their connections: exercise 7.", actual=report.errors)
    if _grace(shop) <= _seconds(env(shop, "DRAIN")):
        raise Wrong(lost, "Old Pods are killed before they have drained: exercise 8.", actual=report.errors)
    raise Wrong(lost, "Look at the figure: at which moment, and what did the Pods do then?", expected="none",
                actual=report.errors)
