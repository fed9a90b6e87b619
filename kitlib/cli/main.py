"""`kit COMMAND …`: finds the file that knows the command, and says errors in one sentence.

Exit codes, the same for every command:

    0   it is done, it is true
    1   it did not come true: a check failed, kubectl said no, a lab has an error
    2   the command line makes no sense
    3   there is no such cluster, or it is not running
    4   the cluster cannot start here: port taken, disk full, damaged store
    70  a bug in kit itself; with KIT_DEBUG=1 the traceback is shown
    130 interrupted with Ctrl-C
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

# command → (module under kitlib.cli, what it does).  The order is the order of `kit --help`.
COMMANDS: dict[str, tuple[str, str]] = {
    "lab": ("lab", "open a chapter in JupyterLab, or run it headless"),
    "check": ("check", "check a chapter's exercises against the cluster"),
    "reset": ("lab", "start a chapter anew"),
    "catch-up": ("lab", "bring a chapter to exercise N"),
    "up": ("clusters", "start a cluster, or find that it runs"),
    "down": ("clusters", "stop a cluster; --delete forgets it"),
    "status": ("clusters", "what runs, and where"),
    "env": ("clusters", "print `export KUBECONFIG=…` and `DOCKER_HOST=…` for the shell"),
    "kubectl": ("clusters", "stock kubectl on this cluster"),
    "curl": ("traffic", "ask a URL of the cluster, as a Pod of it would"),
    "dig": ("traffic", "ask the cluster's DNS, and show which names were tried"),
    "load": ("load", "send many requests a second to a Service, and measure what comes back"),
    "ingress": ("ingress", "the ingress controller: install it, see what goes where"),
    "flow": ("flow", "draw who did what because of what for one object"),
    "why": ("why", "the chain of causes behind an object's last change"),
    "at": ("at", "the cluster as it was at a revision"),
    "rules": ("rules", "print the rules that kube-proxy has for this cluster, in any mode"),
    "walk": ("rules", "walk a packet through these rules: which rule takes it where"),
    "timeline": ("timeline", "what a Pod and its containers were, from when to when"),
    "schedule": ("schedule", "why a Pod is on its node, or on none: filters and scores"),
    "policy": ("policy", "who may talk to whom by the NetworkPolicies, and why"),
    "pause": ("control", "stop a controller before its next reconcile"),
    "step": ("control", "let a paused controller reconcile once, and show it"),
    "resume": ("control", "let a paused controller run again"),
    "node": ("node", "switch a node off and on: stop, kill, start"),
    "layers": ("layers", "look into an image: layers, files, waste, secrets"),
    "build": ("build", "build an image out of a Dockerfile, as a graph"),
    "registry": ("registry", "a registry of images on this machine: serve, push, pull"),
    "engine": ("engine", "a Docker Engine where there is none: up, down, status"),
    "image": ("image", "images: load, list, save, tag, rm, inspect, base"),
    "doctor": ("doctor", "what this machine offers, and what each missing thing costs"),
    "slides": ("slides", "build a chapter's slides as one HTML file"),
    "grade": ("grade", "grade a directory of submissions"),
    "test": ("test", "run the test suite"),
    "bench": ("bench", "measure the figures we promise"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """The console script.  Returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["build"]:
        from kitlib.cli import rebuild

        if rebuild.unchanged(arguments[1:]):
            return 0
    return _run(arguments)


def _run(arguments: list[str]) -> int:
    from kitlib.cluster.errors import EXIT_FAILED, EXIT_INTERNAL, EXIT_NO_CLUSTER, KitError
    from kitlib.objects.errors import StatusError

    try:
        return _dispatch(arguments)
    except KitError as error:
        print(f"kit: {error}", file=sys.stderr)
        return error.exit_code
    except StatusError as error:
        print(f"kit: the cluster refuses: {error.message}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:  # `kit … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except ConnectionError as error:
        print(f"kit: the cluster does not answer: {error}", file=sys.stderr)
        return EXIT_NO_CLUSTER
    except KeyboardInterrupt:
        print("kit: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("KIT_DEBUG"):
            raise
        print(f"kit: this is a bug in kit: {type(error).__name__}: {error} (KIT_DEBUG=1 shows where)", file=sys.stderr)
        return EXIT_INTERNAL


def _dispatch(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    if command == "kubectl":  # everything after it is kubectl's, --help and unknown flags included
        from kitlib.cli.clusters import run_kubectl

        return run_kubectl(arguments[1:])
    parser = build_parser(command if command in COMMANDS else None)
    parsed = parser.parse_args(arguments)
    parsed.command_line = arguments[1:]  # as it was given
    run = getattr(parsed, "run", None)
    if run is None:
        parser.print_help()
        return 0 if not arguments else 2
    return run(parsed) or 0


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser, with the whole table or (fast) with the one module that knows the command `only`."""
    import argparse
    import importlib

    parser = argparse.ArgumentParser(prog="kit", description="A textbook of containers and Kubernetes that runs.",
                                     epilog=(__doc__ or "").partition("\n\n")[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(metavar="COMMAND")
    modules = [COMMANDS[only][0]] if only else list(dict.fromkeys(module for module, _ in COMMANDS.values()))
    for module in modules:
        importlib.import_module(f"kitlib.cli.{module}").register(commands)
    return parser


def help_of(command: str) -> str:
    return COMMANDS[command][1]


if __name__ == "__main__":
    sys.exit(main())
