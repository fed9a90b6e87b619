"""`kit ingress install | uninstall | status | manifests`: the cluster's ingress controller.

    kit ingress install      Traefik, its rights, its class, and the Gateway API's kinds; waits until it answers
    kit ingress status       is it there, where, and what goes where
    kit ingress manifests    what `install` applies, as YAML
"""

from __future__ import annotations

import argparse
import time

from kitlib.cli.common import Commands, cluster_of, command, note, print_json, print_table
from kitlib.cluster.errors import KitError

DESCRIPTION = """The cluster's ingress controller: Traefik.

An embedded cluster brings it up with its first Ingress; `install` does it now, and on any other cluster. It also
brings the kinds of the Gateway API (GatewayClass traefik). `uninstall` takes all of it away; kinds in use stay."""
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.1


def register(commands: Commands) -> None:
    parser = command(commands, "ingress", run, description=DESCRIPTION)
    parser.add_argument("verb", choices=("install", "uninstall", "status", "manifests"))


def run(arguments: argparse.Namespace) -> int | None:
    if arguments.verb == "manifests":
        import yaml

        from kitlib.cluster.ingress.install import manifests

        print(yaml.safe_dump_all(manifests(), sort_keys=False), end="")
        return None
    return {"install": _install, "uninstall": _uninstall, "status": _status}[arguments.verb](arguments)


def _install(arguments: argparse.Namespace) -> None:
    from kitlib.cluster.ingress.install import install
    from kitlib.cluster.ingress.status import standing

    client = cluster_of(arguments).client("kit-ingress")
    done = install(client)
    end = time.monotonic() + PATIENCE_SECONDS
    while (found := standing(client)).ready < found.wanted:
        if time.monotonic() > end:
            raise KitError(f"Traefik is installed but not ready after {PATIENCE_SECONDS:.0f} s: "
                           f"{found.trouble or '`kubectl -n traefik describe pods` says why'}.")
        time.sleep(POLL_SECONDS)
    if arguments.json:
        print_json({"changed": done, **found.as_json()})
        return
    print(f"{len(done)} objects created or changed." if done else "Everything was there already.")
    print(found.sentence())


def _uninstall(arguments: argparse.Namespace) -> None:
    from kitlib.cluster.ingress.install import uninstall

    gone = uninstall(cluster_of(arguments).client("kit-ingress"))
    if arguments.json:
        print_json({"deleted": gone})
    else:
        print(f"{len(gone)} objects deleted." if gone else "There was nothing of ours to delete.")


def _status(arguments: argparse.Namespace) -> None:
    from kitlib.cluster.ingress.status import standing

    found = standing(cluster_of(arguments).client("kit-ingress"))
    if arguments.json:
        print_json(found.as_json())
        return
    print(found.sentence())
    print("classes: " + (", ".join(name + (" (default)" if name == found.default_class else "")
                                   for name in found.classes) or "none"))
    if not found.routes:
        note("there is no Ingress.")
        return
    print()
    print_table(("HOST", "PATH", "SERVICE", "READY", "TLS", "CLASS", "INGRESS"),
                [(r.host, r.text, r.service, r.endpoints, r.tls or "-", r.ingress_class or "-", r.ingress)
                 for r in found.routes])
