"""The way into the cluster in a notebook: `kit.certificate` and `kit.passage`.

    certificate, key = kit.certificate("shop.example")    two files, for `kubectl create secret tls`
    kit.passage("https://shop.example/cart")              one request's way in, drawn
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Mapping

from kitlib.book.traffic import default_namespace
from kitlib.cluster.context import connect
from kitlib.cluster.errors import UsageError
from kitlib.traffic.passage import follow
from kitlib.views.passage import PassageFigure


def certificate(*hosts: str) -> tuple[str, str]:
    """Make a certificate for these hosts, signed by nobody but itself; the names of two files, certificate and key.

    The files are gone when this process ends.
    """
    from kitlib.cluster.pki import self_signed

    if not hosts or any("/" in host or " " in host or not host for host in hosts):
        raise UsageError('name the hosts that it is for: kit.certificate("shop.example", "www.shop.example").')
    place = tempfile.mkdtemp(prefix="kit-certificate-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    paths = []
    for text, ending in zip(self_signed(*hosts), ("crt", "key"), strict=True):
        paths.append(os.path.join(place, f"{hosts[0].replace('*', 'any')}.{ending}"))
        with open(os.open(paths[-1], os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text)
    return paths[0], paths[1]


def passage(url: str, *, headers: Mapping[str, str] | None = None, namespace: str = "") -> PassageFigure:
    """Ask the cluster's ingress controller for a URL, once, and draw what the request passed through.

    It is asked for any host, as if DNS led it there.  `.passage` has it as data: status, taken (the rule), certificate,
    endpoint, seen (what the Pod got).
    """
    try:
        found = follow(connect().client("kit-passage"), url, namespace=namespace or default_namespace(),
                       headers=headers)
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    return PassageFigure(found)
