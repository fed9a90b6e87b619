"""Checks of lab08: Pods (the talk's pages 64 to 68).

Every exercise has a Pod of its own, so all of them can be right at the end, in whatever order they were done.  What a
Pod does is measured: pages are fetched, logs are read, a probe's answer is turned over, a copy of a Pod is ended.
"""

from __future__ import annotations

import json
import re

from kitlib.checks.framework import Wrong, exercise
from kitlib.checks.pods import (
    container,
    end_of_a_copy,
    environment,
    fetch,
    having,
    is_ready,
    logs,
    pod,
    ready,
    restarts,
    status_of,
    terminated,
    visitors,
)
from kitlib.checks.world import World

TITLE = "Pods: containers that live together"
MINUTES = 120
NAMESPACE = "lab08"

SHARED, OWN = "shared", "own"
SHARING = {
    "IP address": (SHARED, "Page 66 has one address per Pod, and page 67 says which namespace that is: net."),
    "port numbers": (SHARED, "Whoever shares an address shares its ports, as two programs on one laptop do."),
    "hostname": (SHARED, "The uts namespace holds the hostname. Is it among those that page 67 shares?"),
    "files": (OWN, "Each begins with its own image. What would become of nginx if busybox were laid over it?"),
    "an emptyDir that both mount": (SHARED, "A volume is the Pod's; a container only says where it wants to see it."),
    "process numbers": (OWN, "Possible since Kubernetes 1.12, but only if asked for. Nobody asked."),
    "memory limit": (OWN, "`resources` stands inside a container. (Limits of a whole Pod are young, and asked for.)"),
}
AFTER_EXIT = {
    "Always, exit 0": ("Running", "`Always` does not look at the exit code: done or not, it is started again. The Pod "
                                  "never ends, so its phase stays what?"),
    "Always, exit 3": ("Running", "Between two runs the container waits (CrashLoopBackOff), but the *Pod* has not "
                                  "failed for good: its phase is that of a Pod that goes on."),
    "OnFailure, exit 0": ("Succeeded", "It did not fail, so nobody starts it again, and everything went well."),
    "OnFailure, exit 3": ("Running", "It failed and will be tried again, for ever. CrashLoopBackOff is a container's "
                                     "reason, not a Pod's phase."),
    "Never, exit 0": ("Succeeded", "All its containers ended, and all of them with 0."),
    "Never, exit 3": ("Failed", "Nobody will try again, and it was not 0."),
}
PHASES = {"Pending", "Running", "Succeeded", "Failed", "Unknown"}
CERTIFICATES = ("done", "crash", "typo", "greedy", "late")


@exercise()
def predict_sharing(world: World) -> None:
    """Predict what two containers of one Pod share"""
    given = world.answer("sharing", {thing: {SHARED, OWN} for thing in SHARING})
    for thing, (right, hint) in SHARING.items():
        if given[thing] != right:
            raise Wrong(f"{thing}: not {given[thing]!r}", hint, actual=given[thing])


@exercise(points=2)
def shared_files(world: World) -> None:
    """Pod duo serves a page that its other container writes"""
    found = pod(world, "duo")
    seen = {name: {m["name"]: m["mountPath"] for m in container(found, name).get("volumeMounts") or ()}
            for name in ("web", "writer")}
    kinds = {volume["name"]: volume for volume in found["spec"].get("volumes") or ()}
    common = [name for name in seen["web"] if name in seen["writer"] and "emptyDir" in kinds.get(name, {})]
    if not common:
        mine = {name: sorted(v for v in volumes if "emptyDir" in kinds.get(v, {})) for name, volumes in seen.items()}
        if mine["web"] and mine["writer"]:
            raise Wrong("each container has a volume of its own", "Two emptyDirs are two empty directories. "
                        "Both `volumeMounts` have to name the same one.", actual=mine)
        raise Wrong("the two containers see no emptyDir in common", "It takes three entries: the volume once in "
                    "`spec.volumes`, and a `volumeMounts` in *each* of the two containers.", actual=mine)
    ready(world, "duo")
    page = world.eventually(lambda: having(fetch(world, "duo", 80), "written by my neighbour"))
    if not page:
        page = fetch(world, "duo", 80) or ""
        if "nginx" in page or not page:
            raise Wrong("nginx does not serve what writer writes", "nginx looks for index.html in "
                        "/usr/share/nginx/html. Is *that* where web mounts the volume, and does writer write its "
                        "index.html into the volume?", expected="written by my neighbour", actual=page[:80])
        raise Wrong("the page says something else", "It shall say `written by my neighbour`.", actual=page[:80])


