"""Secrets of type kubernetes.io/service-account-token: a token that lasts, for those who still need one.

A controller of Kubernetes fills such a Secret right after its creation, if the ServiceAccount that its
annotation names exists; here the same second write follows at once.

Source: k8s.io/kubernetes/pkg/controller/serviceaccount/tokens_controller.go.
"""

from __future__ import annotations

import base64

from kitlib.api.call import Call
from kitlib.api.strategies.base import Strategy
from kitlib.objects.meta import clone
from kitlib.store import Entry

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


class SecretStrategy(Strategy):
    """The strategy of Secrets."""

    def after_create(self, call: Call, entry: Entry) -> None:
        if entry.obj.get("type") == TYPE:
            self._fill(call, entry)

    def after_update(self, call: Call, entry: Entry, old: Entry) -> None:
        if entry.obj.get("type") == TYPE and "token" not in (entry.obj.get("data") or {}):
            self._fill(call, entry)

    def _fill(self, call: Call, entry: Entry) -> None:
        secret = clone(entry.obj)
        meta, api = secret["metadata"], call.api
        name = (meta.get("annotations") or {}).get(NAME, "")
        account = api.store.get("serviceaccounts", meta["namespace"], name)
        if account is None:
            return
        meta["annotations"][UID] = account.obj["metadata"]["uid"]
        values = {"token": api.authenticator.accounts.create_lasting(account.obj, meta["name"]),
                  "ca.crt": api.config.root_ca, "namespace": meta["namespace"]}
        data = secret.setdefault("data", {})
        for key, value in values.items():
            data.setdefault(key, base64.b64encode(value.encode()).decode())
        written = api.store.update(*entry.key, secret, expect=entry.revision)
        api.writes.record(call, written, "update")
