"""How everyone gets into the API: verbs over a transport, a cache that keeps up, a queue, and the loop.

    Transport   moves a request: in this process (`local`) or over HTTPS (`http`)
    Client      Kubernetes' verbs
    Informer    a local copy of one kind, kept up to date by LIST and WATCH
    WorkQueue   which keys have work, and when
    Controller  observe, diff, act
    Manager     runs controllers; pause, step, resume, replace; the record of every turn

Everything here is synchronous and free of threads, sockets and sleep, but `http` (a thread per watch) and `runner`
(a thread per learner's controller).  May import: objects, and api.request for the shape of a request.
"""

from __future__ import annotations

from kitlib.client.actions import Action, Create, Delete, Emit, Patch, RequeueAfter, Update, UpdateStatus
from kitlib.client.client import Client, Write
from kitlib.client.controller import Controller
from kitlib.client.events import EventRecorder
from kitlib.client.informer import Informer
from kitlib.client.manager import Manager
from kitlib.client.record import Record, Wake
from kitlib.client.transport import Transport, WatchSource
from kitlib.client.workqueue import WorkQueue

__all__ = ["Action", "Client", "Controller", "Create", "Delete", "Emit", "EventRecorder", "Informer", "Manager",
           "Patch", "Record", "RequeueAfter", "Transport", "Update", "UpdateStatus", "Wake", "WatchSource",
           "WorkQueue", "Write"]