@exercise(points=2)
def one_address(world: World) -> None:
    """Two servers live in Pod twins, each on a port of its own"""
    found = pod(world, "twins")
    ports = {name: environment(container(found, name)).get("PORT", "8080") for name in ("one", "two")}
    if ports["one"] == ports["two"]:
        declared = [p["containerPort"] for p in container(found, "two").get("ports") or ()]
        if 8081 in declared:
            raise Wrong("two still listens on 8080", "`containerPort` is a note for readers: it moves nobody. The "
                        "program has to be told, here by its environment: PORT.", expected="8081", actual=ports["two"])
        raise Wrong("both want the same port of the one address they share", "Who comes second finds the port taken: "
                    "`kubectl logs twins -c two` says so. kit/echo listens on $PORT.", actual=ports)
    ready(world, "twins")
    for name, port in (("one", 8080), ("two", 8081)):
        answer = world.eventually(lambda port=port: fetch(world, "twins", port))  # type: ignore[misc]
        if not answer:
            raise Wrong(f"nobody answers on port {port} of twins", "one listens on 8080, two on 8081.",
                        expected={"one": "8080", "two": "8081"}, actual=ports)
        if f"version {name}" not in answer:
            raise Wrong(f"on port {port} it is not {name} who answers", "Give each container a VERSION that is its "
                        "name: then everybody can tell them apart.", expected=f"version {name}", actual=answer)


@exercise(points=2)
def shared_processes(world: World) -> None:
    """In Pod family, tools has sent app a signal"""
    found = pod(world, "family")
    container(found, "tools")
    container(found, "app")
    if not found["spec"].get("shareProcessNamespace"):
        raise Wrong("family's containers have process numbers of their own", "One line of the Pod's spec changes "
                    "that (`kubectl explain pod.spec` has it, under s). A running Pod cannot be changed so: make it "
                    "anew.", expected="shareProcessNamespace: true", actual=None)

    def ended() -> bool:
        app = status_of(pod(world, "family"), "app")
        return bool(app.get("restartCount") or app.get("lastState") or "terminated" in app.get("state", {}))

    heard = world.eventually(lambda: ended() or having(logs(world, "family", "app"), "read again"), within=3.0)
    if ended():
        raise Wrong("app was ended instead of asked", "`kill NUMBER` without a signal's name sends TERM: end! "
                    "The one that says *read your configuration again* is HUP. Make the Pod anew and try again.")
    ready(world, "family")
    if not heard:
        raise Wrong("app has not got the signal HUP", "Its number stands in /run/app/pid, which both containers see. "
                    "`kubectl exec family -c tools -- sh -c '…'` runs a command beside it.",
                    expected="configuration read again", actual=logs(world, "family", "app").strip()[-80:])


@exercise(points=2)
def init_order(world: World) -> None:
    """Pod kitchen opens when the bread is baked"""
    found = pod(world, "kitchen")
    names = [c["name"] for c in found["spec"].get("initContainers") or ()]
    if not {"knead", "bake"} <= set(names):
        raise Wrong("kitchen does not knead and bake before it opens", "Both are *init* containers and both are "
                    "needed; nothing has to be thrown away, only put in order.", expected=["knead", "bake"],
                    actual=names)
    if names.index("bake") < names.index("knead"):
        raise Wrong("there is no dough yet when bake begins", "Init containers run one after the other, in the order "
                    "of the list. `kubectl logs kitchen -c bake` shows what it misses.", actual=names)
    ready(world, "kitchen")
    page = world.eventually(lambda: having(fetch(world, "kitchen", 80), "bread of flour and water"), within=2.0)
    if not page:
        raise Wrong("the shop sells no bread", "`bake` ended with 0, but did it bake? A `|| true` hides a failure from "
                    "the kubelet, not from the customers.", expected="bread of flour and water",
                    actual=(fetch(world, "kitchen", 80) or "nothing")[:60])
    if restarts(pod(world, "kitchen")):
        raise Wrong("something in kitchen had to be tried more than once", "With the right order nothing fails. Make "
                    "the Pod anew: `make` does.", actual=f"{restarts(pod(world, 'kitchen'))} restarts")


