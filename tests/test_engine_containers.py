"""What is known about containers: ps and its filters, inspect, diff, export, commit, update, prune, and events."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker.errors
import pytest
from docker.models.containers import Container
from engine_support import BASE, LABEL, OURS, PREFIX, Engine, entries, saved
from support import eventually

import kitlib as kit

CHANGES = ("echo new > /added; mkdir /dir; echo x > /dir/inner; rm /etc/group; echo more >> /etc/passwd; "
           "ln -s added /link; mkdir -p /home/deep/er; touch /tmp/t; rm -r /var/spool; chmod 700 /home")


@pytest.fixture(scope="module")
def changed(engine_of_session: Engine) -> Iterator[Container]:
    """A container that has added, changed and removed files, and has ended."""
    one = engine_of_session.run("sh", "-c", CHANGES)
    assert one.wait()["StatusCode"] == 0
    yield one
    one.remove(force=True)


@pytest.fixture(scope="module")
def three(engine_of_session: Engine) -> Iterator[dict[str, Container]]:
    """One that runs, one that has ended with 3, one that never ran."""
    engine = engine_of_session
    made = {"runs": engine.run(name=engine.named("ps-runs"), hostname="h1", environment=["A=1"]),
            "ended": engine.run("sh", "-c", "exit 3", name=engine.named("ps-ended")),
            "made": engine.sdk.containers.create(BASE, ["true"], name=engine.named("ps-made"), labels={"only": PREFIX})}
    made["ended"].wait()
    yield made
    for one in made.values():
        one.remove(force=True)


def test_diff(engine: Engine, changed: Container) -> None:
    lines = sorted(engine("diff", changed.name).splitlines())
    assert lines == sorted(["A /added", "A /dir", "A /dir/inner", "C /etc", "D /etc/group", "C /etc/passwd", "A /link",
                            "C /home", "A /home/deep", "A /home/deep/er", "C /tmp", "A /tmp/t", "C /var",
                            "D /var/spool"])
    assert {(each["Kind"], each["Path"]) for each in changed.diff()} == {
        ("CAD".index(line[0]), line[2:]) for line in lines}


def test_the_layer_explorer_shows_the_same(engine: Engine, changed: Container) -> None:
    figure = kit.layers(container=changed)
    assert figure.container is not None
    files = sum(each["size"] for each in figure.changes("RW") if each["kind"] != "removed")
    assert (figure.container["status"], figure.container["size"]) == ("exited", files + len("added"))  # and the link
    seen = {each["path"]: (each["kind"], each["type"], each["size"], each["rights"]) for each in figure.changes("RW")}
    assert seen["/added"] == ("added", "file", 4, "0644")
    assert seen["/link"][:3] == ("added", "link", 0)
    assert seen["/etc/group"][:2] == ("removed", "file")
    engine.agree("written", seen)
    engine.agree("layers", [(each["size"], [(c["path"], c["kind"], c["type"], c["size"]) for c in each["changes"]])
                            for each in figure.layers])


def test_export_is_the_whole_tree(engine: Engine, changed: Container) -> None:
    data = subprocess.run(["docker", "export", changed.name], capture_output=True, check=True,
                          env=engine.environment).stdout
    found = dict(entries(data))
    assert found["added"][:2] == ("f", "0o644")
    assert found["link"][4] == "added"
    assert found["home"][1] == "0o700"
    assert not {"etc/group", "var/spool"} & set(found)
    docker_own = ("dev", "proc", "sys", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
    engine.agree("tree", {path: what for path, what in found.items() if path and not path.startswith(docker_own)
                          and what[4][:2] != "= " and not path.startswith("bin/")})


def test_commit(engine: Engine, changed: Container) -> None:
    name = f"{PREFIX}/committed"
    identity = engine("commit", "-m", "why", "-a", "who", "-c", "ENV ADDED=yes", "-c", 'CMD ["cat", "/added"]', "-c",
                      f"LABEL {LABEL}", "-c", "EXPOSE 80", changed.name, name)
    found = engine.inspect(name, "image")
    assert (identity, found["Comment"], found["Author"]) == (found["Id"], "why", "who")
    assert found["Config"]["Cmd"] == ["cat", "/added"]
    assert "ADDED=yes" in found["Config"]["Env"]
    assert engine("run", "--rm", name) == "new"
    image = saved(engine, name)
    assert len(image.layers) == 2
    engine.agree("layer", image.changes()[1])
    engine.agree("directories", sorted(path for path, what in image.layers[1].items() if what[0] == "d" and path))
    engine.agree("config", {key: value for key, value in found["Config"].items()
                            if key not in ("Hostname", "Image", "OnBuild", "Domainname")})
    assert engine.sdk.images.get(name).history()[0]["CreatedBy"].startswith("sh -c echo new")
    engine("rmi", name)


def test_ps_and_its_filters(engine: Engine, three: dict[str, Container]) -> None:
    def ps(*arguments: str, fields: str = "{{.Names}}") -> list[str]:
        lines = engine("ps", "--filter", f"name={PREFIX}-ps-", "--format", fields, *arguments).splitlines()
        return [line.replace(f"{PREFIX}-ps-", "") for line in lines]

    assert ps() == ["runs"]
    assert ps("-a") == ["made", "ended", "runs"]  # the youngest first
    assert ps("-a", "--filter", "status=exited") == ["ended"]
    assert ps("-a", "--filter", "status=created", "--filter", "status=running") == ["made", "runs"]
    assert ps("-a", "--filter", "exited=3") == ["ended"]
    assert ps("-a", "--filter", f"label=only={PREFIX}") == ["made"]
    assert ps("-a", "--filter", "label=only") == ["made"]
    assert ps("-a", "--filter", f"id={three['runs'].id[:20]}") == ["runs"]
    assert ps("-a", "--filter", f"ancestor={BASE}") == ["made", "ended", "runs"]
    assert ps("-a", "--filter", f"before={three['ended'].name}") == ["runs"]
    assert ps("-a", "--filter", f"since={three['ended'].name}") == ["made"]
    assert ps("-n", "1") == ["made"]
    assert ps("-a", "--filter", "status=exited", fields="{{.Status}}")[0].startswith("Exited (3) ")
    assert ps(fields="{{.Status}}")[0].startswith("Up ")
    assert ps("-a", "--filter", "status=created", fields="{{.Status}}|{{.Command}}|{{.Image}}|{{.Ports}}") == [
        f'Created|"true"|{BASE}|']
    assert "nvalid filter" in engine.refused("ps", "--filter", "nonsense=1")
    assert "nvalid" in engine.refused("ps", "--filter", "status=nonsense")


def test_ps_as_a_table_and_by_the_api(engine: Engine, three: dict[str, Container]) -> None:
    head = engine("ps", "-a", "--filter", f"name={PREFIX}-ps-").splitlines()[0]
    assert head.split("  ")[0] == "CONTAINER ID"
    status, listed = engine.api("GET", "/containers/json", all="1", size="1",
                                filters=json.dumps({"id": [three["runs"].id]}))
    assert status == 200
    [one] = listed
    assert one["Names"] == [f"/{three['runs'].name}"]
    assert (one["State"], one["Image"], one["Labels"]) == ("running", BASE, OURS)
    assert one["SizeRootFs"] > 1_000_000
    engine.agree("keys", sorted(one))
    engine.agree("networks", sorted(one["NetworkSettings"]["Networks"]))


def test_inspect_has_dockers_fields(engine: Engine, three: dict[str, Container]) -> None:
    found = engine.inspect(three["runs"].name)
    assert (found["Name"], found["Id"]) == (f"/{three['runs'].name}", three["runs"].id)
    assert found["Image"] == engine.inspect(BASE, "image")["Id"]
    assert (found["Path"], found["Args"][0], found["RestartCount"]) == ("sh", "-c", 0)
    assert found["State"]["Pid"] > 1
    assert found["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    config = found["Config"]
    assert (config["Hostname"], config["Image"], config["Env"][0]) == ("h1", BASE, "A=1")
    engine.agree("keys", sorted(set(found) - {"ImageManifestDescriptor"}))
    engine.agree("config", {key: value for key, value in config.items() if key != "Image"})
    engine.agree("state", sorted(found["State"]))
    host = {key: found["HostConfig"][key] or None for key in (  # what is not there is {}, [] or null, by version
        "Binds", "NetworkMode", "RestartPolicy", "AutoRemove", "Privileged", "CapAdd", "CapDrop", "Memory", "NanoCpus",
        "PidsLimit", "ReadonlyRootfs", "PidMode", "VolumesFrom", "PortBindings", "PublishAllPorts", "ShmSize", "Dns")}
    engine.agree("host", host | {"NetworkMode": host["NetworkMode"].replace("bridge", "default")})
    engine.agree("mounts", found["Mounts"])


def test_a_container_is_found_by_its_name_and_by_the_beginning_of_its_id(engine: Engine,
                                                                        three: dict[str, Container]) -> None:
    one = three["runs"]
    for known in (one.name, f"/{one.name}", one.id, one.id[:12], one.id[:20]):
        assert engine.inspect(known)["Id"] == one.id
    assert engine.refused("container", "inspect", "zzz") == "No such container: zzz"


def test_inspect_by_a_template_and_size(engine: Engine, changed: Container) -> None:
    out = engine("inspect", "-f", "{{.State.ExitCode}} {{json .Config.Cmd}}", changed.name)
    assert out == "0 " + json.dumps(["sh", "-c", CHANGES], separators=(",", ":"))
    sized = json.loads(engine("inspect", "-s", changed.name))[0]
    assert 0 < sized["SizeRw"] < 10_000
    assert sized["SizeRootFs"] > 1_000_000


def test_update(engine: Engine) -> None:
    one = engine.sdk.containers.create(BASE, ["true"], labels=OURS)
    assert engine("update", "--restart", "on-failure:5", one.name) == one.name
    assert engine.inspect(one.name)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}
    one.remove()


def test_wait_for_the_next_exit_and_for_removal(engine: Engine) -> None:
    one = engine.run("sh", "-c", "until test -e /go; do sleep 0.05; done; exit 6", auto_remove=True)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(engine.sdk.api.wait, one.id, condition="removed")
        engine("exec", one.name, "touch", "/go")
        assert asked.result(60)["StatusCode"] == 6
    with pytest.raises(docker.errors.NotFound):
        engine.sdk.containers.get(one.id)


def test_prune_takes_what_has_ended(engine: Engine) -> None:
    label = f"prune={PREFIX}"
    ended = engine("create", "--label", label, BASE, "true")
    alive = engine("run", "-d", "--label", label, BASE, "sleep", "60")
    out = engine("container", "prune", "-f", "--filter", f"label={label}")
    assert out.splitlines()[:2] == ["Deleted Containers:", ended]
    assert out.splitlines()[-1].startswith("Total reclaimed space: ")
    engine("rm", "-f", alive)
    assert engine.sdk.containers.prune({"label": [label]})["ContainersDeleted"] is None


def test_events(engine: Engine) -> None:
    began = time.time() - 1
    name = engine.named("events")
    assert engine.docker("run", "--name", name, "--label", "why=events", BASE, "sh", "-c", "exit 2").code == 2
    engine("rm", name)

    def seen() -> list[dict[str, Any]]:
        lines = engine("events", "--since", f"{began:.3f}", "--until", f"{time.time():.3f}", "--filter",
                       f"container={name}", "--format", "{{json .}}").splitlines()
        return [json.loads(line) for line in lines]

    eventually(lambda: any(event["Action"] == "destroy" for event in seen()))
    found = [event for event in seen() if event["Type"] == "container"]
    assert [event["Action"] for event in found] == ["create", "attach", "start", "die", "destroy"]
    died = found[3]
    assert died["Actor"]["Attributes"]["exitCode"] == "2"
    assert died["Actor"]["Attributes"]["name"] == name
    assert died["Actor"]["Attributes"]["why"] == "events"
    assert died["timeNano"] // 10**9 == died["time"]
    engine.agree("keys", [sorted(event) for event in found])
    engine.agree("attributes", [sorted(set(event["Actor"]["Attributes"]) - {"execDuration"}) for event in found])


def test_events_are_told_as_they_happen(engine: Engine) -> None:
    with_label = {"label": [f"live={PREFIX}"]}
    # since: dockerd answers before it has begun to listen, and what happens in between would be lost
    stream = engine.sdk.events(decode=True, filters=with_label, since=int(time.time()) - 1)
    one = engine.sdk.containers.create(BASE, ["true"], labels={"live": PREFIX})
    try:
        assert next(stream)["Action"] == "create"
        one.start()
        assert next(stream)["Action"] == "start"
        assert next(stream)["Action"] == "die"
    finally:
        stream.close()
        one.remove(force=True)
