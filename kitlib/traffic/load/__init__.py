"""Load: so many requests a second, each at its time, whatever becomes of the others.

    run.py      starts the worker, follows the Pods meanwhile, puts the report together
    worker.py   a process of its own: sends when a request is due and notes what came
    wire.py     one connection: HTTP/1.1, one request at a time
    pods.py     what happened to the Pods behind the address, on the same clock
    report.py   latencies, errors by kind, who answered

An open loop: a person who wants a page does not wait until the last one's page has come.  A generator that waits (a
closed loop) sends nothing while the server sleeps, and so hardly notices that it slept.  Here a request is due at its
time, and its latency counts from then, also when it had to wait for a free connection ("coordinated omission", Gil
Tene; wrk2 does the same).
"""
