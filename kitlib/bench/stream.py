"""One connection, read as fast as it goes:  python -m kitlib.bench.stream < {"host", "port", "seconds"}."""

from __future__ import annotations

import json
import socket
import sys
import time


def main() -> None:
    job = json.load(sys.stdin)
    buffer = memoryview(bytearray(1 << 20))
    total = 0
    with socket.create_connection((job["host"], job["port"]), 10) as connection:
        connection.settimeout(10)
        connection.recv_into(buffer)  # the clock starts when bytes flow
        end = time.perf_counter() + job["seconds"]
        while time.perf_counter() < end:
            count = connection.recv_into(buffer)
            if not count:
                sys.exit("the stream ended")
            total += count
    print(json.dumps({"bytes": total}))


if __name__ == "__main__":
    main()
