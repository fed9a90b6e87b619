"""What is wrong with an image, in one sentence that names the place."""

from __future__ import annotations


class ImageError(Exception):
    """An archive, a layer or a manifest that cannot be used; nothing of it was kept."""
