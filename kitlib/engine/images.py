"""The engine's images: found by name or id, listed, looked into, tagged.

The store (kitlib/images/store.py) keeps manifests under names; Docker's image is the config, with all the names that
lead to it.  What only Docker's API knows about an image (its parent, when it was tagged last, under which digests it
was pulled or pushed) is in the engine's state.

Source: docs.docker.com/reference/api/engine (Images); moby/moby 20.10, daemon/images.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kitlib.engine import imageforms as forms
from kitlib.engine.errors import EngineError, bad_request, not_found
from kitlib.engine.layersizes import measure
from kitlib.engine.names import familiar, parsed
from kitlib.images.descriptor import Descriptor
from kitlib.images.reference import parse
from kitlib.images.store import StoredImage

if TYPE_CHECKING:
    from kitlib.engine.engine import Engine

_HEX = re.compile(r"[0-9a-f]+")
FILTERS = ("dangling", "label", "before", "since", "reference")


@dataclass
class LocalImage:
    """One image with all its names (full ones)."""

    stored: StoredImage
    names: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.stored.id

    @property
    def config(self) -> dict[str, Any]:
        return self.stored.config


class Images:
    def __init__(self, engine: Engine) -> None:
        self._engine, self._store = engine, engine.store
        self._sizes: dict[str, int] = {}

    # Finding.

    def all(self) -> dict[str, LocalImage]:
        """id → image."""
        found: dict[str, LocalImage] = {}
        for stored in self._store.images():
            local = found.setdefault(stored.id, LocalImage(dataclasses.replace(stored, name="")))
            if stored.name:
                local.names.append(stored.name)
        return found

    def find(self, reference: str) -> LocalImage:
        """By name or by (the beginning of) an id.  Raises EngineError(404) in Docker's words."""
        images = self.all()
        if reference in images:
            return images[reference]
        parsed_name = parse(reference)
        if parsed_name is not None:
            full = str(parsed_name)
            for local in images.values():
                if full in local.names or (parsed_name.digest and full in self.facts(local.id)["digests"]):
                    return local
        wanted = reference.removeprefix("sha256:")
        if _HEX.fullmatch(wanted):
            matching = [local for identity, local in images.items() if identity[7:].startswith(wanted)]
            if len(matching) == 1:
                return matching[0]
        if reference.startswith("sha256:") or re.fullmatch("[0-9a-f]{64}", reference):
            raise not_found(f"No such image: {reference}")
        name = parsed(reference)
        raise not_found(f"No such image: {familiar(str(name))}")

    def by_id_prefix(self, reference: str, identity: str) -> bool:
        """Whether a reference that has found an image was (the beginning of) its id."""
        return identity.startswith(reference) or identity[7:].startswith(reference)

    # What only Docker's API knows.

    def facts(self, identity: str) -> dict[str, Any]:
        found = self._engine.state.get("images", identity[7:]) or {}
        return {"parent": "", "tagged": "", "digests": [], **found}

    def note(self, identity: str, **changes: Any) -> None:
        self._engine.state.put("images", identity[7:], {**self.facts(identity), **changes})

    def parents(self, identity: str) -> list[str]:
        """The image and its parents, as far as they are known and here."""
        chain, there = [identity], self.all()
        while (parent := self.facts(chain[-1])["parent"]) in there and parent not in chain:
            chain.append(parent)
        return chain

    def children(self, images: dict[str, LocalImage]) -> dict[str, list[str]]:
        """parent → its children."""
        found: dict[str, list[str]] = {}
        for identity in images:
            parent = self.facts(identity)["parent"]
            if parent in images:
                found.setdefault(parent, []).append(identity)
        return found

    # Sizes.

    def layer_size(self, one: Descriptor, diff_id: str) -> int:
        """Bytes of the files in a layer, as Docker counts them; computed once."""
        if diff_id not in self._sizes:
            known = self._engine.state.get("layers", diff_id[7:])
            if known is None:
                known = {"size": measure(self._store, one)[0]}
                self._engine.state.put("layers", diff_id[7:], known)
            self._sizes[diff_id] = known["size"]
        return self._sizes[diff_id]

    def sizes(self, image: StoredImage) -> list[int]:
        return [self.layer_size(one, diff_id) for one, diff_id in zip(image.layers, image.diff_ids, strict=True)]

    # Docker's forms.

    def summaries(self, *, everything: bool = False, filters: dict[str, list[str]] | None = None,
                  shared: bool = False) -> list[dict[str, Any]]:
        """GET /images/json.  Raises EngineError for filters that make no sense."""
        filters = filters or {}
        images = self.all()
        children = self.children(images)
        chosen = [local for local in self._filtered(images, children, filters)
                  if everything or local.names or local.id not in children]
        users: dict[str, int] = {}
        if shared:
            for summary in self._containers():
                users[summary["ImageID"]] = users.get(summary["ImageID"], 0) + 1
        rows = []
        for local in sorted(chosen, key=lambda i: -forms.seconds_of(i.config.get("created"))):
            row = self.summary(local)
            if shared:
                row |= {"Containers": users.get(local.id, 0), "SharedSize": self._shared(local, images)}
            rows.append(row)
        return rows

    def summary(self, local: LocalImage) -> dict[str, Any]:
        facts, size = self.facts(local.id), sum(self.sizes(local.stored))
        nameless = not local.names and not facts["digests"]
        return {
            "Containers": -1, "Created": forms.seconds_of(local.config.get("created")), "Id": local.id,
            "Labels": (local.config.get("config") or {}).get("Labels"), "ParentId": facts["parent"],
            "RepoDigests": ["<none>@<none>"] if nameless else [familiar(d) for d in facts["digests"]] or None,
            "RepoTags": ["<none>:<none>"] if nameless else [familiar(name) for name in local.names] or None,
            "SharedSize": -1, "Size": size, "VirtualSize": size}

    def _shared(self, local: LocalImage, images: dict[str, LocalImage]) -> int:
        others = {chain for other in images.values() if other.id != local.id
                  for chain in forms.chain_ids(other.stored.diff_ids)}
        pairs = zip(forms.chain_ids(local.stored.diff_ids), self.sizes(local.stored), strict=True)
        return sum(size for chain, size in pairs if chain in others)

    def _containers(self) -> Sequence[dict[str, Any]]:
        return self._engine.containers.summaries()

    def _filtered(self, images: dict[str, LocalImage], children: dict[str, list[str]],
                  filters: dict[str, list[str]]) -> list[LocalImage]:
        found = list(images.values())
        if "dangling" in filters:
            wanted = truth("dangling", filters["dangling"])
            found = [i for i in found if (not i.names and i.id not in children) == wanted]
        for value in filters.get("before", ()):
            limit = forms.seconds_of(self.find(value).config.get("created"))
            found = [i for i in found if forms.seconds_of(i.config.get("created")) < limit]
        for value in filters.get("since", ()):
            limit = forms.seconds_of(self.find(value).config.get("created"))
            found = [i for i in found if forms.seconds_of(i.config.get("created")) > limit]
        if "label" in filters:
            found = [i for i in found if has_labels((i.config.get("config") or {}).get("Labels"), filters["label"])]
        if "reference" in filters:
            found = [dataclasses.replace(i, names=names) for i in found
                     if (names := [n for n in i.names if any(_matches(n, p) for p in filters["reference"])])]
        return found

    def inspect(self, local: LocalImage) -> dict[str, Any]:
        config, facts = local.config, self.facts(local.id)
        size = sum(self.sizes(local.stored))
        places = [str(self._store.root / "unpacked" / f"overlay-{diff_id[7:]}")
                  for diff_id in reversed(local.stored.diff_ids)]
        layers = {"UpperDir": places[0], **({"LowerDir": ":".join(places[1:])} if places[1:] else {})} if places else {}
        return {
            "Id": local.id, "RepoTags": [familiar(name) for name in local.names],
            "RepoDigests": [familiar(d) for d in facts["digests"]], "Parent": facts["parent"],
            "Comment": forms.comment_of(config), "Created": config.get("created") or forms.NEVER_TEXT,
            "Container": config.get("container", ""),
            "ContainerConfig": forms.full_config(config.get("container_config")),
            "DockerVersion": config.get("docker_version", ""), "Author": config.get("author", ""),
            "Config": forms.full_config(config.get("config")), "Architecture": config.get("architecture", ""),
            **({"Variant": config["variant"]} if config.get("variant") else {}), "Os": config.get("os", ""),
            "Size": size, "VirtualSize": size, "GraphDriver": {"Data": layers, "Name": "kitlib"},
            "RootFS": {"Type": "layers", **({"Layers": list(local.stored.diff_ids)} if places else {})},
            "Metadata": {"LastTagTime": facts["tagged"] or forms.NEVER_TEXT}}

    def history(self, local: LocalImage) -> list[dict[str, Any]]:
        tags = {i.id: [familiar(n) for n in i.names] for i in self.all().values() if i.names}
        return forms.history_of(local.id, local.config, self.sizes(local.stored), self.parents(local.id), tags)

    # Changing.

    def tag(self, local: LocalImage, full: str) -> None:
        """Whatever had the name is nameless from now on."""
        self._store.tag(full, local.stored.manifest)
        self.tagged(local, full)

    def tagged(self, local: LocalImage, full: str) -> None:
        """It has the name already: remember when, and tell it."""
        self.note(local.id, tagged=forms.time_text(time.time_ns()))
        self._engine.events.tell("image", "tag", local.id, self.attributes(local, familiar(full)))

    def attributes(self, local: LocalImage, name: str) -> dict[str, str]:
        """What an event tells about an image: its labels and a name."""
        labels = (local.config.get("config") or {}).get("Labels") or {}
        return {**{str(k): str(v) for k, v in labels.items()}, "name": name}


def truth(name: str, values: Sequence[str]) -> bool:
    if len(values) == 1 and values[0].lower() in ("1", "true"):
        return True
    if len(values) == 1 and values[0].lower() in ("0", "false"):
        return False
    raise bad_request(f"Invalid filter '{name}=[{' '.join(values)}]'")


def has_labels(labels: dict[str, str] | None, wanted: Sequence[str]) -> bool:
    """All of them: NAME or NAME=VALUE."""
    there = labels or {}
    pairs = (item.partition("=") for item in wanted)
    return all(name in there and (not equals or there[name] == value) for name, equals, value in pairs)


def _matches(full: str, pattern: str) -> bool:
    """A pattern of ?filters=reference: with or without a tag, `*` does not cross a slash."""
    name = familiar(full)
    bare = name.rpartition(":")[0]
    expression = re.compile(fnmatch.translate(pattern).replace(".*", "[^/]*"))
    try:
        return any(expression.fullmatch(each) for each in (name, bare, full, full.rpartition(":")[0]))
    except re.error as error:
        raise EngineError(400, f"invalid pattern {pattern!r}: {error}") from error
