"""The edge of the API server: everything that touches a socket.

`ApiServer.handle` is a plain function.  This package turns bytes into its `Request` and its answers
into bytes, over TLS and HTTP/1.1, and adds the one promise that a function cannot keep alone: nothing
is said to the outside before the store has it on disk.

    socket ─▶ connection.py ─▶ Request ─▶ handle ─┬─ Response ─▶ gate.py (durable?) ─▶ wire.py ─▶ socket
                                                  ├─ Stream   ─▶ watches.py ─▶ chunks, coalesced
                                                  └─ Connect  ─▶ connect.py ─▶ the node (NodeConnector)

HTTP/2 is not spoken: exec and port-forward upgrade the connection, which h2 does not allow, so ALPN
offers http/1.1 only and every client follows.

Source: k8s.io/apiserver/pkg/server (secure_serving.go, filters) and pkg/endpoints/handlers.
"""

from __future__ import annotations

from kitlib.api.edge.connector import NodeConnector
from kitlib.api.edge.server import EdgeServer
from kitlib.api.edge.tls import server_context

__all__ = ["EdgeServer", "NodeConnector", "server_context"]
