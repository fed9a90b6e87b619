"""What a Pod reads about names, and what it finds: every dnsPolicy, dnsConfig, hostAliases, real lookups."""

from __future__ import annotations

from typing import Any

import pytest
from support import Kubectl, eventually

CONF = "grep -v '^#' ${KIT_ROOT}/etc/resolv.conf"
LOOK_UP = "import socket, sys\nfor name in sys.argv[1:]:\n" \
          "    try:\n        print(name, socket.gethostbyname(name))\n" \
          "    except OSError:\n        print(name, '-')"


def look(kubectl: Kubectl, name: str, *command: str, **spec: Any) -> list[str]:
    """What a command prints in a Pod with this spec."""
    container = {"name": "main", "image": "python", "command": list(command)}
    kubectl("create", "-f", "-", stdin={
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], **spec}})
    eventually(lambda: kubectl.get("pod", name)["status"].get("phase") in ("Succeeded", "Failed"))
    return kubectl("logs", name).splitlines()


def test_the_usual_policy_asks_the_cluster_with_its_search_path(kubectl: Kubectl) -> None:
    server = kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    search, nameserver, options = look(kubectl, "usual", "sh", "-c", CONF)
    assert search.split()[:4] == ["search", f"{kubectl.namespace}.svc.cluster.local", "svc.cluster.local",
                                  "cluster.local"]
    assert (nameserver, options) == (f"nameserver {server}", "options ndots:5")


def test_the_policy_none_has_what_dns_config_says_and_nothing_else(kubectl: Kubectl) -> None:
    config = {"nameservers": ["192.0.2.53"], "searches": ["example.org"], "options": [
        {"name": "ndots", "value": "1"}, {"name": "edns0"}]}
    lines = look(kubectl, "own", "sh", "-c", CONF, dnsPolicy="None", dnsConfig=config)
    assert lines == ["search example.org", "nameserver 192.0.2.53", "options ndots:1 edns0"]


def test_dns_config_is_added_to_the_usual_policy(kubectl: Kubectl) -> None:
    config = {"searches": ["example.org"], "options": [{"name": "ndots", "value": "2"}]}
    search, _, options = look(kubectl, "more", "sh", "-c", CONF, dnsConfig=config)
    assert search.split()[-1] == "example.org"
    assert options == "options ndots:2"


def test_the_policy_default_is_the_nodes(kubectl: Kubectl) -> None:
    lines = look(kubectl, "nodes", "sh", "-c", f"{CONF}; true", dnsPolicy="Default")
    assert not any("cluster.local" in line for line in lines)


@pytest.mark.parametrize("form", ["A", "short"])
def test_services_are_found_under_every_form_of_their_name(kubectl: Kubectl, form: str) -> None:
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    address = kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    space = kubectl.namespace
    names = [f"web.{space}.svc.cluster.local", f"web.{space}.svc.cluster.local."] if form == "A" else [
        "web", f"web.{space}", f"web.{space}.svc"]
    assert look(kubectl, "asks", "python3", "-c", LOOK_UP, *names, "nobody") == [
        *(f"{name} {address}" for name in names), "nobody -"]


def test_host_aliases_are_known_by_name(kubectl: Kubectl) -> None:
    aliases = [{"ip": "192.0.2.7", "hostnames": ["printer", "printer.office"]}]
    names = ("printer", "printer.office", "aliased")
    lines = look(kubectl, "aliased", "python3", "-c", LOOK_UP, *names, hostAliases=aliases)
    own = kubectl("get", "pod", "aliased", "-o", "jsonpath={.status.podIP}")
    assert lines == ["printer 192.0.2.7", "printer.office 192.0.2.7", f"aliased {own}"]
