"""`kit engine`: a Docker Engine where there is none, for the stock docker CLI and SDK.

    kit engine up                    in the background; `eval "$(kit env)"` points docker at it
    kit engine up --foreground       here, until Ctrl-C
    kit engine status                which engine labs would use: a real one that answers, or the embedded one
    kit engine down                  its containers end, too; images, volumes and stopped containers stay
"""

from __future__ import annotations

import argparse
import os

from kitlib.cli.common import Commands, command, print_json, print_table
from kitlib.cluster.dockerengine import REAL_SOCKET, EmbeddedEngine, Endpoint, ask
from kitlib.cluster.errors import EXIT_NO_CLUSTER


def register(commands: Commands) -> None:
    parser = command(commands, "engine", run_engine, cluster=False, description=__doc__)
    parser.add_argument("verb", choices=("up", "down", "status"))
    parser.add_argument("--foreground", action="store_true", help="up: stay here until Ctrl-C, and log here")


def run_engine(arguments: argparse.Namespace) -> int | None:
    engine = EmbeddedEngine()
    if arguments.verb == "status":
        return _status(arguments, engine)
    if arguments.verb == "down":
        stopped = engine.stop()
        if arguments.json:
            print_json({"stopped": stopped})
        else:
            print(f"The embedded engine {'is stopped' if stopped else 'was not running'}.")
        return None
    if arguments.foreground:
        from kitlib.cluster.engineprocess import run

        engine.prepare()
        run(engine.directory, lambda state: print(f"export DOCKER_HOST=unix://{state['socket']}", flush=True))
        return None
    found, seconds = engine.start()
    if arguments.json:
        print_json({**_json(found), "seconds": round(seconds, 3)})
        return None
    print(f"The embedded engine {f'is up in {seconds:.2f} s' if seconds else 'is up already'}: {found.version}")
    if os.environ.get("DOCKER_HOST") != found.host:
        print(f"export DOCKER_HOST={found.host}")
    return None


def _status(arguments: argparse.Namespace, engine: EmbeddedEngine) -> int:
    real, own = ask(os.environ.get("DOCKER_HOST") or REAL_SOCKET), engine.endpoint()
    found = [e for e in dict.fromkeys((real if real and real.kind == "real" else None, own)) if e is not None]
    if arguments.json:
        print_json([_json(each) for each in found])
    elif found:
        print_table(("ENGINE", "VERSION", "DOCKER_HOST"), [(e.kind, e.version, e.host) for e in found])
    else:
        print("No Docker Engine answers; `kit engine up` starts the embedded one.")
    return 0 if found else EXIT_NO_CLUSTER


def _json(found: Endpoint) -> dict[str, str]:
    return {"kind": found.kind, "version": found.version, "host": found.host}
