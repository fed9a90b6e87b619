"""Controller: observe, diff, act.

    observe(key)     read the cache: the object and everything that matters to it      no requests
    diff(observed)   compare what is with what should be: a list of actions            pure, no clock, no I/O
    act(actions)     write through the API                                             no decisions

A controller says which resource it is for and which other resources it looks at; the `Manager` gives it caches and
a client, and calls these three in turn for every key that has changed.  Nothing in a controller knows whether the
API is in this process or at the other end of a TLS connection.

The whole of a controller that keeps `spec.replicas` Pods:

    class Copies(Controller):
        name, resource, owns = "copies", "replicasets.apps", ("pods",)

        def observe(self, key):
            rs = self.get(key)
            return rs and (rs, self.owned("pods", rs))

        def diff(self, observed):
            rs, pods = observed
            missing = rs["spec"]["replicas"] - len(pods)
            return [Create("pods", new_pod(rs))] * missing + [Delete("pods", ...) for pod in pods[:max(0, -missing)]]

Source: the reconcile loop of k8s.io/sample-controller and of every controller in kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

from kitlib.client.actions import Action, Create, Delete, Emit, Patch, RequeueAfter, Update, UpdateStatus
from kitlib.client.client import Client
from kitlib.client.events import EventRecorder
from kitlib.client.informer import Informer
from kitlib.client.workqueue import WorkQueue
from kitlib.objects.clock import Clock
from kitlib.objects.errors import StatusError
from kitlib.objects.meta import controller_of, object_key

Object = dict[str, Any]
KeysOf = Callable[[Object], Iterable[str]]


class Controller:
    """name: how `kit pause NAME` calls it.  resource: whose keys are reconciled.

    owns: resources whose objects carry an owner reference to ours; a change of one wakes its owner.
    reads: further resources to have a cache of; they wake nobody unless `setup` says so with `watch`.
    component: the source in Events, by default NAME-controller.  user_agent: by default MANAGER/NAME.
    """

    name = ""
    resource = ""
    owns: Sequence[str] = ()
    reads: Sequence[str] = ()
    component = ""
    user_agent = ""

    client: Client
    clock: Clock
    queue: WorkQueue
    events: EventRecorder

    # -- the three steps --------------------------------------------------------------------------------------

    def observe(self, key: str) -> Any:
        """What is there, from the cache; None if there is nothing to do for this key."""
        raise NotImplementedError

    def diff(self, observed: Any) -> list[Action]:
        """What to do about it.  Pure: the same observation always gives the same actions."""
        raise NotImplementedError

    def act(self, actions: Sequence[Action]) -> None:
        """Do it, in order.  The first refusal ends it; the key comes back later and is observed anew."""
        for action in actions:
            self.perform(action)

    # -- wiring -----------------------------------------------------------------------------------------------

    def make_queue(self, clock: Clock) -> WorkQueue:
        return WorkQueue(clock)

    def setup(self) -> None:
        """Called once, when caches are there (still empty): add indexes and further `watch`es here."""

    def bind(self, client: Client, caches: MutableMapping[str, Informer], clock: Clock, queue: WorkQueue,
             wake: Callable[[str, str, str, Object], None], open_cache: Callable[[str], Informer]) -> None:
        """Called by the Manager.  wake(key, event type, resource, object that changed)."""
        self.client, self.clock, self.queue = client, clock, queue
        self.events = EventRecorder(client, self.component or f"{self.name}-controller", clock)
        self._caches, self._wake, self._open_cache = caches, wake, open_cache
        self.watch_own()
        for resource in self.owns:
            self.watch(resource, self._owner_keys)
        self.setup()

    def watch_own(self) -> None:
        """Every change of an object of our resource wakes its key."""
        self.watch(self.resource, lambda obj: (object_key(obj),))

    def watch(self, resource: str, keys_of: KeysOf) -> None:
        """Wake keys_of(object) whenever an object of the resource changes, for its old and its new state."""
        def handler(kind: str, old: Object | None, new: Object | None) -> None:
            keys = dict.fromkeys(keys_of(old)) if old is not None else {}
            if new is not None:
                keys.update(dict.fromkeys(keys_of(new)))
            for key in keys:
                self._wake(key, kind, resource, new or old or {})

        self.cache(resource).add_handler(handler)

    def _owner_keys(self, obj: Object) -> Iterable[str]:
        """The key of the owner, if it is one of ours: same name is not enough, the uid must be the same."""
        owner = controller_of(obj)
        if owner is None:
            return ()
        namespace = obj["metadata"].get("namespace", "")
        key = f"{namespace}/{owner['name']}" if namespace else owner["name"]
        mine = self.get(key)
        return (key,) if mine is not None and mine["metadata"]["uid"] == owner["uid"] else ()

    # -- reading ----------------------------------------------------------------------------------------------

    def cache(self, resource: str) -> Informer:
        """The cache of a resource; one that was not declared is opened now (for kinds that come at run time)."""
        if resource not in self._caches:
            self._caches[resource] = self._open_cache(resource)
        return self._caches[resource]

    def get(self, key: str) -> Object | None:
        """Our own resource's object of that key, from the cache."""
        return self._caches[self.resource].get(key)

    def owned(self, resource: str, owner: Object) -> list[Object]:
        """Objects whose controller is `owner`, in order of their names."""
        uid = owner["metadata"]["uid"]
        mine = [obj for obj in self._caches[resource].by_index("owner", uid)
                if (controller_of(obj) or {}).get("uid") == uid]
        return sorted(mine, key=lambda obj: obj["metadata"]["name"])

    # -- writing ----------------------------------------------------------------------------------------------

    def perform(self, action: Action) -> Object | None:
        """One action, as one request, with the Event that belongs to it."""
        if isinstance(action, Emit):
            self.events.emit(action.about, action.reason, action.message, action.type, action=action.action)
            return None
        if isinstance(action, RequeueAfter):
            return None   # the loop puts the key back
        try:
            done = self._request(action)
        except StatusError as error:
            if not is_harmless(action, error):
                self._tell(getattr(action, "failed", None), "", error.message)
                raise
            return None
        self._tell(getattr(action, "then", None), (done.get("metadata") or {}).get("name", ""), "")
        return done

    def _request(self, action: Create | Update | UpdateStatus | Patch | Delete) -> Object:
        client = self.client
        if isinstance(action, Create):
            meta = action.obj["metadata"]
            return client.create(action.resource, meta.get("namespace", ""), action.obj,
                                 name=meta["name"] if action.subresource else "", subresource=action.subresource)
        if isinstance(action, Update):
            return client.update(action.resource, action.obj["metadata"].get("namespace", ""), action.obj)
        if isinstance(action, UpdateStatus):
            return client.update_status(action.resource, action.obj["metadata"].get("namespace", ""), action.obj)
        if isinstance(action, Patch):
            return client.patch(action.resource, action.namespace, action.name, action.patch, kind=action.kind,
                                subresource=action.subresource)
        return client.delete(action.resource, action.namespace, action.name, uid=action.uid, grace=action.grace,
                             propagation=action.propagation)

    def _tell(self, event: Emit | None, name: str, error: str) -> None:
        if event is not None:
            message = event.message.replace("{name}", name).replace("{error}", error)
            self.events.emit(event.about, event.reason, message, event.type, action=event.action)


def is_harmless(action: Action, error: StatusError) -> bool:
    """A refusal that means "nothing left to do": it is gone already, or its whole namespace is going."""
    if isinstance(action, Delete):
        return error.code == 404
    if isinstance(action, Create):
        causes = (error.status.get("details") or {}).get("causes") or ()
        return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
    return False
