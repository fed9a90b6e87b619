"""The kubeconfig: where the cluster is, whom to believe, who one is.

One cluster, one user and one context, all called `kit-NAME`, so that several clusters' files can be
merged with `KUBECONFIG=a:b`.  The user has both logins, certificate and token: a client that can do
only one of them still gets in.  Mode 0600: whoever reads this file is the cluster's administrator.

Source: kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from kitlib.cluster.home import write_private
from kitlib.cluster.pki import Pki

PREFIX = "kit-"


def context_name(cluster: str) -> str:
    return PREFIX + cluster


def write(path: Path, cluster: str, server: str, pki: Pki, token: str) -> None:
    """Every value is base64, a URL or a checked name, so no YAML library is needed to write it."""
    entry = context_name(cluster)
    certificate, key = pki.admin
    write_private(path, f"""apiVersion: v1
kind: Config
clusters:
- name: {entry}
  cluster:
    server: {server}
    certificate-authority-data: {_base64(pki.ca)}
users:
- name: {entry}
  user:
    client-certificate-data: {_base64(certificate)}
    client-key-data: {_base64(key)}
    token: {token}
contexts:
- name: {entry}
  context:
    cluster: {entry}
    user: {entry}
current-context: {entry}
""")


def cluster_of(path: Path) -> str | None:
    """The kit cluster that a kubeconfig's current context means; None when it means something else.

    Reads only the line it needs: `kit` must not load a YAML parser to find out which cluster is meant.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(rf'^"?current-context"?:\s*["\']?{PREFIX}([a-z0-9-]+)["\']?\s*,?\s*$', text, re.MULTILINE)
    return found.group(1) if found else None


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
