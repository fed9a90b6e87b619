"""One request on its way through the API server, with what has been found out about it so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from kitlib.api.kind import Kind, Subresource
from kitlib.api.request import Request, User
from kitlib.api.routing import RequestInfo
from kitlib.objects import field as problems
from kitlib.objects.errors import StatusError, bad_request, conflict, forbidden, invalid, not_found

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

MAX_MANAGER = 128
T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """The request, what its path means, who asks, and the kind and subresource it is about.

    verb is the REST verb; namespace, name and subresource repeat the path's.  warnings become
    `Warning` headers.  dry_run: everything happens but the write.
    """

    api: ApiServer
    request: Request
    info: RequestInfo
    user: User
    kind: Kind
    sub: Subresource | None = None
    warnings: list[str] = field(default_factory=list)
    dry_run: bool = False
    answers_used: list[str] = field(default_factory=list)  # keys of the callouts that this request has asked

    @property
    def verb(self) -> str:
        return self.info.verb

    @property
    def namespace(self) -> str:
        return self.info.namespace if self.kind.namespaced else ""

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def subresource(self) -> str:
        return self.info.subresource

    @property
    def agent(self) -> str:
        """The actor: the User-Agent's first word, "kubectl/v1.37.0" or "kube-controller-manager/replicaset"."""
        return self.request.headers.get("user-agent", "").split(" ", 1)[0]

    def once(self, what: str, make: Callable[[], T]) -> T:
        """What is chosen once for a request, however often it comes again (a webhook must see what is stored)."""
        decided = self.request.decided
        if decided is None:
            decided = self.request.decided = {}
        if what not in decided:
            decided[what] = make()
        chosen: T = decided[what]
        return chosen

    # -- refusals, in the words of this kind

    def not_found(self, name: str = "") -> StatusError:
        return not_found(self.kind.group, self.kind.plural, name or self.name)

    def forbidden(self, why: str, name: str = "") -> StatusError:
        return forbidden(self.kind.group, self.kind.plural, name or self.name, why)

    def conflict(self, why: str, name: str = "") -> StatusError:
        return conflict(self.kind.group, self.kind.plural, name or self.name, why)

    def invalid(self, causes: list[dict[str, str]], name: str = "") -> StatusError:
        return invalid(self.kind.group, self.kind.kind, name or self.name, causes)


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions", "delete": "DeleteOptions",
            "deletecollection": "DeleteOptions"}


def invalid_options(options: str, causes: list[dict[str, str]]) -> StatusError:
    """422 about the query's parameters."""
    return invalid("meta.k8s.io", options, "", causes)


def read_write_options(call: Call) -> None:
    """Check dryRun, fieldValidation and fieldManager, and note what they say."""
    query = call.request.query
    if not query:
        return
    options, causes = _OPTIONS[call.verb], []
    dry_run = query.get("dryRun")
    if dry_run is not None:
        if dry_run == ["All"]:
            call.dry_run = True
        elif any(dry_run):
            causes.append(problems.not_supported("dryRun", dry_run, ["All"]))
    validation = call.request.param("fieldValidation")
    if validation not in ("", "Ignore", "Warn", "Strict"):
        causes.append(problems.not_supported("fieldValidation", validation, ["", "Ignore", "Strict", "Warn"]))
    manager = call.request.param("fieldManager")
    if len(manager) > MAX_MANAGER:
        causes.append(problems.too_long("fieldManager", MAX_MANAGER))
    elif not manager.isprintable():
        causes.append(problems.invalid("fieldManager", manager, "should only contain printable characters"))
    if causes:
        raise invalid_options(options, causes)


def field_manager(call: Call) -> str:
    """Who owns the fields that this request writes: fieldManager, else the User-Agent before the "/"."""
    return call.request.param("fieldManager") or call.agent.split("/", 1)[0][:MAX_MANAGER]


def parse_int(text: str, name: str) -> int:
    """An integer parameter.  Raises 400."""
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax ({name})') from None


def as_dict(value: Any) -> dict[str, Any]:
    """A part of an object that may be missing or null."""
    return value if isinstance(value, dict) else {}