@exercise(points=2)
def probes(world: World) -> None:
    """Pod sleepy may start slowly, and says itself when it is ready"""
    found = pod(world, "sleepy")
    app = container(found, "app")
    paths = {kind: ((app.get(f"{kind}Probe") or {}).get("httpGet") or {}).get("path", "")
             for kind in ("startup", "liveness", "readiness")}
    if not app.get("livenessProbe"):
        raise Wrong("nobody would notice if sleepy hung", "Do not take the guard away: give it a colleague who is "
                    "asked first. The liveness probe stays.", expected="three probes", actual=paths)
    if not app.get("startupProbe"):
        raise Wrong("sleepy has no startup probe", "Until a startup probe has said yes, nobody asks the other two. So "
                    "a slow start needs no guessed `initialDelaySeconds`.", expected="startupProbe", actual=paths)
    if not app.get("readinessProbe"):
        raise Wrong("sleepy has no readiness probe", "Without one, a container counts as ready as soon as it runs.",
                    expected="readinessProbe", actual=paths)
    if paths["liveness"] == "/readyz":
        raise Wrong("liveness asks whether sleepy is ready", "A busy waiter is not a dead one: whoever says `not "
                    "ready` would be killed for it. /healthz is the question for liveness.", actual=paths)
    patience = {kind: app[f"{kind}Probe"]["periodSeconds"] * app[f"{kind}Probe"]["failureThreshold"]
                for kind in ("startup", "readiness")}
    if patience["startup"] < 4:
        raise Wrong("the startup probe loses patience before sleepy is awake", "It has periodSeconds × "
                    "failureThreshold seconds in all. sleepy needs one, on a slow machine more.",
                    expected="at least 4 s", actual=f"{patience['startup']} s")
    if patience["readiness"] > 5:
        raise Wrong("it takes long until anybody notices that sleepy is not ready", "periodSeconds × failureThreshold "
                    "of the readiness probe: 10 × 3 by default.", expected="at most 5 s",
                    actual=f"{patience['readiness']} s")
    ready(world, "sleepy")
    before = restarts(pod(world, "sleepy"))
    if before:
        raise Wrong("sleepy was killed while it slept, or later", "`lab.timeline('sleepy')` shows who did it and when.",
                    actual=f"{before} restarts")
    fetch(world, "sleepy", 8080, query={"ready": "false"})
    try:
        if not world.eventually(lambda: not is_ready(pod(world, "sleepy")), within=patience["readiness"] + 3.0):
            raise Wrong("sleepy said that it was not ready, and nobody listened", "/healthz says whether it lives, "
                        "/readyz whether it wants guests. Which one does the readiness probe ask?", actual=paths)
    finally:
        fetch(world, "sleepy", 8080, query={"ready": "true"})
    if not world.eventually(lambda: is_ready(pod(world, "sleepy"))) or restarts(pod(world, "sleepy")) != before:
        raise Wrong("sleepy was restarted for being busy", "Not ready means: no guests for now. It is no reason to "
                    "kill it. Look at the liveness probe.", actual=paths)


@exercise()
def predict_restarts(world: World) -> None:
    """Predict what becomes of a Pod whose only container ends"""
    given = world.answer("phases", dict.fromkeys(AFTER_EXIT, PHASES))
    for case, (right, hint) in AFTER_EXIT.items():
        if given[case] != right:
            raise Wrong(f"{case}: the phase is not {given[case]}", hint, actual=given[case])


@exercise(points=2)
def death_certificates(world: World) -> None:
    """You know how each of five containers died"""
    given = world.answer("deaths", {name: {"code": int, "reason": str} for name in CERTIFICATES})
    hints = {
        "typo": {127: "127 is what a *shell* says of a command that is not there. Here no shell was ever started: "
                      "the runtime itself could not start the program. What did it note?"},
        "late": {143: "143 is 128 + 15: ended by TERM. But process 1 without a handler does not hear TERM. What came "
                      "when the grace period was over?"},
        "crash": {1: "Every number but 0 is a failure, but which one it was is written down: look, do not guess."},
    }
    for name in CERTIFICATES:
        ended = world.eventually(lambda name=name: terminated(pod(world, name)))  # type: ignore[misc]
        if not ended:
            raise Wrong(f"{name} has not ended", f"Make the Pods anew; `kubectl get pod {name}` shows when it has.")
        code, reason = given[name]["code"], given[name]["reason"]
        if code != ended["exitCode"]:
            raise Wrong(f"{name} did not end with {code}", hints.get(name, {}).get(code, "It is in "
                        f"`.status.containerStatuses[0].state.terminated` of {name}."), actual=code)
        if reason != ended.get("reason"):
            if name == "greedy":
                raise Wrong("greedy was not just killed", "137 is 128 + 9, and many things kill. The reason beside "
                            "the code says who and why: it begins with OOM.", actual=reason)
            raise Wrong(f"the reason of {name}'s end is another one", "The *container's* reason, beside its exit code, "
                        "not the Pod's, and not the column STATUS.", actual=reason)


