"""Which control loops a cluster runs: kube-controller-manager's controllers, and the scheduler.

They are all `Controller`s and share one Manager, hence one cache per kind; what makes the scheduler a
component of its own is the name in which it speaks to the API.
"""

from __future__ import annotations

import shutil

from kitlib.client import Controller
from kitlib.controllers.clusterroleaggregation import ClusterRoleAggregation
from kitlib.controllers.cronjob import CronJob
from kitlib.controllers.csrsigning import CertificateSigning, Sign
from kitlib.controllers.daemonset import DaemonSet
from kitlib.controllers.deployment import Deployment
from kitlib.controllers.disruption import Disruption
from kitlib.controllers.endpoints import Endpoints, EndpointSliceMirroring
from kitlib.controllers.endpointslice import EndpointSlice
from kitlib.controllers.garbagecollector import GarbageCollector
from kitlib.controllers.hpa import HorizontalPodAutoscaler
from kitlib.controllers.job import Job
from kitlib.controllers.loadbalancer import LoadBalancer
from kitlib.controllers.localprovisioner import LocalProvisioner, LocalReclaimer
from kitlib.controllers.namespace import Namespace
from kitlib.controllers.nodelifecycle import NodeLifecycle
from kitlib.controllers.podgc import PodGC
from kitlib.controllers.replicaset import ReplicaSet
from kitlib.controllers.replicationcontroller import ReplicationController
from kitlib.controllers.resourcequota import ResourceQuota
from kitlib.controllers.rootca import RootCA
from kitlib.controllers.serviceaccount import ServiceAccount
from kitlib.controllers.statefulset import StatefulSet
from kitlib.controllers.tainteviction import TaintEviction
from kitlib.controllers.ttl import TTLAfterFinished
from kitlib.controllers.volumebinder import VolumeBinder, VolumeReclaimer
from kitlib.controllers.volumeprotection import ClaimProtection, VolumeProtection
from kitlib.scheduler.scheduler import Scheduler

MANAGER = "kube-controller-manager"


def control_loops(root_ca: str, volumes: str = "", sign: Sign | None = None, balancers: str = "",
                  ) -> list[tuple[Controller, str]]:
    """Each loop with its User-Agent.

    root_ca: the PEM text of the cluster's CA.  volumes: the directory for volumes that are made on demand.
    sign: signs certificate requests with the CA; without it nobody does.
    balancers: the CIDR of addresses for Services of type LoadBalancer; without it they wait for somebody's controller.

    An owner's controller comes before that of what it owns: a turn later, the answer to a write is seen with it.
    """
    controllers: list[Controller] = [
        Deployment(), StatefulSet(), DaemonSet(), CronJob(), ReplicaSet(), ReplicationController(), Job(),
        EndpointSlice(), Endpoints(), EndpointSliceMirroring(), HorizontalPodAutoscaler(), Disruption(),
        ResourceQuota(), GarbageCollector(), Namespace(), ServiceAccount(), RootCA(root_ca), ClusterRoleAggregation(),
        NodeLifecycle(), TaintEviction(), PodGC(), TTLAfterFinished(), VolumeBinder(), VolumeReclaimer(),
        ClaimProtection(), VolumeProtection(), LocalProvisioner(volumes), LocalReclaimer(_remove)]
    if sign is not None:
        controllers.append(CertificateSigning(sign))
    if balancers:
        controllers.append(LoadBalancer(balancers))
    scheduler = Scheduler()
    return [*((controller, f"{MANAGER}/{controller.name}") for controller in controllers),
            (scheduler, scheduler.user_agent)]


def _remove(directory: str) -> None:
    """What a deleted volume held goes with it; a directory that was never made is no trouble."""
    shutil.rmtree(directory, ignore_errors=True)
