"""Authorisation by role: may this user do that?

    RoleBinding, ClusterRoleBinding        Role, ClusterRole
    subject ──────────────▶ roleRef ─────▶ rules

The bindings are indexed by subject, so a question costs as much as the user has bindings, however many
the cluster has.  The index follows the store by watches, like everybody else's cache, but it is asked
within the same process, so it is never behind.  Members of system:masters may do everything.

Source: k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/rbac.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kitlib.api.auth.rules import Rule, allows, allows_path, not_covered
from kitlib.api.request import User
from kitlib.api.routing import RequestInfo
from kitlib.objects.errors import StatusError
from kitlib.store import Store, Watch

RBAC = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"roles.{RBAC}", f"clusterroles.{RBAC}"
BINDINGS, CLUSTER_BINDINGS = f"rolebindings.{RBAC}", f"clusterrolebindings.{RBAC}"
MASTERS = "system:masters"
ACCOUNT_PREFIX = "system:serviceaccount:"


class Bound(NamedTuple):
    """A role that a binding gives to one of its subjects."""

    namespace: str  # "" for the whole cluster
    kind: str
    role: str
    binding: str
    subject: str

    def __str__(self) -> str:
        where = f'RoleBinding "{self.binding}/{self.namespace}"' if self.namespace else (
            f'ClusterRoleBinding "{self.binding}"')
        return f'RBAC: allowed by {where} of {self.kind} "{self.role}" to {self.subject}'


class Authorizer:
    """Answers questions about what users may do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._dirty = True
        self._bindings: dict[tuple[str, str], list[Bound]] = {}  # by (subject kind, name)
        self._watches: list[Watch] = []
        for resource in (BINDINGS, CLUSTER_BINDINGS):
            watch = store.watch(resource)
            watch.on_ready(self._changed)
            self._watches.append(watch)

    def _changed(self) -> None:
        self._dirty = True

    # -- questions

    def check(self, user: User, info: RequestInfo) -> None:
        """Raise 403 unless the user may make this request."""
        if MASTERS in user.groups:
            return
        if info.is_resource:
            allowed = self.may(user, info.verb, info.group, info.resource, info.subresource, info.namespace, info.name)
        else:
            allowed = self.may_path(user, info.verb, info.path)
        if not allowed:
            raise refusal(user, info)

    def check_create(self, user: User, info: RequestInfo) -> None:
        """For a PUT or apply that turns out to create: that is a right of its own."""
        if not self.may(user, "create", info.group, info.resource, info.subresource, info.namespace, info.name):
            raise refusal(user, info, "create")

    def may(self, user: User, verb: str, group: str, resource: str, subresource: str = "", namespace: str = "",
            name: str = "") -> bool:
        if MASTERS in user.groups:
            return True
        return any(allows(rule, verb, group, resource, subresource, name) for rule in self.rules(user, namespace))

    def may_path(self, user: User, verb: str, path: str) -> bool:
        if MASTERS in user.groups:
            return True
        return any(allows_path(rule, verb, path) for rule in self.rules(user, "", paths=True))

    def reason(self, user: User, info: RequestInfo) -> str | None:
        """Why a request is allowed, in the audit log's words ("" for system:masters); None if it is not."""
        if MASTERS in user.groups:
            return ""
        for bound in self._of(user):
            if bound.namespace and bound.namespace != info.namespace:
                continue
            for rule in self.rules_of(bound.kind, bound.role, bound.namespace):
                if allows(rule, info.verb, info.group, info.resource, info.subresource, info.name) if (
                        info.is_resource) else not bound.namespace and allows_path(rule, info.verb, info.path):
                    return str(bound)
        return None

    def check_escalation(self, user: User, wanted: list[Rule], namespace: str) -> list[Rule]:
        """Those of the wanted rules that the user does not have in that namespace."""
        if MASTERS in user.groups:
            return []
        return not_covered(self.rules(user, namespace), wanted)

    # -- what a user may do

    def rules(self, user: User, namespace: str, paths: bool = False) -> Iterator[Rule]:
        """The rules that hold for a user in a namespace ("": only those for the whole cluster)."""
        for bound in self._of(user):
            if bound.namespace and bound.namespace != namespace:
                continue
            yield from self.rules_of(bound.kind, bound.role, bound.namespace)

    def rules_of(self, kind: str, name: str, namespace: str) -> list[Rule]:
        """The rules of a Role or ClusterRole; none if it does not exist."""
        resource, namespace = (ROLES, namespace) if kind == "Role" else (CLUSTER_ROLES, "")
        found = self._store.get(resource, namespace, name)
        return [] if found is None else found.obj.get("rules") or []

    def _of(self, user: User) -> Iterator[Bound]:
        if self._dirty:
            self._rebuild()
        yield from self._bindings.get(("User", user.name), ())
        for group in user.groups:
            yield from self._bindings.get(("Group", group), ())

    def _rebuild(self) -> None:
        """Index all bindings anew.  They change rarely and are few; each watch only says that one did."""
        self._dirty = False
        for watch in self._watches:
            watch.poll()
        self._bindings = {}
        for resource in (CLUSTER_BINDINGS, BINDINGS):
            for entry in self._store.list(resource):
                reference = entry.obj["roleRef"]
                for subject in entry.obj.get("subjects") or ():
                    bound = Bound(entry.key.namespace, reference["kind"], reference["name"], entry.key.name,
                                  _shown(subject, entry.key.namespace))
                    self._bindings.setdefault(_subject(subject, entry.key.namespace), []).append(bound)


def _subject(subject: dict[str, Any], namespace: str) -> tuple[str, str]:
    if subject["kind"] == "ServiceAccount":
        return "User", f"{ACCOUNT_PREFIX}{subject.get('namespace') or namespace}:{subject['name']}"
    return subject["kind"], subject["name"]


def _shown(subject: dict[str, Any], namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace") or namespace}"'
    return f'{subject["kind"]} "{subject["name"]}"'


def refusal(user: User, info: RequestInfo, verb: str = "") -> StatusError:
    """403 in the real server's words."""
    verb = verb or info.verb
    if not info.is_resource:
        message = f'forbidden: User "{user.name}" cannot {verb} path "{info.path}"'
        return StatusError(403, "Forbidden", message, {})
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    shown = f"{info.resource}.{info.group}" if info.group else info.resource
    details = {"name": info.name, "group": info.group, "kind": info.resource}
    message = (f"{shown}{f' {chr(34)}{info.name}{chr(34)}' if info.name else ''} is forbidden: User \"{user.name}\" "
               f'cannot {verb} resource "{resource}" in API group "{info.group}" {where}')
    return StatusError(403, "Forbidden", message, {key: value for key, value in details.items() if value})
