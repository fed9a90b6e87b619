"""docker ps: a line for each container, and the filters.

Source: moby 20.10, daemon/list.go, container/state.go (String), api/types/filters; go-units' HumanDuration.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kitlib.engine.containers import config, files, views
from kitlib.engine.containers.record import Container, seconds
from kitlib.engine.errors import EngineError, bad_request
from kitlib.engine.filters import label_fits, name_fits

if TYPE_CHECKING:
    from kitlib.engine.containers.manager import Containers
    from kitlib.engine.engine import Engine

Object = dict[str, Any]
KNOWN = ("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "label!", "name",
         "network", "publish", "since", "status", "volume")  # fmt: skip
_STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
_HEALTH = ("none", "starting", "healthy", "unhealthy")


def listed(containers: Containers, *, everything: bool, limit: int, sized: bool,
           filters: Mapping[str, Sequence[str]]) -> list[Object]:
    """The youngest first.  Raises EngineError(400)."""
    for name, values, allowed in (("status", filters.get("status", ()), _STATES),
                                  ("health", filters.get("health", ()), _HEALTH)):
        for value in values:
            if value not in allowed:
                raise bad_request(f"Invalid filter '{name}={value}'" if name == "status" else
                                  f"Unrecognised filter value for health: {value}")
    for value in filters.get("exited", ()):
        if not re.fullmatch(r"-?\d+", value):
            raise bad_request(f'strconv.Atoi: parsing "{value}": invalid syntax')
    for name in ("publish", "expose"):
        for value in filters.get(name, ()):
            if not re.fullmatch(r"\d+(-\d+)?(/\w+)?", value):
                raise bad_request(f"error while looking up for {name} {value}: strconv.ParseUint: parsing "
                                  f'"{value.partition("/")[0]}": invalid syntax')
    for name in ("before", "since"):
        for value in filters.get(name, ()):
            _other(containers, value)
    ordered = sorted(containers.all(), key=lambda one: one.created, reverse=True)
    everything = everything or bool(limit > 0) or any(filters.get(key) for key in
                                                      ("status", "exited", "before", "since"))
    fitting = [one for one in ordered if (everything or one.running) and _fits(containers, one, filters)]
    return [summary(containers.engine, one, sized=sized) for one in fitting[: limit if limit > 0 else None]]


def _fits(containers: Containers, one: Container, filters: Mapping[str, Sequence[str]]) -> bool:
    health = (one.state.get("Health") or {}).get("Status", "none")
    tests = {
        "id": lambda v: one.id.startswith(v) or bool(re.search(v, one.id)),
        "status": lambda v: one.state["Status"] == v,
        "health": lambda v: health == v,
        "exited": lambda v: one.state["ExitCode"] == int(v) and not one.running and one.state["Status"] != "created",
        "network": lambda v: any(v in (name, end["NetworkID"]) or (len(v) > 3 and end["NetworkID"].startswith(v))
                                 for name, end in one.networks.items()),
        "volume": lambda v: any(v in (point.get("Name"), point["Destination"]) for point in one.mounts),
        "ancestor": lambda v: _descends(containers, one, v),
        "publish": lambda v: _has_port(_published(one), v),
        "expose": lambda v: _has_port(list(one.config.get("ExposedPorts") or ()), v),
        "before": lambda v: one.created < _other(containers, v).created,
        "since": lambda v: one.created > _other(containers, v).created,
        "is-task": lambda v: v.lower() in ("0", "false"),
    }
    if not label_fits(filters, one.config["Labels"] or {}) or not name_fits(filters.get("name"), one.name,
                                                                          f"/{one.name}"):
        return False
    return all(any(tests[key](value) for value in values) for key, values in filters.items() if key in tests and values)


def _other(containers: Containers, name: str) -> Container:
    try:
        return containers.find(name)
    except EngineError as error:
        raise bad_request(f"no such container {name}") from error


def _descends(containers: Containers, one: Container, name: str) -> bool:
    image = containers.engine.store.find(name)
    if image is None:
        return False
    return image.id == one.image or one.diff_ids[: len(image.diff_ids)] == list(image.diff_ids) != []


def _published(one: Container) -> list[str]:
    return [f"{binding['HostPort']}/{port.partition('/')[2]}" for port, bindings in one.ports.items()
            for binding in bindings or ()] + [port for port, bindings in one.ports.items() if bindings]


def _has_port(ports: list[str], wanted: str) -> bool:
    """80, 80/udp, 8000-8080/tcp."""
    numbers, _, protocol = wanted.partition("/")
    first, _, last = numbers.partition("-")
    return any(kind == (protocol or "tcp") and int(first) <= int(number) <= int(last or first)
               for number, _, kind in (port.partition("/") for port in ports))


def summary(engine: Engine, one: Container, *, sized: bool) -> Object:
    names = [f"/{one.name}"]
    image = one.config["Image"]
    document: Object = {
        "Id": one.id, "Names": names, "Image": image, "ImageID": one.image,
        "Command": config.command_text(one.argv), "Created": int(seconds(one.created)), "Ports": _ports(one),
        "Labels": one.config["Labels"] or {}, "State": one.state["Status"], "Status": status(one),
        "HostConfig": {"NetworkMode": one.host["NetworkMode"]}, "NetworkSettings": {"Networks": one.networks},
        "Mounts": [views.shown_mount(point) for point in one.mounts]}  # fmt: skip
    if sized:
        size = files.size_rw(one)
        document |= {**({"SizeRw": size} if size else {}), "SizeRootFs": files.size_root(one)}
    return document


def _ports(one: Container) -> list[Object]:
    found: list[Object] = []
    ports = one.ports if one.running else {}
    for port, bindings in ports.items():
        number, _, protocol = port.partition("/")
        if not bindings:
            found.append({"PrivatePort": int(number), "Type": protocol})
        for binding in bindings or ():
            found.append({"IP": binding["HostIp"], "PrivatePort": int(number), "PublicPort": int(binding["HostPort"]),
                          "Type": protocol})
    return found


def status(one: Container) -> str:
    """Up 3 seconds (healthy), Exited (0) 2 minutes ago."""
    state = one.state
    if state["Running"]:
        since = human(time.time() - seconds(state["StartedAt"]))
        if state["Restarting"]:
            return f"Restarting ({state['ExitCode']}) {human(time.time() - seconds(state['FinishedAt']))} ago"
        health = (state.get("Health") or {}).get("Status", "")
        more = " (Paused)" if state["Paused"] else " (health: starting)" if health == "starting" else \
            f" ({health})" if health else ""
        return f"Up {since}{more}"
    if state["Dead"]:
        return "Dead"
    if state["StartedAt"].startswith("0001-"):
        return "Created"
    return f"Exited ({state['ExitCode']}) {human(time.time() - seconds(state['FinishedAt']))} ago"


def human(duration: float) -> str:
    """As Docker says how long something is."""
    whole = int(duration)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return "1 second" if whole == 1 else f"{whole} seconds"
    minutes = int(duration / 60)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(duration / 3600 + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"
