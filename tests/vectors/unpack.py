"""The recorded cases as files: `python -m tests.vectors.unpack DIRECTORY`."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

PACKED = Path(__file__).with_name("cases.json.gz")


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(PACKED.read_bytes()))
    return found


def unpack(directory: Path) -> None:
    """DIRECTORY/AREA/NAME.json for each case, as the runner wants them."""
    for case in cases():
        path = directory / case["area"] / f"{case['name']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(case))


if __name__ == "__main__":
    unpack(Path(sys.argv[1]))