@exercise(points=2)
def last_words(world: World) -> None:
    """Told to end, Pod farewell finishes in time and leaves a word"""
    found = ready(world, "farewell")
    main = container(found, "main")
    if not (main.get("lifecycle") or {}).get("preStop"):
        raise Wrong("farewell has no preStop hook", "It runs *before* TERM is sent: the place for a second of waiting. "
                    "`kubectl explain pod.spec.containers.lifecycle.preStop`.")
    ended, took = end_of_a_copy(world, found)
    world.note(f"a copy of farewell ended after {took:.1f} s with {ended.get('exitCode')}")
    grace = found["spec"].get("terminationGracePeriodSeconds", 30)
    if ended.get("exitCode") == 137:
        words = json.dumps([main.get("command"), main.get("args")])
        if "trap" not in words:
            raise Wrong("farewell did not hear TERM and was killed", "Process 1 gets only signals that it has a "
                        "handler for. In a shell: `trap '…' TERM`.", expected=0, actual=137)
        if "wait" not in words:
            raise Wrong("farewell has a handler for TERM, and was killed all the same", "A shell runs its trap when "
                        "the command in the foreground has ended, and that sleeps. `sleep 3600 & wait` can be "
                        "interrupted.", expected=0, actual=137)
        raise Wrong("the hook used up the time that was meant for the end", "preStop counts against "
                    "terminationGracePeriodSeconds, too.", expected=f"hook + end < {grace} s", actual=137)
    if ended.get("exitCode") != 0:
        raise Wrong("farewell ended, but not well", "A program that was asked to end, and did, ends with `exit 0`.",
                    expected=0, actual=ended.get("exitCode"))
    if took < 0.9:
        raise Wrong("farewell was gone at once", "preStop shall wait a second before TERM comes: whoever still sends "
                    "requests has that long to hear of the end.", expected="a second or more", actual=f"{took:.1f} s")
    if not ended.get("message", "").strip():
        raise Wrong("farewell left no word", "What a container writes to /dev/termination-log before it ends stands in "
                    "its status as `message`.", expected="a word", actual="")


@exercise(points=2)
def sidecar(world: World) -> None:
    """Pod report ends by itself, and its sidecar has shipped every page"""
    found = pod(world, "report")
    main = container(found, "main")
    if any(c["name"] == "shipper" for c in found["spec"]["containers"]):
        raise Wrong("shipper is an ordinary container, so report can never end", "The Pod goes on while any container "
                    "does, and shipper never stops. A sidecar stands among the *init* containers and has a "
                    "`restartPolicy` of its own.", actual=[c["name"] for c in found["spec"]["containers"]])
    helper = container(found, "shipper", "initContainers")
    if helper.get("restartPolicy") != "Always":
        raise Wrong("main waits for shipper to end, for ever", "An init container has to finish before the next "
                    "one starts, unless it says `restartPolicy: Always`: a sidecar only has to have started.",
                    expected="Always", actual=helper.get("restartPolicy"))
    if found["spec"].get("restartPolicy") != "Never":
        raise Wrong("report is printed again and again", "`spec.restartPolicy` of the Pod is Always unless you say "
                    "otherwise: main would be started anew each time it has finished.", expected="Never",
                    actual=found["spec"].get("restartPolicy"))
    mounted = [{m["name"] for m in c.get("volumeMounts") or () if not m["name"].startswith("kube-api-access-")}
               for c in (main, helper)]
    if not mounted[0] & mounted[1]:
        raise Wrong("shipper cannot see what main writes", "They share no files but those of a volume that both mount.",
                    actual=[sorted(names) for names in mounted])
    if not world.eventually(lambda: pod(world, "report")["status"]["phase"] in ("Succeeded", "Failed"), within=8.0):
        raise Wrong("report has not ended", "When main is done, the kubelet ends the sidecar with TERM. Does it end?",
                    expected="Succeeded", actual=pod(world, "report")["status"]["phase"])
    if pod(world, "report")["status"]["phase"] != "Succeeded":
        raise Wrong("report has failed", "`kubectl describe pod report` has the exit codes.", expected="Succeeded",
                    actual="Failed")
    missing = [page for page in ("page 1", "page 2", "page 3") if page not in logs(world, "report", "shipper")]
    if missing:
        raise Wrong("not every page was shipped", "`kubectl logs report -c shipper` is what was. Does it begin to read "
                    "at the first line (`tail -n +1 -f`), and from the file that main writes?", actual=missing)


