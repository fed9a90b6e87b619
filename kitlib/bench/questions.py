"""DNS questions over UDP, some always under way:  python -m kitlib.bench.questions < {"server", "names", "seconds"}.

Closed loop: the next question goes out when an answer has come, so what is measured is the server's pace.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Sequence

import dns.message

from kitlib.traffic.reach import places

UNDER_WAY = 16
PATIENCE = 0.5
PORT = 53


def main() -> None:
    job = json.load(sys.stdin)
    sock = _connected(job["server"], job["names"])
    bodies = [dns.message.make_query(name, "A").to_wire()[2:] for name in job["names"]]
    sent: dict[int, float] = {}
    answers = wrong = lost = number = 0
    latencies: list[float] = []
    end = time.perf_counter() + job["seconds"]
    while (now := time.perf_counter()) < end:
        while len(sent) < UNDER_WAY:
            number = (number + 1) & 0xFFFF
            sent[number] = now
            sock.send(struct.pack(">H", number) + bodies[number % len(bodies)])
        try:
            data = sock.recv(4096)
        except TimeoutError:
            lost += len(sent)
            sent.clear()
            continue
        began = sent.pop(struct.unpack_from(">H", data)[0], None)
        if began is not None:
            answers += 1
            latencies.append(time.perf_counter() - began)
            wrong += data[3] & 15 != 0 or struct.unpack_from(">H", data, 6)[0] == 0  # an error, or no record
    latencies.sort()
    print(json.dumps({"answers": answers, "wrong": int(wrong), "lost": lost,
                      "p50": latencies[len(latencies) // 2] if latencies else 0}))


def _connected(server: str, names: Sequence[str]) -> socket.socket:
    """A socket to where the server really listens (its port may be moved up)."""
    question = dns.message.make_query(names[0], "A").to_wire()
    for place in places(server, PORT):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(PATIENCE)
        sock.connect((server, place))
        try:
            sock.send(question)
            sock.recv(4096)
        except OSError:
            sock.close()
            continue
        return sock
    sys.exit(f"no DNS server answers at {server}")


if __name__ == "__main__":
    main()
