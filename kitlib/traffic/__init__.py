"""Traffic: ask a cluster's Services as its Pods would, and measure what comes back.

A lab measures instead of trusting.  Everything here needs the Kubernetes API only, so it works on any cluster, and
checks may use it, too.

    resolve.py    names: resolv.conf's search path and ndots, the cluster's DNS, every try on the way
    network.py    from a URL to an address: DNS, an Ingress's host, and whose address that is
    reach.py      a connection: straight to the address
    netns.py      a socket in another network namespace, where clusters with real containers have theirs
    inside.py     a connection that begins in a Pod; attempts.py: many of them at once
    ingress.py    which Ingress a host belongs to; rules.py, door.py, passage.py: which rule, asked how, seen by whom
    exchange.py   one HTTP request and its answer, timed
    request.py    all of it in one call
    dig.py        DNS, as dig shows it
    load/         many requests a second: when each was due, how long it took, who answered, what was lost

It prints nothing and draws nothing: that do cli/, book/ and views/.
"""
