"""`docker run`: exit codes, what a process finds in its container, and how it is started, ended and removed."""

from __future__ import annotations

import socket
import time

import docker.errors
import pytest
from engine_support import BASE, LABEL, OURS, Engine, at_once
from support import eventually

CODES = {("true",): 0, ("sh", "-c", "exit 7"): 7, ("no-such-program",): 127, ("/etc/passwd",): 126, ("/etc",): 126,
         ("sh", "-c", "kill -9 $$"): 137, ("sh", "-c", "kill -TERM $$; sleep 9"): 143}
REFUSED = {
    (BASE, "no-such-program"): 'exec: "no-such-program": executable file not found in $PATH',
    (BASE, "/no/such"): '"/no/such": stat /no/such: no such file or directory',
    (BASE, "/etc/passwd"): '"/etc/passwd": permission denied',
    ("-w", "relative", BASE, "true"): "the working directory 'relative' is invalid, it needs to be an absolute path",
    ("-u", "ghost", BASE, "true"): "unable to find user ghost: no matching entries in passwd file",
    ("-v", "not-absolute:x", BASE, "true"): "invalid mount path: 'x' mount path must be absolute",
    ("-m", "1k", BASE, "true"): "Minimum memory limit allowed is 6MB",
    ("--network", "no-such", BASE, "true"): "network no-such not found",
    ("--restart", "sometimes", BASE, "true"): "invalid restart policy",
    ("--restart", "always", "--rm", BASE, "true"): "onflicting options"}


def test_exit_codes(engine: Engine) -> None:
    # --init: a process that is the container's first one could not be killed by itself
    found = at_once(lambda command: engine.docker(
        "run", "--rm", *(["--init"] if "kill" in command[-1] else []), BASE, *command), CODES)
    assert [(command, done) for command, done in found.items() if done.code != CODES[command]] == []


def test_what_cannot_be_run_says_why(engine: Engine) -> None:
    found = at_once(lambda arguments: engine.docker("run", "--label", LABEL, *arguments), REFUSED)
    assert [done for arguments, done in found.items() if REFUSED[arguments] not in done.sentence] == []
    assert {done.code for done in found.values()} == {125, 126, 127}
    engine.agree("codes", {" ".join(arguments): done.code for arguments, done in found.items()})


def test_what_a_process_finds(engine: Engine) -> None:
    script = "id -u; id -g; pwd; hostname; echo $A-$B; cat; echo wrong >&2; echo $0"
    done = engine.docker("run", "--rm", "-i", "-e", "A=1", "-e", "B=two words", "-u", "33:100", "-w", "/made/here",
                         "-h", "some-host", "--entrypoint", "sh", BASE, "-c", script, "name", stdin="said\n")
    assert (done.code, done.err) == (0, "wrong\n")
    assert done.out == "33\n100\n/made/here\nsome-host\n1-two words\nsaid\nname\n"


def test_the_environment_is_the_images_and_what_was_said(engine: Engine) -> None:
    out = engine("run", "--rm", "--hostname", "h", "-e", "X=1", BASE, "env")
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in out.splitlines()
    engine.agree("env", sorted(out.splitlines()))
    assert engine("run", "--rm", "-u", "www-data", BASE, "sh", "-c", "echo $HOME; id -un") == "/var/www\nwww-data"


def test_a_container_has_processes_of_its_own_and_a_root_of_its_own(engine: Engine) -> None:
    out = engine("run", "--rm", BASE, "sh", "-c", "echo $$; ls /; touch /new; ls /proc | grep -c '^[0-9]'")
    lines = out.splitlines()
    assert lines[0] == "1"
    assert lines[1:-1] == sorted(["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"])
    assert int(lines[-1]) < 6
    assert "new" not in engine("run", "--rm", BASE, "ls", "/").split()


