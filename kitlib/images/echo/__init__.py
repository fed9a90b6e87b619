"""kit/echo: an HTTP server that says which Pod it is, and that misbehaves when it is told to.

Runs inside a Pod, so it needs nothing but the standard library.

    GET /anything              →  web-7d4b9-x2x7k          the Pod's name (POD_NAME, else the hostname)
                                  GET /anything
                                  version v2               if it has one: of kit/echo:v2, or VERSION
    Accept: application/json   →  pod, namespace, node, ip, version, client, method, path, query, headers, body, count
    GET /healthz, /readyz      →  200 ok, or 503 with a reason

Any request may ask for more, by its query:

    ?format=json   all of it, without a header     ?status=503        that status
    ?delay=200ms   answer later (others go on)     ?cpu=200ms         compute so long (others wait)
    ?leak=10Mi     keep so much memory for good    ?size=1Mi          so long a body
    ?ready=false   /readyz says no from now on     ?healthy=false     /healthz says no from now on
    ?exit=1        answer, and end with that code

The environment says how it is all the time (durations as in 2, 0.5, 200ms, 3s; probes are never slow and never fail):

    PORT=8080          VERSION=v3        FORMAT=json          ACCESS_LOG=false
    DELAY=200ms        each answer takes that long            ERROR_RATE=0.25    every fourth answer is
    LEAK=1Mi           each request leaves that behind        ERROR_STATUS=500   … this one
    START_DELAY=3s     listens only then                      READY_AFTER=2s     /readyz says no until then
    HEALTHY_FOR=10s    /healthz says no after that
    ON_SIGTERM=drain   takes no new connection, answers what was asked, ends with 0; `abrupt` ends at once, as a program
                       does that never thought of it; `ignore` goes on until it is killed
    DRAIN=5s           with `drain`: goes on for so long first, not ready, while the word gets around
"""
