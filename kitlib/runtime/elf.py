"""What an ELF program needs of the root directory it is started in."""

from __future__ import annotations

import struct

_PT_INTERP = 3


def is_static(program: str) -> bool:
    """Whether an ELF program (64 bits) runs without a loader, so in an empty root directory too."""
    with open(program, "rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return False
        offset, size, count = *struct.unpack_from("<Q", header, 32), *struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        table = file.read(size * count)
    return all(struct.unpack_from("<I", table, size * index)[0] != _PT_INTERP for index in range(count))
