"""Mistakes in lab08.  Most are the solution's own cell with one thing wrong in it, as it happens to people."""

from __future__ import annotations

from wrong_answers import Answers

ANSWERS = Answers("lab08_pods")
but = ANSWERS.but


def sharing(thing: str, said: str) -> str:
    return but("predict_sharing", (f'"{thing}": "{"own" if said == "shared" else "shared"}"', f'"{thing}": "{said}"'))


def phase(case: str, said: str) -> str:
    text = ANSWERS.sources["predict_restarts"]
    line = next(line for line in text.split("\n") if line.strip().startswith(f'"{case}"'))
    return text.replace(line, f'    "{case}": "{said}",')


WEB_MOUNT = "    - {name: site, mountPath: /usr/share/nginx/html}"
STARTUP = """    startupProbe:
      httpGet: {path: /healthz, port: 8080}
      periodSeconds: 1
      failureThreshold: 15
"""
TRAP = "trap 'echo so long > /dev/termination-log; exit 0' TERM; sleep 3600 & wait"

WRONG = {
    "predict_sharing": {
        "files are shared": (sharing("files", "shared"), "Each begins with its own image"),
        "an address for each container": (sharing("IP address", "own"), "Page 66 has one address per Pod"),
        "ports of their own": (sharing("port numbers", "own"), "two programs on one laptop"),
        "processes are always shared": (sharing("process numbers", "shared"), "only if asked for"),
        "one memory limit": (sharing("memory limit", "shared"), "stands inside a container"),
    },
    "shared_files": {
        "mounted beside the place that nginx serves": (
            but("shared_files", (WEB_MOUNT, WEB_MOUNT.replace("/html", "/pages"))), "Is *that* where web mounts"),
        "two volumes": (
            but("shared_files", ("    emptyDir: {}", "    emptyDir: {}\n  - name: mine\n    emptyDir: {}"),
                ("{name: site, mountPath: /out}", "{name: mine, mountPath: /out}")), "two empty directories"),
        "writer has no mount": (
            but("shared_files", ("    volumeMounts:\n    - {name: site, mountPath: /out}", "")),
            "It takes three entries"),
        "writer does not stay": (
            but("shared_files", ("index.html; sleep 3600", "index.html")), "something that stays"),
    },
    "one_address": {
        "both on 8080": (but("one_address", ('    - {name: PORT, value: "8081"}', "")), "finds the port taken"),
        "only containerPort says so": (
            but("one_address", ('    - {name: PORT, value: "8081"}', "    ports: [{containerPort: 8081}]")),
            "a note for readers"),
        "one name for both": (but("one_address", ("value: two", "value: one")), "a VERSION that is its name"),
        "some other port": (but("one_address", ("8081", "9090")), "two on 8081"),
    },
    "shared_processes": {
        "processes are not shared": (
            but("shared_processes", ("  shareProcessNamespace: true", "")), "One line of the Pod's spec"),
        "killed instead of asked": (
            but("shared_processes", ("kill -HUP", "kill -KILL")), "The one that says"),
        "no signal was sent": (but("shared_processes", ("kill -HUP", "echo")), "/run/app/pid"),
    },
    "init_order": {
        "the same order again": ("make(kitchen)", "in the order of the list"),
        "no baking": (
            "import re\nmake(re.sub(r'  - name: bake.*?(?=  - name: knead)', '', kitchen, flags=re.S))",
            "nothing has to be thrown away"),
        "a failure swept under the carpet": (
            but("init_order", ("/work/dough > /work/index.html", "/work/dough_ > /work/index.html || true")),
            "not from the customers"),
    },
    "probes": {
        "no startup probe": (but("probes", (STARTUP, "")), "needs no guessed"),
        "the guard was sent home": (
            but("probes", (STARTUP, ""), ("    livenessProbe:", "    startupProbe:")), "The liveness probe stays"),
        "ready means alive": (but("probes", ("/readyz", "/healthz")), "whether it wants guests"),
        "alive means ready": (
            but("probes", ("    livenessProbe:\n      httpGet: {path: /healthz", "    livenessProbe:\n      httpGet: "
                                                                                "{path: /readyz")),
            "A busy waiter is not a dead one"),
        "no patience": (but("probes", ("failureThreshold: 15", "failureThreshold: 2")), "on a slow machine more"),
    },
    "predict_restarts": {
        "a Pod that crashes has failed": (phase("Always, exit 3", "Failed"), "has not failed for good"),
        "done is done": (phase("Always, exit 0", "Succeeded"), "does not look at the exit code"),
        "OnFailure gives up": (phase("OnFailure, exit 3", "Failed"), "a container's reason"),
        "Never waits": (phase("Never, exit 3", "Pending"), "Nobody will try again"),
        "kubectl's STATUS is the phase": (phase("Never, exit 0", "Completed"), "form that the exercise shows"),
    },
    "death_certificates": {
        "the shell's number": (but("death_certificates", ('"code": 128', '"code": 127')), "what a *shell* says"),
        "TERM was heard": (
            but("death_certificates", ('"late": {"code": 137', '"late": {"code": 143')), "does not hear TERM"),
        "just killed": (but("death_certificates", ("OOMKilled", "Error")), "it begins with OOM"),
        "any failure is 1": (but("death_certificates", ('"code": 3', '"code": 1')), "do not guess"),
        "the Pod's reason": (
            but("death_certificates", ('"code": 137, "reason": "Error"', '"code": 137, "reason": "DeadlineExceeded"')),
            "not the Pod's"),
    },
    "last_words": {
        "deaf": (but("last_words", (TRAP, "sleep 3600")), "Process 1 gets only signals"),
        "a trap that waits for sleep": (but("last_words", ("sleep 3600 & wait", "sleep 3600")), "can be interrupted"),
        "no hook": (
            but("last_words", ("    lifecycle:\n      preStop:\n        exec: {command: [sleep, \"1\"]}", "")),
            "before* TERM is sent"),
        "silent": (but("last_words", ("echo so long > /dev/termination-log; ", "")), "stands in its status"),
        "ends, but with TERM's code": (but("last_words", ("exit 0", "exit 143")), "ends with `exit 0`"),
    },
    "sidecar": {
        "an ordinary container": (
            but("sidecar", ("    restartPolicy: Always\n", ""), ("  initContainers:\n", "  containers:\n"),
                ("  # END SOLUTION\n  containers:\n", "  # END SOLUTION\n")), "so report can never end"),
        "an ordinary init container": (but("sidecar", ("    restartPolicy: Always\n", "")), "only has to have started"),
        "no common volume": (
            but("sidecar", ("touch /logs/report.txt; exec", "mkdir -p /logs; touch /logs/report.txt; exec"),
                ('txt"]\n    volumeMounts: [{name: logs, mountPath: /logs}]\n  # END', 'txt"]\n  # END')),
            "no files but those of a volume"),
        "printed for ever": (but("sidecar", ("restartPolicy: Never", "restartPolicy: Always")), "printed again"),
        "begins to read at the end": (but("sidecar", ("tail -n +1 -f", "tail -n 0 -f"), ("touch /logs/report.txt; ",
                                          "until grep -q 2 /logs/report.txt; do sleep 0.05; done; ")),
                                      "Does it begin to read"),
    },
    "ambassador": {
        "main goes there itself": (
            but("ambassador", ("http://localhost:9000/order", "http://$BACKEND_SERVICE_HOST/order")),
            "the ambassador's knowledge"),
        "an ambassador without instructions": (
            but("ambassador", ("    volumeMounts:\n    - {name: config, mountPath: /config}", "")), "no instructions"),
        "asked once, too early": (
            but("ambassador", ("while true; do wget -qO- http://localhost:9000/order; sleep 0.5; done",
                               "echo nothing today; sleep 3600")), "again and again"),
        "the ambassador listens elsewhere": (
            but("ambassador", ("$(BACKEND_SERVICE_HOST)/ ", "$(BACKEND_SERVICE_HOST)/\\;s/9000/9001/ ")),
            "does not pass anything on"),
    },
    "adapter": {
        "not translated": (but("adapter", ("s/orders=/app_orders_total /", "s/x/y/")), "app's own language"),
        "no type": (but("adapter", ("echo '# TYPE app_orders_total counter'", ":")), "what kind of number"),
        "translated once": (
            but("adapter", ("        sleep 0.2\n      done\n  # END", "        sleep 3600\n      done\n  # END")),
            "went to rest"),
        "on another port": (but("adapter", ("httpd -p 9100", "httpd -p 9101")), "nobody answers on port 9100"),
    },
    "debug": {
        "exec is not debug": ('kit.kubectl("exec mute -- wget -qO- localhost:8080/who")', "*into* a Pod that runs"),
        "a copy was examined": (
            'kit.kubectl("debug mute --image=busybox --copy-to=mute-copy -- sleep 3600")', "examined a twin"),
        "no target": (but("debug", ("--target=app ", "")), "whose process numbers"),
        "a wrong port": (but("debug", ("localhost:8080/who", "localhost:80/who")), "inside the Pod that is"),
    },
}
