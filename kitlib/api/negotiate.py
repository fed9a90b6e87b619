"""Content negotiation: in which form the client wants its answer.

One object can go out as itself, as a `Table` of printable columns (`kubectl get`), or as mere
`PartialObjectMetadata` (what the garbage collector reads).  The client lists what it takes, best
first, and the first that the server has wins:

    Accept: application/json;as=Table;v=v1;g=meta.k8s.io, application/json

Source: k8s.io/apiserver/pkg/endpoints/handlers/negotiation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kitlib.objects.errors import StatusError


@dataclass(frozen=True, slots=True)
class Form:
    """as_: "" (the object itself), "Table", "PartialObjectMetadata" or "...List"; version of meta.k8s.io."""

    as_: str = ""
    version: str = "v1"
    media: str = "application/json"

    @property
    def partial(self) -> bool:
        return self.as_.startswith("PartialObjectMetadata")


PLAIN = Form()
TRANSFORMS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
# Protobuf and CBOR answers are not offered; every client that prefers them lists JSON as well.
MEDIA = ("application/json", "application/yaml")


@lru_cache(maxsize=256)
def parse_accept(accept: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """The clauses of an Accept header, by descending q, then in their order."""
    clauses = []
    for index, clause in enumerate(accept.split(",")):
        media, *params = (part.strip() for part in clause.split(";"))
        options = dict(param.split("=", 1) for param in params if "=" in param)
        try:
            quality = float(options.pop("q", "1"))
        except ValueError:
            quality = 1.0
        clauses.append((-quality, index, media.lower(), options))
    return tuple((media, options) for _, _, media, options in sorted(clauses, key=lambda c: c[:2]))


def not_acceptable(details: bool = True) -> StatusError:
    return StatusError(406, "NotAcceptable", "only the following media types are accepted: application/json, "
                       "application/yaml", {} if details else None)


def _serves(media: str) -> str:
    """The media type that answers this clause, or ""."""
    if media in ("*/*", "application/*"):
        return "application/json"
    return media if media in MEDIA else ""


@lru_cache(maxsize=256)
def form(accept: str, collection: bool, streaming: bool = False) -> Form:
    """The form to answer in.  Raises 406 if nothing that the client takes can be had."""
    if not accept:
        return PLAIN
    wrong_form = False
    for media, options in parse_accept(accept):
        # A real server picks its default for a wildcard only if it comes first: `text/plain, application/*` is 406.
        if media.endswith("/*") and media != "*/*" and len(parse_accept(accept)) > 1:
            continue
        served = _serves(media)
        if not served:
            continue
        wanted = options.get("as", "")
        if not wanted:
            return Form(media=served)
        version, group = options.get("v", "v1"), options.get("g", "")
        known = wanted in TRANSFORMS and group == "meta.k8s.io" and version in ("v1", "v1beta1")
        if known and wanted != "Table" and not streaming:
            known = wanted.endswith("List") == collection
        if known:
            return Form(wanted, version, served)
        wrong_form = True
    raise not_acceptable(details=not wrong_form)
