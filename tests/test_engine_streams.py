"""What goes in and out of containers: logs, exec, attach, cp, top and stats, by the CLI and by the SDK."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker.errors
import pytest
from docker.models.containers import Container
from engine_support import BASE, LABEL, Engine, entries, small_tar
from support import eventually

TALK = "for i in 1 2 3 4; do echo out $i; done; echo err 1 >&2"


@pytest.fixture(scope="module")
def talked(engine_of_session: Engine) -> Iterator[Container]:
    """A container that has said four lines, and one on the other stream."""
    one = engine_of_session.run("sh", "-c", TALK)
    one.wait()
    yield one
    one.remove(force=True)


@pytest.fixture(scope="module")
def living(engine_of_session: Engine) -> Iterator[Container]:
    one = engine_of_session.run()
    yield one
    one.remove(force=True)


def test_logs_keep_the_two_streams_apart(engine: Engine, talked: Container) -> None:
    done = engine.docker("logs", talked.name)
    assert (done.out, done.err) == ("out 1\nout 2\nout 3\nout 4\n", "err 1\n")
    assert talked.logs(stdout=False) == b"err 1\n"
    assert b"".join(talked.logs(stream=True, follow=True, stderr=False)) == b"out 1\nout 2\nout 3\nout 4\n"


def test_logs_from_the_end_with_times_and_since(engine: Engine, talked: Container) -> None:
    lines = engine("logs", "-t", talked.name).splitlines()
    times = [line.split(" ", 1)[0] for line in lines]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", time) for time in times)
    assert times == sorted(times)
    done = engine.docker("logs", "--tail", "1", talked.name)  # which stream was read last is chance
    assert done.out + done.err in ("out 4\n", "err 1\n")
    assert engine("logs", "--tail", "0", talked.name) == ""
    assert engine("logs", "--since", times[-1], "--until", "2099-01-01T00:00:00Z", talked.name) in ("", "out 4")
    assert engine("logs", "--until", "2001-01-01T00:00:00Z", talked.name) == ""
    assert engine.refused("logs", "no-such") == "No such container: no-such"


def test_logs_are_followed_to_the_end(engine: Engine) -> None:
    one = engine.run("sh", "-c", "echo first; sleep 0.5; echo last")
    process = engine.popen("logs", "-f", one.name)
    assert process.stdout is not None
    out, _ = process.communicate(timeout=30)
    assert out == b"first\nlast\n"
    assert one.logs(tail=1) == b"last\n"
    one.remove()


def test_exec(engine: Engine, living: Container) -> None:
    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        done = engine.docker("exec", *arguments, stdin=stdin)
        return done.code, done.out, done.err

    name = living.name
    assert run(name, "sh", "-c", "echo o; echo e >&2; exit 4") == (4, "o\n", "e\n")
    assert run("-i", name, "cat", stdin="through") == (0, "through", "")
    script = "pwd; echo $A; id -u"
    assert run("-w", "/tmp", "-e", "A=b", "-u", "33", name, "sh", "-c", script) == (0, "/tmp\nb\n33\n", "")
    assert run("-d", name, "touch", "/detached") == (0, "", "")
    eventually(lambda: run(name, "test", "-e", "/detached")[0] == 0)
    code, _, err = run(name, "no-such")
    assert code in (126, 127)  # 126 before Docker 23, 127 since
    assert 'exec: "no-such": executable file not found in $PATH' in err + _
    assert engine.refused("exec", "no-such", "true") == "No such container: no-such"
    assert run(name, "sh", "-c", "kill -9 $$")[0] == 137


def test_exec_in_what_does_not_run(engine: Engine, talked: Container) -> None:
    assert engine.refused("exec", talked.name, "true") == f"Container {talked.id} is not running"


def test_exec_by_the_api(engine: Engine, living: Container) -> None:
    code, (out, err) = living.exec_run(["sh", "-c", "echo o; echo e >&2; exit 3"], demux=True)
    assert (code, out, err) == (3, b"o\n", b"e\n")
    created = engine.sdk.api.exec_create(living.id, ["sleep", "0"], environment={"A": "1"})
    found = engine.sdk.api.exec_inspect(created["Id"])
    assert (found["Running"], found["ExitCode"], found["ContainerID"]) == (False, None, living.id)
    assert found["ProcessConfig"]["entrypoint"] == "sleep"
    engine.sdk.api.exec_start(created["Id"])
    assert engine.sdk.api.exec_inspect(created["Id"])["ExitCode"] == 0
    with pytest.raises(docker.errors.NotFound, match="No such exec instance"):
        engine.sdk.api.exec_inspect("0" * 64)


def test_a_terminal_has_one_stream(engine: Engine, living: Container) -> None:
    code, out = living.exec_run(["sh", "-c", "tty; echo err >&2; stty size"], tty=True)
    assert code == 0
    assert out.startswith(b"/dev/pts/")
    assert b"err\r\n" in out
    one = engine.run("sh", "-c", "tty; echo hello", tty=True)
    one.wait()
    assert one.logs().endswith(b"hello\r\n")
    assert engine.inspect(one.name)["Config"]["Tty"] is True
    one.remove()
    assert "the input device is not a TTY" in engine.refused("run", "--rm", "-it", BASE, "true")


def test_attach_with_stdin(engine: Engine) -> None:
    name = engine.named("attached")
    engine("create", "-i", "--name", name, BASE, "sh", "-c", "while read line; do echo got $line; done; echo end")
    done = engine.docker("start", "-ai", name, stdin="one\ntwo\n")
    assert (done.code, done.out) == (0, "got one\ngot two\nend\n")
    engine("start", name)
    process = engine.popen("attach", name)
    out, _ = process.communicate(b"three\n", timeout=30)
    assert out == b"got three\nend\n"
    assert process.returncode == 0
    assert "You cannot attach to a stopped container" in engine.refused("attach", name)
    engine("rm", name)


def test_what_is_piped_into_run_arrives_whole(engine: Engine) -> None:
    data = bytes(range(256)) * 2000
    done = subprocess.run(["docker", "run", "--rm", "-i", BASE, "cat"], input=data, capture_output=True, check=True,
                          env=engine.environment, timeout=60)
    assert done.stdout == data


def test_cp_in_and_out(engine: Engine, living: Container, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_text("A")
    (tmp_path / "d/link").symlink_to("a")
    name = living.name
    engine("cp", str(tmp_path / "d"), f"{name}:/in")  # there is none: it becomes /in
    engine("cp", str(tmp_path / "d"), f"{name}:/in")  # there is one: it goes into it
    engine("cp", f"{tmp_path}/d/.", f"{name}:/tmp")  # what is in it
    engine("cp", str(tmp_path / "d/a"), f"{name}:/tmp/renamed")
    out = engine("exec", name, "sh", "-c", "cd /; ls in in/d; readlink in/link; cat tmp/a tmp/renamed; stat -c %u in/a")
    assert out == (
        "in:\na\nd\nlink\n\nin/d:\na\nlink\na\nAA0")
    engine("cp", f"{name}:/in", str(tmp_path / "out"))
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")) == [
        "a", "d", "d/a", "d/link", "link"]
    engine("cp", f"{name}:/etc/passwd", str(tmp_path))
    assert (tmp_path / "passwd").read_text().startswith("root:x:0:0:")
    packed = subprocess.run(["docker", "cp", f"{name}:/in", "-"], capture_output=True, check=True,
                            env=engine.environment).stdout
    engine.agree("tar", sorted((path, what[0], what[4]) for path, what in entries(packed)))
    engine.docker("cp", "-", f"{name}:/var", stdin=small_tar(piped=b"by a pipe"))
    assert engine("exec", name, "cat", "/var/piped") == "by a pipe"


def test_cp_that_cannot_be(engine: Engine, living: Container, tmp_path: Path) -> None:
    name = living.name
    said = engine.refused("cp", f"{name}:/nothing", str(tmp_path))
    assert "Could not find the file /nothing in container" in said or "No such container:path: " in said  # until 20.10
    engine.agree("nothing there", said.replace(name, "NAME"))
    (tmp_path / "f").write_text("")
    assert "no such directory" in engine.refused("cp", str(tmp_path / "f"), f"{name}:/no/such/dir/")
    assert "No such container" in engine.refused("cp", "no-such:/x", str(tmp_path))
    with pytest.raises(docker.errors.NotFound):
        living.get_archive("/nothing")
    with pytest.raises(docker.errors.NotFound):
        living.put_archive("/nowhere", small_tar(a=b""))


def test_cp_works_with_what_does_not_run(engine: Engine, tmp_path: Path) -> None:
    name = engine.named("never-ran")
    engine("create", "--name", name, "--label", LABEL, BASE, "cat", "/given")
    (tmp_path / "given").write_text("before it began\n")
    engine("cp", str(tmp_path / "given"), f"{name}:/given")
    assert engine("start", "-a", name) == "before it began"
    stream, stat = engine.sdk.containers.get(name).get_archive("/given")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert tar.getnames() == ["given"]
    assert (stat["name"], stat["size"], stat["linkTarget"]) == ("given", 16, "")
    engine("rm", name)


def test_a_link_in_a_container_leads_nowhere_else(engine: Engine, living: Container, tmp_path: Path) -> None:
    """What is copied into /trap/passwd must not come to the host's /etc."""
    before = Path("/etc/passwd").read_bytes()
    engine("exec", living.name, "sh", "-c", "mkdir /trap; ln -s /etc /trap/etc; ln -s ../../../../etc/passwd /trap/up")
    (tmp_path / "x").write_text("mine\n")
    engine("cp", str(tmp_path / "x"), f"{living.name}:/trap/etc/issue")
    assert engine("exec", living.name, "cat", "/etc/issue") == "mine"
    engine("cp", "-L", f"{living.name}:/trap/up", str(tmp_path / "got"))
    assert (tmp_path / "got").read_text() == engine("exec", living.name, "cat", "/etc/passwd") + "\n"
    assert Path("/etc/passwd").read_bytes() == before


def test_top(engine: Engine, living: Container) -> None:
    lines = engine("top", living.name).splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert any("trap" in line for line in lines[1:])
    found = living.top(ps_args="-o pid,comm")
    assert found["Titles"] == ["PID", "COMMAND"]
    assert any(row[1] in ("sh", "busybox") for row in found["Processes"])


def test_stats(engine: Engine, living: Container) -> None:
    found = living.client.api.stats(living.id, stream=False, one_shot=True)
    assert found["name"] == f"/{living.name}"
    assert found["id"] == living.id
    assert found["memory_stats"]["usage"] > 0
    assert found["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert found["pids_stats"]["current"] >= 1
    line = json.loads(engine("stats", "--no-stream", "--format", "{{json .}}", living.name))
    assert line["Name"] == living.name
    assert line["CPUPerc"].endswith("%")
    assert " / " in line["MemUsage"]
