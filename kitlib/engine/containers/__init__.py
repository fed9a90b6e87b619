"""Containers of the embedded engine: what Docker calls one, on kitlib/runtime.

    manager.py    Containers: create, start, stop, …; the part of the engine that routes talk to
    record.py     one container: what is known of it, and kept on disk
    config.py     what a client asks for, in the form and with the defaults of Docker
    spec.py       the same as a runtime understands it
    running.py    one run: from start to exit, with its streams; restart policies
    attaching.py  who hears its output, and who may write to it
    execs.py      further processes in it           health.py    the command that asks how it is
    logs.py       what it has said                  listing.py   docker ps            views.py   docker inspect
    files.py      cp, export, diff, commit; with `inside.py`, a process that enters its files
    usage.py      stats and top

A container outlives its runs: each run is a new container of the runtime, on the same read-write layer.
"""
