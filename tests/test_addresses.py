"""Slices of loopback for clusters, addresses for Pods, and the rule for low ports."""

from __future__ import annotations

import ipaddress
import itertools
import socket
import struct

import pytest

from kitlib.network.addresses import NoFreeSlice, PodAddresses, lease_slice
from kitlib.objects import lowports
from kitlib.objects.clock import FakeClock
from kitlib.runtime.process import sockaddr
from kitlib.runtime.process.sockaddr import PodAddress


def test_two_clusters_never_share_a_slice() -> None:
    first, second = lease_slice(), lease_slice()
    try:
        assert first.number != second.number
        with pytest.raises(NoFreeSlice, match=rf"127\.{first.number}\.0\.0/16"):
            lease_slice(preferred=first.number)
    finally:
        first.release()
        second.release()


def test_a_cluster_that_comes_back_gets_its_slice_again() -> None:
    leased = lease_slice()
    leased.release()
    again = lease_slice(preferred=leased.number)
    assert again.number == leased.number
    again.release()


def test_slices_to_be_avoided_are_the_last_choice() -> None:
    avoid = set(range(64, 128)) - {77}
    taken = lease_slice(avoid=avoid)
    try:
        other = lease_slice(avoid=avoid)  # 77 is taken now, by us or by somebody else
        other.release()
        assert other.number in avoid
    finally:
        taken.release()


def test_the_ranges_of_a_slice_do_not_overlap() -> None:
    leased = lease_slice()
    try:
        whole = ipaddress.ip_network(f"127.{leased.number}.0.0/16")
        pods = [ipaddress.ip_network(leased.pod_cidr(index)) for index in range(239)]
        ranges = [ipaddress.ip_network(leased.service_cidr), *pods, ipaddress.ip_network(leased.load_balancer_cidr)]
        assert all(network.subnet_of(whole) for network in ranges)
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(ranges))
        assert ipaddress.ip_address(leased.kubernetes_ip) in ranges[0]
        assert not any(ipaddress.ip_address(f"127.{leased.number}.255.254") in network for network in ranges[:-1])
        with pytest.raises(ValueError, match="room for nodes"):
            leased.pod_cidr(239)
    finally:
        leased.release()


def test_a_pod_keeps_its_address_and_no_two_have_the_same() -> None:
    pool = PodAddresses("127.80.16.0/24", clock=FakeClock())
    first = pool.allocate("a")
    assert pool.allocate("a") == first == "127.80.16.2"
    addresses = {pool.allocate(f"pod-{number}") for number in range(252)}
    assert len(addresses | {first}) == 253
    assert not {"127.80.16.0", "127.80.16.1", "127.80.16.255"} & addresses
    with pytest.raises(OSError, match="no IP addresses available in range set"):
        pool.allocate("one too many")


def test_an_address_rests_before_it_is_used_again() -> None:
    clock = FakeClock()
    pool = PodAddresses("127.80.16.0/29", clock=clock, reuse_delay=30)  # room for five
    for name in "abcde":
        pool.allocate(name)
    freed = pool.used()
    pool.release("c")
    with pytest.raises(OSError, match="1 rest after use"):
        pool.allocate("f")
    clock.advance(30)
    assert freed[pool.allocate("f")] == "c"


def test_a_running_pods_address_can_be_adopted() -> None:
    pool = PodAddresses("127.80.16.0/24", clock=FakeClock())
    pool.reserve("127.80.16.2", "old")
    assert pool.allocate("new") == "127.80.16.3"
    assert pool.allocate("old") == "127.80.16.2"
    with pytest.raises(OSError, match="belongs to Pod old"):
        pool.reserve("127.80.16.2", "other")


def test_low_ports_map_up_and_back_and_others_stay() -> None:
    for port in range(65536):
        bound = lowports.reachable(port, 1024)
        assert bound == (61000 + port if 0 < port < 1024 else port)
        if port < 1024:
            assert lowports.nominal(bound, 1024) == port
        assert lowports.reachable(port, 0) == port


_POD = PodAddress("127.80.16.5", 1024)


def _v4(ip: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big") + socket.inet_aton(ip) + b"\0" * 8


def _v6(ip: str, port: int) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, ip)
    return struct.pack("=H", socket.AF_INET6) + port.to_bytes(2, "big") + b"\0" * 4 + packed + b"\0" * 4


@pytest.mark.parametrize("raw", [_v4("0.0.0.0", 8080), _v4("127.0.0.1", 8080), _v4("127.80.16.5", 8080)])
def test_binding_to_this_pod_in_any_words_is_its_address(raw: bytes) -> None:
    assert sockaddr.on_bind(raw, _POD).sockaddr == _v4("127.80.16.5", 8080)


@pytest.mark.parametrize("raw", [_v6("::", 80), _v6("::1", 80), _v6("::ffff:127.0.0.1", 80)])
def test_binding_by_ipv6_is_the_same_address_and_low_ports_are_mapped(raw: bytes) -> None:
    assert sockaddr.on_bind(raw, _POD).sockaddr == _v6("::ffff:127.80.16.5", 61080)


@pytest.mark.parametrize("raw", [_v4("127.80.16.6", 80), _v4("10.0.0.1", 80), _v6("2001:db8::1", 80)])
def test_binding_to_somebody_elses_address_is_refused(raw: bytes) -> None:
    assert sockaddr.on_bind(raw, _POD).error != 0


def test_dialling_localhost_is_this_pod_another_pod_is_itself_and_the_world_is_outside() -> None:
    assert sockaddr.on_connect(_v4("127.0.0.1", 8080), _POD).sockaddr == _v4("127.80.16.5", 8080)
    assert sockaddr.on_connect(_v6("::1", 8080), _POD).sockaddr == _v6("::ffff:127.80.16.5", 8080)
    assert sockaddr.on_connect(_v4("127.80.17.9", 8080), _POD) == sockaddr.UNCHANGED
    assert sockaddr.on_connect(_v4("127.80.17.9", 80), _POD).sockaddr == _v4("127.80.17.9", 61080)
    assert sockaddr.on_connect(_v4("192.0.2.1", 80), _POD).outside
    unix = struct.pack("=H", socket.AF_UNIX) + b"/tmp/x\0"
    assert sockaddr.on_connect(unix, _POD) == sockaddr.on_bind(unix, _POD) == sockaddr.UNCHANGED


def test_a_short_or_empty_address_is_left_to_the_kernel() -> None:
    for raw in (b"", b"\2", _v4("0.0.0.0", 1)[:4], _v6("::", 1)[:20]):
        assert sockaddr.on_bind(raw, _POD) == sockaddr.on_connect(raw, _POD) == sockaddr.UNCHANGED
