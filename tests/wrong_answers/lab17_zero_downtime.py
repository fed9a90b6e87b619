"""Mistakes in lab17."""

from __future__ import annotations

RIGHT = {"the new Pod is Running, but its program still starts": "loses requests",
         "the old Pod is told to end while it works on a request": "loses requests",
         "a Pod has left the endpoints, but a client has a connection to it": "loses requests",
         "the new Pod's readiness probe fails for a while": "loses nothing",
         "the old Pod sleeps in its preStop hook": "loses nothing"}


def predictions(*turned: int) -> str:
    other = {"loses requests": "loses nothing", "loses nothing": "loses requests"}
    given = {name: other[value] if i in turned else value for i, (name, value) in enumerate(RIGHT.items())}
    return f'lab.answer("predictions", {given!r})'


def naive(**changes: object) -> str:
    measured = "lost = [sample.due for sample in report.samples if not sample.ok]\n"
    given = {"lost": "report.lost", "kind": '"reset"', "hole": "max(lost) - min(lost)"} | changes
    return measured + f'lab.answer("naive", {{{", ".join(f"{key!r}: {value}" for key, value in given.items())}}})'


def deployment(name: str, *, replicas: int = 1, env: str = "", container: str = "", pod: str = "",
               spec: str = "") -> str:
    """env, container, pod, spec: more of each, in YAML's flow style."""
    return f"""kit.kubectl("apply -f -", stdin='''
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  {spec}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      {pod}
      containers:
      - name: echo
        image: kit/echo
        env: [{env}]
        {container}
''')
"""


def variable(name: str, value: str) -> str:
    return f'{{name: {name}, value: "{value}"}}'


def probe(kind: str = "readinessProbe", port: int = 8080) -> str:
    return f"{kind}: {{httpGet: {{path: /readyz, port: {port}}}, periodSeconds: 1}}"


SLOW = variable("START_DELAY", "400ms")
BUSY = variable("DELAY", "200ms")
SHOP = f"{SLOW}, {variable('DELAY', '50ms')}"
GRACE = 'kit.kubectl("apply -f -", stdin=hasty.replace("Seconds: 1", "Seconds: 5"))'

