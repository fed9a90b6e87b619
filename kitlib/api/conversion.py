"""Conversion webhooks: a custom resource's author says how one version becomes another.

    stored as v2 ──▶ ConversionReview{desiredAPIVersion: v1, objects: […]} ──▶ webhook ──▶ the same as v1

With the strategy None only apiVersion changes, and `respond.convert` does that.  With Webhook every object
that lies in another version than the one that is asked for goes through the author's server: on the way
out (get, list, watch), and on the way in (a write through a version that is not the stored one).

The API cannot wait (see `api/callouts.py`), so what has been converted is kept, and a request that finds
something missing is given up before it has written anything, to come again when it is there.  A list asks
for all that it misses at once.  A watch has nobody to come again: it holds its events back and asks itself.

What is kept is known by its content, not by its revision: the answer to a write shows an object that did not
exist yet when its conversion had to be asked for.  Metadata is not the webhook's business, but for labels and
annotations, and always comes from the object itself.

Source: k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson

from kitlib.api.callouts import Needed, Unreachable, callout_to, key_of
from kitlib.api.kind import Convert
from kitlib.api.request import Callout, Outcome
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import new_uid

if TYPE_CHECKING:
    from kitlib.api.server import ApiServer

Obj = dict[str, Any]
Done = Callable[["StatusError | None"], None]
REVIEW_GROUP = "apiextensions.k8s.io"
REVIEW_VERSIONS = ("v1", "v1beta1")
TIMEOUT = 30.0
KEPT = 2048  # conversions kept at least; four for each stored object if that is more
CONVERTIBLE_METADATA = ("labels", "annotations")
FIXED_METADATA = ("name", "namespace", "uid")


class Wrong(Exception):
    """The webhook's answer cannot be used."""


class Conversion:
    """The webhook of one definition, and what it has said."""

    def __init__(self, api: ApiServer, storage: str) -> None:
        self._api, self._storage = api, storage
        self._webhook: Obj = {}
        self._converted: dict[bytes, Obj] = {}
        self._failures: dict[str, StatusError] = {}  # question -> what its next asker is told
        self._waiting: dict[str, list[Done]] = {}  # question under way -> who wants to hear of it

    def configure(self, webhook: Obj) -> None:
        """Ask this webhook from now on."""
        if webhook != self._webhook:
            self._webhook = webhook
            self._converted = {}

    def to(self, api_version: str) -> Convert:
        """The function that converts to one version.  It raises Needed, or 500 if the webhook has failed."""
        return lambda obj: self.convert(obj, api_version)

    def convert(self, obj: Obj, api_version: str) -> Obj:
        if obj["apiVersion"] == api_version:
            return obj
        key = _identity(obj, api_version)
        if key not in self._converted:
            self.need([obj], api_version)
        made = self._converted[key]
        meta = {name: value for name, value in obj["metadata"].items() if name not in CONVERTIBLE_METADATA}
        meta.update({name: made["metadata"][name] for name in CONVERTIBLE_METADATA if made["metadata"].get(name)})
        return {**made, "metadata": meta}

    def need(self, objs: Iterable[Obj], api_version: str) -> None:
        """Raise Needed unless all of them can be converted now."""
        missing = self._missing(objs, api_version)
        if not missing:
            return
        key = _question(missing)
        failure = self._failures.pop(key, None)
        if failure is None:
            try:
                raise Needed(self._callout(key, missing, api_version))
            except Unreachable as error:
                failure = _failure(missing, f"failed: {error}")
        raise failure

    def fetch(self, objs: Iterable[Obj], api_version: str, done: Done) -> None:
        """Have them converted in the background; `done` hears what went wrong, or None."""
        missing = self._missing(objs, api_version)
        key = _question(missing)
        if key in self._waiting:
            self._waiting[key].append(done)
            return
        start = self._api.callouts.start
        try:
            callout = self._callout(key, missing, api_version)
        except Unreachable as error:
            done(_failure(missing, f"failed: {error}"))
            return
        if start is None:
            done(_failure(missing, "failed: this server has no way out"))
            return
        self._waiting[key] = [done]
        start(callout)

    def lacks(self, objs: Iterable[Obj], api_version: str) -> bool:
        """Whether the webhook has to be asked about any of them."""
        return bool(self._missing(objs, api_version))

    def _missing(self, objs: Iterable[Obj], api_version: str) -> dict[bytes, Obj]:
        wanted = {_identity(obj, api_version): obj for obj in objs if obj["apiVersion"] != api_version}
        return {key: obj for key, obj in wanted.items() if key not in self._converted}

    # -- the webhook

    def _callout(self, key: str, missing: dict[bytes, Obj], api_version: str) -> Callout:
        uid, objects = new_uid(), list(missing.values())
        version = next(v for v in self._webhook["conversionReviewVersions"] if v in REVIEW_VERSIONS)
        review = {"kind": "ConversionReview", "apiVersion": f"{REVIEW_GROUP}/{version}", "request": {
            "uid": uid, "desiredAPIVersion": api_version, "objects": objects}}
        callout = callout_to(self._api.store, self._webhook["clientConfig"], key, orjson.dumps(review), TIMEOUT)
        callout.deliver = lambda outcome: self._deliver(key, uid, missing, api_version, outcome)
        return callout

    def _deliver(self, key: str, uid: str, missing: dict[bytes, Obj], api_version: str, outcome: Outcome) -> None:
        failure = None
        try:
            made = _objects(outcome, uid)
            if len(made) != len(missing):
                raise Wrong(f"returned {len(made)} objects, expected {len(missing)}")
            for index, ((identity, obj), converted) in enumerate(zip(missing.items(), made, strict=True)):
                self._converted[identity] = _checked(obj, converted, api_version, index)
        except Wrong as error:
            failure = _failure(missing, str(error))
        self._forget_oldest()
        listeners = self._waiting.pop(key, ())
        if failure is not None and not listeners:
            if len(self._failures) >= KEPT:
                self._failures.clear()
            self._failures[key] = failure
        for done in listeners:
            done(failure)

    def _forget_oldest(self) -> None:
        surplus = len(self._converted) - max(KEPT, 4 * self._api.store.count(self._storage))
        for key in list(self._converted)[:max(0, surplus)]:
            del self._converted[key]


