"""Authentication: from credentials to a `User`.

    Authorization: Bearer …   a static token of the cluster, or a ServiceAccount's JWT
    client certificate        CN is the name, O are the groups (the edge has verified the chain)
    nothing                   system:anonymous, who may read the version and the health, and no more
    Impersonate-User: …       the same user acting as somebody else, if RBAC allows the verb "impersonate"

A credential that is wrong is a 401; none at all, or a scheme nobody knows, is merely anonymous.

Source: k8s.io/apiserver/pkg/authentication, pkg/endpoints/filters/impersonation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from kitlib.api.auth.tokens import ServiceAccountTokens, TokenInvalid
from kitlib.api.request import ANONYMOUS, Request, User
from kitlib.api.routing import RequestInfo
from kitlib.objects.errors import bad_request, forbidden, unauthorized

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ACCOUNT_PREFIX = "system:serviceaccount:"
EXTRA = "impersonate-extra-"


class Authenticator:
    """Knows all ways to prove who one is."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._static = {token: _known(user) for token, user in api.config.tokens.items()}
        self.accounts = ServiceAccountTokens(api)

    def authenticate(self, request: Request) -> User:
        """The user behind a request.  Raises 401."""
        header = request.headers.get("authorization")
        if header:
            scheme, _, token = header.partition(" ")
            if scheme.lower() == "bearer" and token:
                return self.by_token(token.strip())
        if request.client_cert is not None:
            name, groups = request.client_cert
            return User(name, (*groups, AUTHENTICATED))
        return ANONYMOUS

    def by_token(self, token: str) -> User:
        user = self._static.get(token)
        if user is not None:
            return user
        try:
            return _known(self.accounts.user(token, (self._api.config.issuer,)))
        except TokenInvalid:
            raise unauthorized() from None

    def review(self, token: str, audiences: tuple[str, ...]) -> tuple[User, tuple[str, ...]]:
        """For a TokenReview: the user, and which of the audiences the token is for.  Raises TokenInvalid."""
        user = self._static.get(token)
        if user is not None:
            return user, audiences
        wanted = audiences or (self._api.config.issuer,)
        user = _known(self.accounts.user(token, wanted))
        return user, tuple(a for a in wanted if a in self.accounts.audiences(token))

    def impersonate(self, user: User, request: Request, info: RequestInfo) -> User:
        """The user that a request wants to act as.  Raises 403 if its own user may not."""
        headers = request.headers
        name = headers.get("impersonate-user", "")
        groups = [group.strip() for group in headers.get("impersonate-group", "").split(",") if group.strip()]
        uid = headers.get("impersonate-uid", "")
        extra = {unquote(key[len(EXTRA):]): tuple(v.strip() for v in value.split(","))
                 for key, value in headers.items() if key.startswith(EXTRA)}
        if not name:
            if groups or uid or extra:
                raise bad_request("requested impersonation without impersonating a user")
            return user
        for group, resource, sub, namespace, wanted in _attributes(name, groups, uid, extra):
            if not self._api.authorizer.may(user, "impersonate", group, resource, sub, namespace, wanted):
                raise forbidden(info.group, info.resource, info.name, f'User "{user.name}" cannot impersonate '
                                f'resource "{resource}" in API group "{group}" at the cluster scope')
        if name.startswith(ACCOUNT_PREFIX) and not groups:
            namespace = name.split(":")[2]
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        last = UNAUTHENTICATED if name == ANONYMOUS.name else AUTHENTICATED
        if last not in groups:
            groups.append(last)
        return User(name, tuple(groups), uid, extra)


def _known(user: User) -> User:
    if AUTHENTICATED in user.groups:
        return user
    return User(user.name, (*user.groups, AUTHENTICATED), user.uid, user.extra)


def _attributes(name: str, groups: list[str], uid: str,
                extra: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str, str, str]]:
    """What has to be allowed: (API group, resource, subresource, namespace, name)."""
    parts = name.split(":")
    if name.startswith(ACCOUNT_PREFIX) and len(parts) == 4:
        yield "", "serviceaccounts", "", parts[2], parts[3]
    else:
        yield "", "users", "", "", name
    for group in groups:
        yield "", "groups", "", "", group
    if uid:
        yield "authentication.k8s.io", "uids", "", "", uid
    for key, values in extra.items():
        for value in values:
            yield "authentication.k8s.io", "userextras", key, "", value
