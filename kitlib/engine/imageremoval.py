"""`docker rmi` and `docker image prune`: which names go, which images with them, and what stands against it.

    by name    the name goes; the image, too, if that was its last one
    by id      all its names (of one repository) and the image
    then       its parents, as long as nobody else wants them

A conflict is hard (children, a running container) or can be forced (other names, a stopped container).

Source: moby/moby 20.10, daemon/images/image_delete.go, image_prune.go.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kitlib.engine import imageforms as forms
from kitlib.engine.errors import bad_request, conflict
from kitlib.engine.images import LocalImage, has_labels, truth
from kitlib.engine.names import familiar, parsed, short

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

PRUNE_FILTERS = ("dangling", "label", "label!", "until")
Records = list[dict[str, str]]


class Removal:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._images, self._store = engine, engine.images, engine.store
        self._records: Records = []

    def remove(self, reference: str, *, force: bool = False, prune: bool = True) -> Records:
        """What was untagged and deleted, in order.  Raises EngineError: 404, or 409 with what is against it."""
        if not reference.strip():
            raise bad_request("image name cannot be blank")
        local = self._images.find(reference)
        by_name = not self._images.by_id_prefix(reference, local.id)
        if by_name:
            self._by_name(local, str(parsed(reference)), force)
            if self._images.find(local.id).names:
                return self._records
        elif local.names and len({name.rpartition(":")[0] for name in local.names}) == 1 and len(local.names) == 1:
            self._must_not_conflict(local, force=force, names_matter=False)
            for name in list(local.names):
                self._untag(local, name)
        self._delete(local.id, force=force, prune=prune, quiet=by_name)
        return self._records

    def _by_name(self, local: LocalImage, full: str, force: bool) -> None:
        name = full if full in local.names else next(iter(local.names), full)
        user = self._user(local.id)
        if not force and local.names == [name] and user is not None:
            raise conflict(f'conflict: unable to remove repository reference "{familiar(name)}" (must force) - '
                           f"container {short(user['Id'])} is using its referenced image {short(local.id)}")
        self._untag(local, name)

    def _untag(self, local: LocalImage, name: str) -> None:
        self._store.untag(name)
        self._records.append({"Untagged": familiar(name)})
        self._engine.events.tell("image", "untag", local.id, self._images.attributes(local, local.id))

    def _user(self, identity: str, *states: str) -> dict[str, Any] | None:
        containers = self._engine.containers.summaries()
        return next((c for c in containers if c["ImageID"] == identity and (not states or c["State"] in states)), None)

    def _conflict(self, local: LocalImage, *, force: bool, names_matter: bool = True) -> str:
        """What is against deleting it, as Docker words it, or ""."""
        about = f"conflict: unable to delete {short(local.id)}"
        if self._images.children(self._images.all()).get(local.id):
            return f"{about} (cannot be forced) - image has dependent child images"
        user = self._user(local.id, "running", "paused", "restarting")
        if user is not None:
            return (f"{about} (cannot be forced) - image is being used by running container {short(user['Id'])}")
        if force:
            return ""
        if names_matter and local.names:
            return f"{about} (must be forced) - image is referenced in multiple repositories"
        user = self._user(local.id)
        if user is not None:
            return f"{about} (must be forced) - image is being used by stopped container {short(user['Id'])}"
        return ""

    def _must_not_conflict(self, local: LocalImage, *, force: bool, names_matter: bool = True) -> None:
        against = self._conflict(local, force=force, names_matter=names_matter)
        if against:
            raise conflict(against)

    def _delete(self, identity: str, *, force: bool, prune: bool, quiet: bool) -> None:
        local = self._images.all().get(identity)
        if local is None:
            return
        against = self._conflict(local, force=force)
        if against:
            if quiet:
                return
            raise conflict(against)
        for name in list(local.names):
            self._untag(local, name)
        parent = self._images.facts(identity)["parent"]
        others = [i for i in self._images.all().values() if i.id != identity]
        self._store.discard(identity)
        self._engine.state.drop("images", identity[7:])
        self._engine.events.tell("image", "delete", identity, self._images.attributes(local, identity))
        self._records.append({"Deleted": identity})
        kept = {chain for other in others for chain in forms.chain_ids(other.stored.diff_ids)}
        self._records += [{"Deleted": chain} for chain in reversed(forms.chain_ids(local.stored.diff_ids))
                          if chain not in kept]
        if prune and parent:
            self._delete(parent, force=False, prune=True, quiet=True)


def prune(engine: Engine, filters: dict[str, list[str]]) -> dict[str, Any]:
    """Nameless images that nobody stands on (dangling=false: all that no container uses)."""
    only_dangling = truth("dangling", filters["dangling"]) if "dangling" in filters else True
    limit = min((_until(value) for value in filters.get("until", ())), default=None)
    images = engine.images
    everything = images.all()
    children = images.children(everything)
    used = {c["ImageID"] for c in engine.containers.summaries()}
    records: Records = []
    freed = 0
    for local in list(everything.values()):
        labels = (local.config.get("config") or {}).get("Labels")
        if local.id in used or local.id in children or (only_dangling and local.names):
            continue
        if limit is not None and forms.seconds_of(local.config.get("created")) > limit:
            continue
        if not has_labels(labels, filters.get("label", ())) or (
                filters.get("label!") and has_labels(labels, filters["label!"])):
            continue
        before = _kept_bytes(engine)
        removal = Removal(engine)
        for name in local.names:
            records += removal.remove(name)
        if not local.names:
            records += removal.remove(local.id)
        freed += before - _kept_bytes(engine)
    return {"ImagesDeleted": records or None, "SpaceReclaimed": freed}


def _kept_bytes(engine: Engine) -> int:
    return sum({one.digest: one.size for i in engine.images.all().values() for one in i.stored.layers}.values())


def _until(text: str) -> float:
    """A time, or how long ago: 24h, 10m, 1700000000, 2026-01-01T00:00:00Z."""
    import re

    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if text and match:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return time.time() - hours * 3600 - minutes * 60 - seconds
    try:
        return float(text)
    except ValueError:
        pass
    found = forms.seconds_of(text)
    if found == forms.NEVER:
        raise bad_request(f'parsing time "{text}": it is neither a time nor a duration such as 24h')
    return float(found)


def used_bytes(images: Sequence[LocalImage], sizes: dict[str, int]) -> int:
    """What layers take, each once."""
    return sum({chain: sizes[diff_id] for image in images for chain, diff_id in zip(
        forms.chain_ids(image.stored.diff_ids), image.stored.diff_ids, strict=True)}.values())