@exercise(points=2)
def ambassador(world: World) -> None:
    """In Pod caller, main knows only localhost, and its ambassador knows the way"""
    found = pod(world, "caller")
    main, envoy = container(found, "main"), container(found, "ambassador")
    words = json.dumps([main.get("command"), main.get("args"), main.get("env")])
    if "backend" in words.lower():
        raise Wrong("main knows where the backend is", "That is the ambassador's knowledge. main asks "
                    "http://localhost:9000/order, wherever the backend may be tomorrow.", expected="localhost:9000",
                    actual=re.findall(r"http://[^ \"';]+", words))
    if not [m for m in envoy.get("volumeMounts") or () if m["mountPath"].startswith("/config")]:
        raise Wrong("the ambassador has no instructions", "Its configuration is in the ConfigMap `ambassador`: a "
                    "volume, mounted at /config.", expected="/config")
    ready(world, "caller")
    if not world.eventually(lambda: having(fetch(world, "caller", 9000, "order"), "GET /order")):
        raise Wrong("the ambassador does not pass anything on", "It listens on port 9000 of the Pod's one address. "
                    "`kubectl logs caller -c ambassador` is where nginx complains.",
                    actual=(fetch(world, "caller", 9000, "order") or "nobody answers on port 9000")[:80])
    if not world.eventually(lambda: having(logs(world, "caller", "main"), "GET /order")):
        raise Wrong("main got no answer", "`kubectl logs caller -c main`. Does it ask http://localhost:9000/order, and "
                    "again and again?", expected="GET /order", actual=logs(world, "caller", "main").strip()[-80:])


METRIC = re.compile(r"^app_orders_total (\d+)(?:\.0)?\s*$", re.MULTILINE)


@exercise(points=2)
def adapter(world: World) -> None:
    """Pod meter's adapter says in Prometheus' words what app says in its own"""
    found = ready(world, "meter")
    container(found, "app")
    container(found, "adapter")
    text = world.eventually(lambda: fetch(world, "meter", 9100, "metrics"))
    if text is None:
        raise Wrong("nobody answers on port 9100 of meter at /metrics", "`httpd -p 9100 -h DIRECTORY` serves a "
                    "directory; there has to be a file `metrics` in it.")
    sample = METRIC.search(text)
    if sample is None:
        hint = "A sample is one line: the name, a space, the number. `sed 's/orders=/app_orders_total /'`."
        if "orders=" in text:
            hint = "That is still app's own language. " + hint
        raise Wrong("there is no sample app_orders_total", hint, expected="app_orders_total 12", actual=text[:80])
    if not re.search(r"^# TYPE app_orders_total counter\s*$", text, re.MULTILINE):
        raise Wrong("Prometheus is not told what kind of number it is", "The line before the sample: "
                    "`# TYPE NAME counter`.", expected="# TYPE app_orders_total counter", actual=text[:80])

    def later() -> bool:
        newer = METRIC.search(fetch(world, "meter", 9100, "metrics") or "")
        return newer is not None and int(newer[1]) > int(sample[1])

    if not world.eventually(later):
        raise Wrong("the number stands still while app goes on", "The adapter translated once and went to rest. It has "
                    "to do so again and again: `while true; do …; sleep 0.2; done`.", actual=sample[1])


@exercise(points=2)
def debug(world: World) -> None:
    """You asked Pod mute from inside, by a container that came late"""
    found, entries = visitors(world, "mute")
    if not entries:
        copies = [p["metadata"]["name"] for p in world.pods() if p["metadata"]["name"].startswith("mute-")]
        if copies:
            raise Wrong("you have examined a twin", "`--copy-to` makes another Pod with another address; the patient "
                        "is `mute` itself.", actual=copies)
        raise Wrong("nobody has come into mute", "`kubectl debug` brings a container *into* a Pod that runs. `exec` "
                    "can only start what the image has.", expected="an ephemeral container")
    specs = {c["name"]: c for c in found["spec"].get("ephemeralContainers") or ()}
    if not any(specs.get(e["name"], {}).get("targetContainerName") for e in entries):
        raise Wrong("the debugger sees nobody's processes but its own", "`--target` says whose process numbers it "
                    "shall share. An ephemeral container cannot be changed or taken away: bring another one.")

    def told() -> list[str]:
        return [text for e in entries if "GET /who" in (text := logs(world, "mute", e["name"]))]

    if not world.eventually(told, within=3.0):
        raise Wrong("no debugger has got an answer for /who", "mute listens on port 8080, and inside the Pod that is "
                    "localhost:8080. `kubectl logs mute -c NAME` is what the debugger got.",
                    actual={e["name"]: logs(world, "mute", e["name"]).strip()[-60:] for e in entries})
    if restarts(found):
        raise Wrong("mute was restarted meanwhile", "Debugging shall leave the patient alive: start over with a fresh "
                    "Pod.", actual=restarts(found))
