"""Making a Node known, and keeping it alive in the eyes of the control plane.

    register   POST the Node; if it is there already, bring labels, capacity and conditions up to date
    every 10 s renew its Lease in kube-node-lease: silence for 40 s means NotReady
    every 5 min, or when the images changed: write the status

Source: pkg/kubelet/kubelet_node_status.go, k8s.io/component-helpers/apimachinery/lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ..client.client import Client
from ..objects.clock import Clock, rfc3339_micro
from ..objects.errors import StatusError
from ..runtime.cri import Image, RuntimeService
from .node_object import (
    LEASE_NAMESPACE,
    NodeFacts,
    lease_object,
    node_annotations,
    node_labels,
    node_object,
    node_status,
)

log = logging.getLogger("kit.kubelet")
LEASES = "leases.coordination.k8s.io"
RENEW, REPORT = 10.0, 300.0
Object = dict[str, Any]


class Registration:
    """One Node's place in the API.  Its client speaks as kubelet/NAME."""

    def __init__(self, client: Client, facts: NodeFacts, clock: Clock, runtime: RuntimeService | None = None) -> None:
        self._client, self.facts, self._clock, self._runtime = client, facts, clock, runtime
        self.node: Object = {}
        self._lease: Object | None = None
        self._reported = 0.0
        self._images: Sequence[Image] = ()
        self._not_ready = ""

    async def register(self) -> Object:
        """The Node as the API has it, Ready."""
        if self._runtime is not None:
            self._images = await self._runtime.list_images()
        now = self._clock.now()
        try:
            self.node = self._client.create("nodes", "", node_object(self.facts, self._images, now))
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            self._reconcile()
        self._write_status(now)
        self.renew()
        return self.node

    def _reconcile(self) -> None:
        live = self._client.get("nodes", "", self.facts.name)
        meta = live["metadata"]
        wanted = {**meta, "labels": {**(meta.get("labels") or {}), **node_labels(self.facts)},
                  "annotations": {**(meta.get("annotations") or {}), **node_annotations(self.facts)}}
        self.node = live if wanted == meta else self._client.update("nodes", "", {**live, "metadata": wanted})

    def _write_status(self, now: float) -> None:
        live = self._client.get("nodes", "", self.facts.name)
        before = live.get("status") or {}
        status = {**before, **node_status(self.facts, self._images, now, before, self._not_ready)}
        if status != before:
            live = self._client.update_status("nodes", "", {**live, "status": status})
        self.node, self._reported = live, now

    def say_not_ready(self, why: str) -> None:
        """From now on the Node is not Ready."""
        self._not_ready = why
        self._write_status(self._clock.now())
        self._client.writes.clear()

    def renew(self) -> None:
        """Say that the node lives."""
        now = self._clock.now()
        try:
            if self._lease is None:
                self._lease = self._first_lease(now)
            else:
                spec = {**self._lease["spec"], "renewTime": rfc3339_micro(now)}
                self._lease = self._client.update(LEASES, LEASE_NAMESPACE, {**self._lease, "spec": spec})
        except StatusError as error:
            self._lease = None   # somebody else wrote or deleted it: look again next time
            log.debug("lease of %s: %s", self.facts.name, error)
        self._client.writes.clear()

    def _first_lease(self, now: float) -> Object:
        wanted = lease_object(self.node, now)
        try:
            live = self._client.get(LEASES, LEASE_NAMESPACE, self.facts.name)
        except StatusError as error:
            if error.code != 404:
                raise
            return self._client.create(LEASES, LEASE_NAMESPACE, wanted)
        return self._client.update(LEASES, LEASE_NAMESPACE, {**live, "spec": wanted["spec"]})

    async def run(self) -> None:
        """The heartbeat, for ever.  A Node that somebody deleted is registered again."""
        while True:
            await asyncio.sleep(RENEW)
            try:
                self.renew()
                await self._report()
            except (StatusError, OSError) as error:
                log.warning("node %s: %s", self.facts.name, error)

    async def _report(self) -> None:
        now = self._clock.now()
        images = await self._runtime.list_images() if self._runtime is not None else ()
        if now - self._reported < REPORT and list(images) == list(self._images):
            return
        self._images = images
        try:
            self._write_status(now)
        except StatusError as error:
            if error.code != 404:
                raise
            await self.register()
        self._client.writes.clear()
