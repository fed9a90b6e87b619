"""kube-apiserver as a function: `ApiServer.handle(request)` is the only way into the store.

    Request ─▶ who? ─▶ may they? ─▶ what? ──▶ verb ─▶ Response
             auth/     auth/rbac   routing,   │
             authn                 Registry   ├─ get, list, watch: bytes out of the store
                                              └─ create, update, patch, delete:
                                                 decode ─▶ default ─▶ admission ─▶ strategy ─▶ validation
                                                 ─▶ managedFields ─▶ store (compare and swap)

No sockets, no threads, no waiting: `handle` returns at once, with an answer, a `Stream` (a watch) or a
`Connect` (logs, exec: the edge talks to the node).  It never raises; every refusal is a `Status`.

Source: k8s.io/apiserver/pkg/server (handler chain, config.go) and pkg/endpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from kitlib.api import audit, bootstrap, health, respond
from kitlib.api.admission import Admission
from kitlib.api.auth import issuer
from kitlib.api.auth.authn import Authenticator
from kitlib.api.auth.rbac import Authorizer
from kitlib.api.call import Call, read_write_options
from kitlib.api.callouts import Callouts, Needed
from kitlib.api.config import ApiConfig
from kitlib.api.crd import CustomResources
from kitlib.api.kind import Kind, Registry
from kitlib.api.kinds import BUILTIN
from kitlib.api.metrics import CONTENT_TYPE, Metrics
from kitlib.api.request import Answer, Callout, Request, Response, Stream, User
from kitlib.api.routing import RequestInfo, parse
from kitlib.api.strategies import strategies
from kitlib.api.subresources import handler_of
from kitlib.api.trace import Write, Writes
from kitlib.api.verbs import VERBS
from kitlib.api.virtual import handler_of_virtual
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError, internal, no_such_path
from kitlib.store import Store, StoreFull

log = logging.getLogger(__name__)

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class ApiServer:
    """The API of one cluster.  `extra` maps path prefixes ("/kit/") to handlers for system:masters only."""

    def __init__(self, store: Store, config: ApiConfig, clock: Clock, kinds: Iterable[Kind] | None = None) -> None:
        self.store, self.config, self.clock = store, config, clock
        self.registry = Registry(BUILTIN if kinds is None else kinds)
        self.writes = Writes()
        self.metrics = Metrics()
        self.callouts = Callouts(clock)
        self.extra: dict[str, Callable[[Request], Response | Stream]] = {}
        self.metrics_provider: Callable[[str, str], list[dict[str, object]]] | None = None
        self.started = clock.now()
        self.authorizer = Authorizer(store)
        self.authenticator = Authenticator(self)
        self.strategies = strategies(self)
        self.admission = Admission(self)
        self.customs = CustomResources(self)
        bootstrap.ambient_objects(self)

    def on_write(self, callback: Callable[[Write], None]) -> None:
        """Tell `callback` of every write: who, what, when, because of what."""
        self.writes.subscribe(callback)

    def handle(self, request: Request) -> Answer:
        """Answer one request; or say what must be asked before it can be answered (`callouts`)."""
        received, info = self.clock.monotonic(), parse(request)
        users: list[User] = []
        answer = self._safely(request, info, users)
        if isinstance(answer, Callout):
            return answer  # not an answer yet: this request will come again
        code = answer.code if isinstance(answer, Response) else 200
        seconds = self.clock.monotonic() - received
        self.metrics.record(info, code, "dryRun" in request.query, seconds)
        if self.config.audit is not None:
            told = audit.event(self, request, info, users, answer, seconds)
            if told is not None:
                self.config.audit(told)
        return answer

    def _safely(self, request: Request, info: RequestInfo, users: list[User]) -> Answer:
        try:
            return self._handle(request, info, users)
        except Needed as needed:
            if request.user is not None:
                return respond.status(self.callouts.in_background(needed.callout, request))
            return needed.callout
        except StatusError as error:
            return respond.status(error)
        except StoreFull as error:
            return respond.status(internal(f"etcdserver: mvcc: database space exceeded: {error}"))
        except RecursionError:
            return respond.status(StatusError(400, "BadRequest", "the object is nested too deeply"))
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            return respond.status(internal(f"{type(error).__name__}: {error}"))

    def _handle(self, request: Request, info: RequestInfo, users: list[User]) -> Answer:
        if request.user is not None:
            self.callouts.come_again(request)
        user = request.user or self.authenticator.authenticate(request)
        users.append(user)
        if any(name.startswith("impersonate-") for name in request.headers):
            user = self.authenticator.impersonate(user, request, info)
            users.append(user)
        self.authorizer.check(user, info)
        if not info.is_resource:
            return self._path(request, info)
        kind = self.registry.lookup(info.group, info.version, info.resource)
        if kind is None:
            return self._unknown(info)
        call = Call(self, request, info, user, kind)
        try:
            answer = self._resource(call)
        except StatusError:
            self.callouts.forget(call.answers_used)
            raise
        self.callouts.forget(call.answers_used)
        return answer

    def _path(self, request: Request, info: RequestInfo) -> Answer:
        for prefix, handler in self.extra.items():
            if info.path.startswith(prefix):
                return handler(request)
        if info.path == "/metrics" and request.method == "GET":
            return Response(200, self.metrics.text(self).encode(), content_type=CONTENT_TYPE)
        answer = health.answer(self, request) or issuer.answer(self, request)
        if answer is not None:
            return answer
        from kitlib.api.discovery import discovery

        answer = discovery(self, request)
        return answer if answer is not None else respond.text("404 page not found\n", 404)

    def _unknown(self, info: RequestInfo) -> Response:
        if not self.registry.has_group(info.group):
            return respond.text("404 page not found\n", 404)
        raise no_such_path()

    def _resource(self, call: Call) -> Answer:
        info, kind, verb = call.info, call.kind, call.info.verb
        if info.trailing or (kind.namespaced is False and info.namespace and info.resource != "namespaces"):
            raise no_such_path()
        if verb in ("head", "options") or call.request.method in ("HEAD", "OPTIONS"):
            raise method_not_allowed()
        if kind.namespaced and not info.namespace and (info.name or info.subresource) and verb not in ("list", "watch"):
            raise no_such_path()
        if verb in WRITE_VERBS:
            read_write_options(call)
        if info.subresource:
            call.sub = kind.by_subresource.get(info.subresource)
            if call.sub is None:
                raise no_such_path()
            if verb not in call.sub.verbs and not (info.subresource == "proxy"):
                raise method_not_allowed()
            return handler_of(call)(call)
        if kind.virtual:
            return handler_of_virtual(call)(call)
        if verb not in kind.verbs or (verb == "create" and info.name):
            raise no_such_path() if info.name and verb == "get" else method_not_allowed()
        if kind.namespaced and not info.namespace and verb in WRITE_VERBS:
            raise method_not_allowed()
        return VERBS[verb](call)


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})
