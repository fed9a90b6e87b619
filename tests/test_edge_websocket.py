"""WebSocket frames: what is taken apart, and what is refused."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitlib.api.edge.websocket import (
    BINARY,
    CLOSE,
    MAX_MESSAGE,
    PING,
    FrameParser,
    ProtocolError,
    choose,
    frame,
    unmask,
)
from kitlib.objects.errors import StatusError


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame: the server's, with a mask."""
    mask = b"\x1d\x88\xe1\x5a"
    plain = frame(opcode, payload)
    start = len(plain) - len(payload)
    head = bytes([plain[0] & (0xFF if final else 0x7F), plain[1] | 0x80]) + plain[2:start]
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


@given(st.lists(st.binary(max_size=300)), st.integers(1, 50))
def test_messages_arrive_whole_however_the_bytes_are_cut(payloads, cut):
    data = b"".join(masked(BINARY, payload) for payload in payloads)
    parser, found = FrameParser(), []
    for start in range(0, len(data), cut):
        found += parser.feed(data[start:start + cut])
    assert found == [(BINARY, payload) for payload in payloads]


@pytest.mark.parametrize("size", [125, 126, 65535, 65536])
def test_lengths_have_three_forms(size):
    payload = os.urandom(size)
    assert FrameParser().feed(masked(BINARY, payload)) == [(BINARY, payload)]


@given(st.binary(max_size=50), st.binary(min_size=4, max_size=4))
def test_unmasking_is_xor_with_the_repeated_mask(payload, mask):
    assert unmask(payload, mask) == bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def test_fragments_become_one_message_and_a_ping_may_come_between():
    data = masked(BINARY, b"ab", final=False) + masked(PING, b"?") + masked(0, b"cd")
    assert FrameParser().feed(data) == [(PING, b"?"), (BINARY, b"abcd")]


@pytest.mark.parametrize(("data", "code"), [
    (frame(BINARY, b"not masked"), 1002),
    (masked(0, b"continues nothing"), 1002),
    (masked(BINARY, b"a", final=False) + masked(BINARY, b"b"), 1002),
    (masked(3, b"unknown opcode"), 1002),
    (masked(PING, b"in two parts", final=False), 1002),
    (masked(PING, b"x" * 126), 1002),
    (bytes([0xC2, 0x80, 0, 0, 0, 0]), 1002),
    (bytes([0x82, 0xFF]) + (MAX_MESSAGE + 1).to_bytes(8, "big"), 1009),
    (masked(BINARY, b"x" * (MAX_MESSAGE // 2 + 1), final=False) + masked(0, b"x" * (MAX_MESSAGE // 2)), 1009)])
def test_broken_frames_end_the_connection(data, code):
    with pytest.raises(ProtocolError) as broken:
        FrameParser().feed(data)
    assert broken.value.code == code


def test_a_close_frame_carries_its_code():
    assert FrameParser().feed(masked(CLOSE, b"\x03\xe8")) == [(CLOSE, b"\x03\xe8")]


def test_the_client_prefers_among_the_protocols_that_we_know():
    headers = {"sec-websocket-protocol": "v9.x, v5.x,v4.x"}
    assert choose(headers, ("v4.x", "v5.x")) == "v5.x"
    assert choose({}, ("v4.x",)) == ""
    with pytest.raises(StatusError) as refused:
        choose({"sec-websocket-protocol": "v9.x"}, ("v4.x",))
    assert refused.value.code == 400
