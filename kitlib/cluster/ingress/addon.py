"""The control loop that brings up the ingress controller when it is first wanted.

    an Ingress whose class is ours ─▶ is there a Deployment traefik/traefik? ─no─▶ create all of it, and say so
                                                                            ─yes─▶ nothing to do, ever

It never changes what is there: an administrator's edits stay.  Whoever wants to be rid of it for good says
`kit ingress uninstall`, which takes the class away, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kitlib.client.actions import Action, Create, Emit
from kitlib.client.controller import Controller
from kitlib.cluster.ingress.install import DEPLOYMENTS, INGRESS_CLASSES, NAME, controller, is_ours, resource_of
from kitlib.objects.errors import StatusError

Object = dict[str, Any]


class IngressAddon(Controller):
    name = "ingress-addon"
    resource = "ingresses.networking.k8s.io"
    reads = (INGRESS_CLASSES, DEPLOYMENTS)
    component = "kit-addons"

    def observe(self, key: str) -> Object | None:
        """The Ingress, if it waits for a controller that is not there."""
        ingress = self.get(key)
        if ingress is None or "deletionTimestamp" in ingress["metadata"]:
            return None
        wanted = self.cache(INGRESS_CLASSES).get(ingress["spec"].get("ingressClassName", ""))
        if wanted is None or wanted["metadata"]["name"] != NAME or not is_ours(wanted):
            return None
        return None if self.cache(DEPLOYMENTS).get(f"{NAME}/{NAME}") else ingress

    def diff(self, observed: Object) -> list[Action]:
        say = Emit(observed, "StartingController", f"This is the first Ingress of class {NAME}: starting its "
                                                   f"controller in namespace {NAME}")
        return [say, *(Create(resource_of(obj)[0], obj) for obj in controller())]

    def act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            try:
                self.perform(action)
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