WRONG = {
    "predict_losses": {
        "Running is ready": (predictions(0), "Does the Service wait until that process listens"),
        "SIGTERM is harmless": (predictions(1), "a program that has no handler for it"),
        "endpoints decide about requests": (predictions(2), "where the next connection goes"),
        "a failing probe hurts": (predictions(3), "What does a rollout do with the old Pods"),
        "preStop stops": (predictions(4), "SIGTERM comes after the hook"),
    },
    "measure_failure": {
        "nothing was lost": (naive(lost=0), "counts requests without an answer"),
        "the wrong kind": (naive(kind='"timeout"'), "how many were lost by kind"),
        "milliseconds": (naive(hole="400"), "Seconds, not milliseconds"),
        "the whole load": (naive(hole="report.seconds + 2"), "The whole load lasted longer than the hole"),
        "naive was mended": (
            deployment("naive", env=SLOW, container=probe()) + naive(), "Leave it as bad as it was"),
    },
    "wait_until_ready": {
        "no probe": (deployment("ready", env=SLOW), "kit/echo answers on /readyz"),
        "a liveness probe": (
            deployment("ready", env=SLOW, container="livenessProbe: {tcpSocket: {port: 8080}, initialDelaySeconds: 2}"),
            "One kind of probe restarts"),
        "the Service's port": (deployment("ready", env=SLOW, container=probe(port=80)),
                               "what the kubelet asked, where, and what it got"),
        "minReadySeconds": (deployment("ready", env=SLOW, spec="minReadySeconds: 2"), "the Deployment wait, not the"),
        "a quicker program": (deployment("ready", container=probe()), "That is how this program is"),
    },
    "finish_work": {
        "nothing done": ("...", "has a word for finishing first"),
        "SIGTERM ignored": (
            'kit.kubectl("apply -f -", stdin=polite.replace("abrupt", "ignore"))', "SIGKILL cannot be ignored"),
        "more grace for a rude program": (
            deployment("polite", replicas=2, env=f"{BUSY}, {variable('ON_SIGTERM', 'abrupt')}",
                       pod="terminationGracePeriodSeconds: 60"), "This one does not take it"),
        "preStop for a rude program": (
            deployment("polite", replicas=2, env=f"{BUSY}, {variable('ON_SIGTERM', 'abrupt')}",
                       container="lifecycle: {preStop: {sleep: {seconds: 1}}}"), "as rude as before"),
        "quicker answers": (deployment("polite", replicas=2), "That is how this program is"),
    },
    "outlast_the_lag": {
        "no hook": (deployment("patient", container=probe()), "A hook before SIGTERM can let it pass"),
        "postStart": (
            deployment("patient", container=probe() + "\n        lifecycle: {postStart: {sleep: {seconds: 1}}}"),
            "Which end of its life"),
        "a hook that fails": (
            deployment("patient", container=probe() + '\n        lifecycle: {preStop: {exec: {command: ["false"]}}}'),
            "Is the hook run at all"),
        "a quarter of a minute": (
            deployment("patient", container=probe() + "\n        lifecycle: {preStop: {sleep: {seconds: 15}}}"),
            "no longer than one wants to wait"),
    },
    "who_still_asks": {
        "nobody": ('lab.answer("after-leaving", {"kept alive": 0, "fresh": 0})', "to the right of the ▼"),
        "the other way round": (
            'lab.answer("after-leaving", {"kept alive": 0, "fresh": 90})', "asks the Service each time"),
        "both": ('lab.answer("after-leaving", {"kept alive": 90, "fresh": 90})', "From which moment did you count"),
        "hardly any": ('lab.answer("after-leaving", {"kept alive": 2, "fresh": 0})', "in the wrong load"),
    },
    "say_goodbye": {
        "nothing done": (deployment("calm", replicas=2), "The description above has the word"),
        "preStop instead": (
            deployment("calm", replicas=2, container="lifecycle: {preStop: {sleep: {seconds: 1}}}"),
            "It waited, but said nothing"),
        "longer than the grace period": (
            deployment("calm", replicas=2, env=variable("DRAIN", "60s")), "Which of the two numbers"),
        "no duration": (
            deployment("calm", replicas=2, env=variable("DRAIN", "one second")), "It has said why"),
    },
    "enough_grace": {
        "SIGTERM's code": (f'lab.answer("grace", {{"exit code": 143, "at least": 5}})\n{GRACE}',
                           "128 + 15 would be SIGTERM"),
        "without the hook": (f'lab.answer("grace", {{"exit code": 137, "at least": 4}})\n{GRACE}',
                             "`preStop` is part of it"),
        "the default": (f'lab.answer("grace", {{"exit code": 137, "at least": 30}})\n{GRACE}', "add them up"),
        "only answered": ('lab.answer("grace", {"exit code": 137, "at least": 5})', "Was it applied"),
        "less to do": (
            'lab.answer("grace", {"exit code": 137, "at least": 5})\n' + deployment("hasty"), "not less to do"),
    },
    "never_fewer": {
        "the default": (
            'lab.answer("default", {"fewest": 3, "most": 5})\n' + deployment("steady", replicas=4),
            "how many may be missing meanwhile"),
        "Recreate": (
            'lab.answer("default", {"fewest": 3, "most": 5})\n'
            + deployment("steady", replicas=4, spec="strategy: {type: Recreate}"), "a hole by design"),
        "never fewer by default": (
            'lab.answer("default", {"fewest": 4, "most": 5})\n'
            + deployment("steady", replicas=4, spec="strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"),
            "also allows one Pod to be missing"),
        "twice as many": (
            'lab.answer("default", {"fewest": 3, "most": 5})\n'
            + deployment("steady", replicas=4, spec="strategy: {rollingUpdate: {maxSurge: 100%, maxUnavailable: 0}}"),
            "costs a place on a node"),
    },
    "lose_nothing": {
        "no probe": (deployment("shop", replicas=2, env=f"{SHOP}, {variable('DRAIN', '1s')}"), "exercise 3"),
        "a rude program": (
            deployment("shop", replicas=2, env=f"{SHOP}, {variable('ON_SIGTERM', 'abrupt')}", container=probe()),
            "exercise 4"),
        "one Pod": (deployment("shop", env=f"{SHOP}, {variable('DRAIN', '1s')}", container=probe()),
                    "a node that fails could not"),
        "Recreate": (
            deployment("shop", replicas=2, env=f"{SHOP}, {variable('DRAIN', '1s')}", container=probe(),
                       spec="strategy: {type: Recreate}"), "lets all old Pods go"),
        "all may be missing": (
            deployment("shop", replicas=2, env=f"{SHOP}, {variable('DRAIN', '1s')}", container=probe(),
                       spec="strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 2}}"),
            "before new ones are there"),
    },
}
