"""Traces: who did what, when, because of what.

    record.py    what is noted at every write (in the cluster process)
    flow.py      from records to the steps of the talk's figure
    rebuild.py   the same records out of a cluster that is not ours: managedFields and Events

Every write in kitlib carries its actor (the User-Agent) and its cause (the revision of the watch event
that woke the writer).  So a chain "kubectl → ReplicaSet controller → scheduler → kubelet" is not drawn
from what should happen but from what did.
"""