def test_a_detached_container_from_start_to_end(engine: Engine) -> None:
    name = engine.named("life")
    identity = engine("create", "--name", name, "--label", LABEL, BASE, "sh", "-c", "echo up; exit 3")
    assert len(identity) == 64
    assert engine.inspect(name)["State"]["Status"] == "created"
    assert engine("start", name) == name
    assert engine("wait", name) == "3"
    state = engine.inspect(name)["State"]
    assert (state["Status"], state["ExitCode"], state["Running"], state["Pid"]) == ("exited", 3, False, 0)
    assert engine("logs", name) == "up"
    assert engine.docker("start", "-a", identity[:12]).code == 3
    assert engine("logs", name) == "up\nup"
    assert engine("rm", name) == name
    assert engine.refused("inspect", name) == f"No such object: {name}"


def test_stop_asks_and_kill_does_not(engine: Engine) -> None:
    polite = engine.run("sh", "-c", "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done")
    deaf = engine.run("sh", "-c", "trap '' TERM INT; echo ready; while :; do sleep 0.1; done")
    for each in (polite, deaf):
        eventually(lambda each=each: b"ready" in each.logs())
    assert engine("stop", polite.name) == polite.name
    assert engine.inspect(polite.name)["State"]["ExitCode"] == 5
    assert engine("logs", polite.name) == "ready\nbye"
    began = time.monotonic()
    engine("stop", "-t", "0", deaf.name)
    assert time.monotonic() - began < 8
    assert engine.inspect(deaf.name)["State"]["ExitCode"] == 137
    engine("start", deaf.name)
    assert engine("kill", deaf.name) == deaf.name
    assert engine("wait", deaf.name) == "137"
    assert engine.refused("kill", deaf.name).startswith("Cannot kill container")
    assert engine("stop", deaf.name) == deaf.name  # what has ended already is no error
    engine("rm", polite.name, deaf.name)


def test_kill_sends_any_signal(engine: Engine) -> None:
    one = engine.run("sh", "-c", "trap 'echo again' USR1; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: b"ready" in one.logs())
    engine("kill", "-s", "USR1", one.name)
    eventually(lambda: b"again" in one.logs())
    assert engine.inspect(one.name)["State"]["Running"] is True
    assert "nvalid signal" in engine.refused("kill", "-s", "NOPE", one.name)
    engine("rm", "-f", one.name)


def test_restart_pause_and_rename(engine: Engine) -> None:
    one = engine.run()
    first = engine.inspect(one.name)["State"]
    assert engine("restart", "-t", "1", one.name) == one.name
    second = engine.inspect(one.name)["State"]
    assert second["Running"]
    assert second["StartedAt"] > first["StartedAt"]
    engine("pause", one.name)
    assert engine("ps", "--filter", f"id={one.id}", "--format", "{{.Status}}").endswith("(Paused)")
    assert engine.inspect(one.name)["State"]["Status"] == "paused"
    assert "is paused" in engine.refused("exec", one.name, "true")
    engine("unpause", one.name)
    assert engine("exec", one.name, "echo", "awake") == "awake"
    new = engine.named("renamed")
    engine("rename", one.name, new)
    assert engine.inspect(new)["Id"] == one.id
    assert engine.inspect(new)["Name"] == f"/{new}"
    engine("rm", "-f", new)


def test_names_are_taken_once(engine: Engine) -> None:
    name = engine.named("once")
    engine("create", "--name", name, BASE, "true")
    done = engine.docker("run", "--name", name, BASE, "true")
    assert done.code == 125
    assert done.sentence.startswith(f'Conflict. The container name "/{name}" is already in use by container "')
    assert "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in engine.refused(
        "create", "--name", "a b", BASE)
    engine("rm", name)
    generated = engine("inspect", "-f", "{{.Name}}", engine("create", "--label", LABEL, BASE))
    assert generated[0] == "/"
    assert len(generated.split("_")) == 2  # as in /brave_turing
    engine("rm", generated[1:])


def test_a_running_container_is_not_removed_unless_it_is_meant(engine: Engine) -> None:
    one = engine.run()
    assert "You cannot remove a running container" in engine.refused("rm", one.name)
    assert engine("rm", "-f", one.name) == one.name
    with pytest.raises(docker.errors.NotFound, match="No such container"):
        one.reload()


