"""Images on the node: how a reference is read, when to pull, and what to say when that fails.

    busybox            docker.io/library/busybox:latest
    kit/echo:1         docker.io/kit/echo:1
    localhost:5000/a   localhost:5000/a:latest

    policy         image here      image not here
    IfNotPresent   use it          pull
    Always         pull            pull
    Never          use it          ErrImageNeverPull

Source: pkg/kubelet/images/image_manager.go, github.com/distribution/reference (the grammar).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..objects.clock import Clock
from ..runtime.cri import Image, RuntimeError_, RuntimeService
from .backoff import Backoff

_DOMAIN = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_DOMAIN}(?:\.{_DOMAIN})*(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(rf"^(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)"
                        r"(?P<tag>:[\w][\w.-]{0,127})?(?P<digest>@[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,})?$")


class ImageRefused(Exception):
    """No image for this container now.  reason: what `state.waiting` shows; retry_at: when to try again, if known."""

    def __init__(self, reason: str, message: str, retry_at: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.message, self.retry_at = reason, message, retry_at


def normalize(image: str) -> str | None:
    """The full form of a reference, or None if it cannot be read."""
    match = _REFERENCE.match(image)
    if match is None:
        return None
    host, path = match["host"], match["path"]
    if host is None or not ("." in host or ":" in host or host == "localhost" or host != host.lower()):
        path = f"{host}/{path}" if host else path
        host = "docker.io"
    if path != path.lower():
        return None
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    tag, digest = match["tag"] or "", match["digest"] or ""
    return f"{host}/{path}{tag if tag or digest else ':latest'}{digest}"


def pull_policy(container: dict[str, Any]) -> str:
    """The policy in force; the API server fills it in, so this default only meets hand-made Pods."""
    policy = container.get("imagePullPolicy")
    if policy:
        return policy
    full = normalize(container.get("image", "")) or ""
    return "Always" if full.endswith(":latest") else "IfNotPresent"


Say = Callable[[str, str, str], None]  # type, reason, message of an Event about the container


class ImageManager:
    """EnsureImageExists: one per node.  Failed pulls back off per Pod and image."""

    def __init__(self, runtime: RuntimeService, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock
        self.backoff = Backoff()
        self._failures: dict[str, tuple[float, str]] = {}  # when a pull failed last, and why

    async def ensure(self, pod_uid: str, container: dict[str, Any], say: Say) -> Image:
        """The image, pulled if the policy wants it.  Raises ImageRefused and has said why in Events."""
        image = container.get("image", "")
        if normalize(image) is None:
            why = f"Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": " \
                  "invalid reference format"
            say("Warning", "InspectFailed", why)
            say("Warning", "Failed", "Error: InvalidImageName")
            raise ImageRefused("InvalidImageName", why)
        policy = pull_policy(container)
        present = await self._runtime.image_status(image)
        if present is not None and policy != "Always":
            say("Normal", "Pulled",
                f'Container image "{image}" already present on machine and can be accessed by the pod')
            return present
        if policy == "Never":
            why = f'Container image "{image}" is not present with pull policy of Never'
            say("Warning", "ErrImageNeverPull", why)
            say("Warning", "Failed", "Error: ErrImageNeverPull")
            raise ImageRefused("ErrImageNeverPull", why)
        return await self._pull(f"{pod_uid}/{container['name']}/{image}", image, say)

    async def _pull(self, key: str, image: str, say: Say) -> Image:
        now = self._clock.now()
        failed_at, cause = self._failures.get(key, (0.0, ""))
        left = self.backoff.remaining(key, failed_at, now) if failed_at else 0.0
        if left > 0:
            why = f'Back-off pulling image "{image}"'
            say("Normal", "BackOff", why)
            say("Warning", "Failed", "Error: ImagePullBackOff")
            raise ImageRefused("ImagePullBackOff", f"{why}: {cause}", now + left)
        say("Normal", "Pulling", f'Pulling image "{image}"')
        try:
            pulled = await self._runtime.pull_image(image)
        except RuntimeError_ as error:
            done = self._clock.now()
            self.backoff.next(key, done, done)
            self._failures[key] = (done, f"ErrImagePull: {error.message}")
            say("Warning", "Failed", f'Failed to pull image "{image}": {error.message}')
            say("Warning", "Failed", "Error: ErrImagePull")
            raise ImageRefused("ErrImagePull", error.message) from error
        took = self._clock.now() - now
        say("Normal", "Pulled", f'Successfully pulled image "{image}" in {duration(took)} '
                                f"({duration(took)} including waiting). Image size: {pulled.size} bytes.")
        self._failures.pop(key, None)
        return pulled

    def forget(self, pod_uid: str) -> None:
        """The Pod is gone."""
        self.backoff.forget_prefix(pod_uid + "/")
        for key in [k for k in self._failures if k.startswith(pod_uid + "/")]:
            del self._failures[key]


def duration(seconds: float) -> str:
    """A time span as Go prints it, to the millisecond: 35ms, 1.204s."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s" if seconds >= 1 else f"{int(seconds * 1000)}ms"
