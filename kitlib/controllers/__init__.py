"""kube-controller-manager's role: one controller per file, each of them observe, diff, act.

No controller talks to another one.  Each watches objects and writes objects; that a Deployment becomes ReplicaSets,
ReplicaSets become Pods and Pods become endpoints is nobody's plan but the sum of loops that each keep one promise.

May import: client, objects.  Never store, api, scheduler, or the network.
"""
