"""What a cluster brings along that is not Kubernetes itself: a default StorageClass, as kind's is, and an IngressClass.

The controller of that class comes when it is first wanted (ingress/addon.py).

`kit up --bare` leaves it out.  What somebody changed or deleted stays as they left it: an add-on is installed once,
when the cluster is new.
"""

from __future__ import annotations

from typing import Any

from kitlib.client import Client
from kitlib.cluster.ingress.install import INGRESS_CLASS, INGRESS_CLASSES
from kitlib.controllers.localprovisioner import NAME
from kitlib.objects.errors import StatusError

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": NAME, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
}
ADD_ONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("storageclasses.storage.k8s.io", STORAGE_CLASS), (INGRESS_CLASSES, INGRESS_CLASS))


def install(client: Client) -> None:
    """Create the add-ons of a new cluster."""
    for resource, obj in ADD_ONS:
        try:
            client.create(resource, "", obj)
        except StatusError as error:
            if error.code != 409:
                raise
