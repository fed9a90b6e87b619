"""The cluster's DNS: names for Services and Pods.  CoreDNS' role with its `kubernetes` plugin.

`message.py` is the wire format, `zone.py` what names there are (pure, from Services and EndpointSlices), `server.py`
answers on UDP and TCP.  Specification: github.com/kubernetes/dns, docs/specification.md (1.1.0); RFC 1035, 2782.
"""
