"""NetworkPolicy: who may talk to whom.

    NetworkPolicies ─┐                  ┌─▶ verdict.py   one connection, explained          kit policy --from --to
    Namespaces ──────┼─▶ model.World ───┼─▶ compiled.py  a table per address  ─▶ runtime daemon, proxy (`process`)
    Pods, Services ──┘    (pure)        └─▶ nft.py       rules for one node   ─▶ nft -f (`oci`)

All three ask the same questions of the same world, so what is explained is what is enforced.  `agent.py` follows the
API and hands over what has changed.

The rules in one breath: a Pod that no policy selects talks to everybody.  The first policy that selects it *isolates*
it in the directions the policy names; from then on only what some policy allows gets through.  Policies are a union:
there is no order and no "deny" rule.  A connection must be allowed twice, by its source's egress and by its
destination's ingress.  Replies belong to the connection, and what is connected when a policy changes goes on.

What a policy does not touch: a Pod and itself, a Pod and its own node (so the kubelet's probes always arrive), and
Pods with hostNetwork.

Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/ and networking.k8s.io/v1.
"""

from kitlib.network.policy.model import Policy, PolicyPod, World
from kitlib.network.policy.verdict import Verdict, verdict

__all__ = ["Policy", "PolicyPod", "Verdict", "World", "verdict"]