def test_rm_takes_the_container_away_with_its_end(engine: Engine) -> None:
    name = engine.named("gone")
    assert engine("run", "--rm", "--name", name, BASE, "echo", "x") == "x"
    eventually(lambda: engine.docker("inspect", name).code == 1)


def test_a_process_is_limited_as_it_was_said(engine: Engine) -> None:
    one = engine.run(mem_limit="64m", nano_cpus=500_000_000, pids_limit=50, shm_size="8m", ulimits=[
        docker.types.Ulimit(name="nofile", soft=100, hard=200)])
    host = engine.inspect(one.name)["HostConfig"]
    assert [host[key] for key in ("Memory", "NanoCpus", "PidsLimit", "ShmSize")] == [64 << 20, 500_000_000, 50, 8 << 20]
    # The hard limit: Go's start in runc before 1.1.13 sometimes takes the soft one up (opencontainers/runc#4195).
    assert engine("exec", one.name, "sh", "-c", "ulimit -Hn") == "200"
    engine("rm", "-f", one.name)


def test_restart_policies(engine: Engine) -> None:
    def ended(policy: tuple[str, int]) -> tuple[int, int, int]:
        """How often it was started, started again, and its last exit code."""
        name = engine("run", "-d", "--label", LABEL, "--restart", policy[0], BASE, "sh", "-c",
                      f"echo x; exit {policy[1]}")
        found = eventually(lambda: (now := engine.inspect(name))["State"]["Status"] == "exited" and now)
        return engine("logs", name).count("x"), found["RestartCount"], found["State"]["ExitCode"]

    assert at_once(ended, [("on-failure:2", 4), ("no", 4), ("on-failure:3", 0)]) == {
        ("on-failure:2", 4): (3, 2, 4), ("no", 4): (1, 0, 4), ("on-failure:3", 0): (1, 0, 0)}


def test_one_that_is_just_being_restarted_is_removed_with_its_port(engine: Engine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for restarts in (1, 2, 1, 2):  # each time at another moment of a start
        name = engine("run", "-d", "--label", LABEL, "--restart", "always", "-p", f"127.0.0.1:{port}:80", BASE, "false")
        eventually(lambda name=name, wanted=restarts: engine.inspect(name)["RestartCount"] >= wanted)
        engine("rm", "-f", name)


def test_health(engine: Engine) -> None:
    name = engine.named("health")
    engine("run", "-d", "--name", name, "--health-cmd", "test -e /well || { echo ill; false; }", "--health-interval",
           "150ms", "--health-retries", "2", BASE, "sh", "-c", "while :; do sleep 0.2; done")
    eventually(lambda: engine.inspect(name)["State"]["Health"]["Status"] == "unhealthy")
    health = engine.inspect(name)["State"]["Health"]
    assert health["FailingStreak"] >= 2
    assert (health["Log"][-1]["ExitCode"], health["Log"][-1]["Output"]) == (1, "ill\n")
    assert "(unhealthy)" in engine("ps", "--filter", f"name={name}", "--format", "{{.Status}}")
    engine("exec", name, "touch", "/well")
    eventually(lambda: engine.inspect(name)["State"]["Health"]["Status"] == "healthy")
    assert engine("ps", "-q", "--filter", "health=healthy", "--filter", f"name={name}")
    engine("rm", "-f", name)


def test_the_sdk_runs_and_says_what_went_wrong(engine: Engine) -> None:
    run = engine.sdk.containers.run
    assert run(BASE, ["echo", "out"], remove=True, labels=OURS) == b"out\n"
    with pytest.raises(docker.errors.ContainerError) as failed:
        run(BASE, ["sh", "-c", "echo oh >&2; exit 9"], remove=True, labels=OURS)
    assert (failed.value.exit_status, failed.value.stderr) == (9, b"oh\n")
    with pytest.raises(docker.errors.APIError, match="executable file not found"):
        run(BASE, ["no-such"], remove=True, labels=OURS)
    with pytest.raises(docker.errors.NotFound):
        engine.sdk.containers.get("no-such")
    status, answer = engine.api("POST", "/containers/create", {"Image": "no-such-image"})
    assert (status, answer) == (404, {"message": "No such image: no-such-image:latest"})
