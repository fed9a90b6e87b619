"""What a cluster brings along that is not Kubernetes itself: here the default StorageClass, as kind's is.

`kit up --bare` leaves it out.  What somebody changed or deleted stays as they left it: an add-on is installed once,
when the cluster is new.
"""

from __future__ import annotations

from kitlib.client import Client
from kitlib.controllers.localprovisioner import NAME
from kitlib.objects.errors import StatusError

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": NAME, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
}


def install(client: Client) -> None:
    """Create the add-ons of a new cluster."""
    try:
        client.create("storageclasses.storage.k8s.io", "", STORAGE_CLASS)
    except StatusError as error:
        if error.code != 409:
            raise
