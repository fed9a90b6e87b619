"""One Helm action, by way of helm-sdkpy (Helm v4's Go code in a shared library).

    python helm_driver.py NAMESPACE ACTION < arguments.json > result.json

It runs in an environment of its own, see test_clients_helm.py.  A refusal is {"error": ..., "kind": ...}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any


async def run(namespace: str, action: str, arguments: dict[str, Any]) -> Any:
    import helm_sdkpy

    return await getattr(helm_sdkpy, action)(helm_sdkpy.Configuration(namespace=namespace)).run(**arguments)


def main() -> None:
    try:
        result = asyncio.run(run(sys.argv[1], sys.argv[2], json.load(sys.stdin)))
    except Exception as error:
        result = {"error": str(error), "kind": type(error).__name__}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
