"""The groups of routes, one file each; loading them fills the table in routing.py."""

from __future__ import annotations

import importlib

GROUPS = ("system", "images", "build", "containers", "container_streams", "container_files", "networks", "volumes")


def load() -> None:
    for name in GROUPS:
        importlib.import_module(f"kitlib.engine.routes.{name}")
