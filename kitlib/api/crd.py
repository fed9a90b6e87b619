"""CustomResourceDefinitions become kinds at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer


class CustomResources:
    """Follows the stored definitions and serves their kinds."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
