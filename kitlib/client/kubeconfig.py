"""kubeconfig: where the cluster is and who we are there.

A kubeconfig names clusters (address, CA), users (credentials) and contexts (a cluster with a user and a namespace).
Certificates stand in it as file names or, base64, as data.  Managed clusters often give no credential at all but a
command that prints one (`exec`); it is run when needed.

Source: k8s.io/client-go/tools/clientcmd/api/v1/types.go, pkg/apis/clientauthentication/v1.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Access:
    """All an HTTP client needs.  ca, certificate and key are PEM texts; empty: none."""

    server: str
    ca: str = ""
    certificate: str = ""
    key: str = ""
    token: str = ""
    namespace: str = "default"
    insecure: bool = False
    tls_server_name: str = ""


def default_path() -> Path:
    """$KUBECONFIG's first existing file, else ~/.kube/config."""
    names = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    paths = [Path(name).expanduser() for name in names] or [Path.home() / ".kube" / "config"]
    return next((path for path in paths if path.exists()), paths[0])


def load(path: str | os.PathLike[str] | None = None, context: str = "") -> Access:
    """Access by one context (the current one) of a kubeconfig file."""
    import yaml

    path = Path(path) if path else default_path()
    config = yaml.safe_load(path.read_text()) or {}
    wanted = _named(config, "contexts", context or config.get("current-context") or "", "context", path)
    cluster = _named(config, "clusters", wanted["cluster"], "cluster", path)
    user = _named(config, "users", wanted["user"], "user", path)
    if "exec" in user:
        user = user | _from_command(user["exec"])
    folder = path.parent
    return Access(server=cluster["server"].rstrip("/"), ca=_pem(cluster, "certificate-authority", folder),
                  certificate=_pem(user, "client-certificate", folder), key=_pem(user, "client-key", folder),
                  token=_token(user, folder), namespace=wanted.get("namespace") or "default",
                  insecure=bool(cluster.get("insecure-skip-tls-verify")),
                  tls_server_name=cluster.get("tls-server-name") or "")


def _named(config: dict[str, Any], section: str, name: str, kind: str, path: Path) -> dict[str, Any]:
    for entry in config.get(section) or ():
        if entry.get("name") == name:
            return entry[kind] or {}
    raise ValueError(f"{path} has no {kind} named {name!r}")


def _pem(section: dict[str, Any], field: str, folder: Path) -> str:
    if section.get(f"{field}-data"):
        return base64.b64decode(section[f"{field}-data"]).decode()
    return (folder / Path(section[field]).expanduser()).read_text() if section.get(field) else ""


def _token(user: dict[str, Any], folder: Path) -> str:
    if user.get("tokenFile"):
        return (folder / Path(user["tokenFile"]).expanduser()).read_text().strip()
    return user.get("token") or ""


def _from_command(plugin: dict[str, Any]) -> dict[str, Any]:
    """Run a credential plugin; its answer is an ExecCredential."""
    environment = os.environ | {pair["name"]: pair["value"] for pair in plugin.get("env") or ()}
    environment["KUBERNETES_EXEC_INFO"] = json.dumps(
        {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}})
    done = subprocess.run([plugin["command"], *(plugin.get("args") or ())], env=environment, check=True,
                          capture_output=True, text=True)
    status = json.loads(done.stdout).get("status") or {}
    pem = {f"{field}-data": base64.b64encode(status[source].encode()).decode()
           for field, source in (("client-certificate", "clientCertificateData"), ("client-key", "clientKeyData"))
           if status.get(source)}
    return pem | {"token": status.get("token") or ""}
