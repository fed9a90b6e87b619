"""kube-controller-manager's role: one controller per file, each of them observe, diff, act.

No controller talks to another one.  Each watches objects and writes objects; that a Deployment becomes ReplicaSets,
ReplicaSets become Pods and Pods become endpoints is nobody's plan but the sum of loops that each keep one promise.

    replicaset               so many Pods                             ← read this one first
    deployment               from one version to the next             (rollout, revisions, deployment_status)
    statefulset, daemonset   Pods with names; a Pod on every node     (history, node_fit)
    job, cronjob, ttl        work that ends                           (job_verdict, job_index)
    endpointslice, endpoints which addresses are behind a Service
    hpa, disruption          how many there should be; how many may go at once   (hpa_metrics)
    garbagecollector, namespace, podgc, nodelifecycle, tainteviction             what happens when something goes
    volumebinder, volumeprotection, localprovisioner                             storage
    serviceaccount, rootca, resourcequota, csrsigning                            what every namespace and user needs

May import: client, objects.  Never store, api, scheduler, or the network.
"""