def _failure(missing: dict[bytes, Obj], why: str) -> StatusError:
    first = next(iter(missing.values()))
    return StatusError(500, None, f"conversion webhook for {first['apiVersion']}, Kind={first['kind']} {why}")


def _identity(obj: Obj, api_version: str) -> bytes:
    """What a conversion depends on."""
    meta = obj["metadata"]
    kept = {name: meta.get(name) for name in ("name", "namespace", *CONVERTIBLE_METADATA)}
    return orjson.dumps([api_version, {**obj, "metadata": kept}], option=orjson.OPT_SORT_KEYS)


def _question(missing: dict[bytes, Obj]) -> str:
    return key_of("conversion", *(identity.decode() for identity in missing))


def _objects(outcome: Outcome, uid: str) -> list[Any]:
    """The converted objects of a ConversionReview.  Raises Wrong."""
    if outcome.error:
        raise Wrong(f"failed: {outcome.error}")
    response = outcome.body.get("response") if isinstance(outcome.body, dict) else None
    if not isinstance(response, dict):
        raise Wrong("failed: no response provided")
    if response.get("uid") != uid:
        raise Wrong(f'failed: expected response.uid="{uid}", got "{response.get("uid", "")}"')
    result = response.get("result") or {}
    if result.get("status") != "Success":
        why = result.get("message") or f"response.result.status was '{result.get('status', '')}', not 'Success'"
        raise Wrong(f"failed: {why}")
    return list(response.get("convertedObjects") or ())


def _checked(before: Obj, after: Any, api_version: str, index: int) -> Obj:
    """A converted object, if it is still the same one.  Raises Wrong."""
    bad = f"returned invalid converted object at index {index}:"
    if not isinstance(after, dict) or after.get("apiVersion") != api_version:
        got = after.get("apiVersion", "") if isinstance(after, dict) else ""
        raise Wrong(f"{bad} invalid groupVersion (expected {api_version}, received {got})")
    if after.get("kind") != before["kind"]:
        raise Wrong(f"{bad} invalid kind (expected {before['kind']}, received {after.get('kind', '')})")
    meta = after.get("metadata")
    if not isinstance(meta, dict):
        raise Wrong(f"returned invalid metadata in object at index {index}: missing metadata in converted object")
    for name in FIXED_METADATA:
        was, now = before["metadata"].get(name) or "", meta.get(name) or ""
        if was != now:
            raise Wrong(f"{bad} must have the same {name if name != 'uid' else 'UID'}: {was} != {now}")
    for name in CONVERTIBLE_METADATA:
        for key, value in (meta.get(name) or {}).items():
            if not isinstance(value, str):
                raise Wrong(f"returned invalid metadata in object at index {index}: metadata.{name}[{key}] must be a "
                            f"string, but is {type(value).__name__} in converted object")
    return after
