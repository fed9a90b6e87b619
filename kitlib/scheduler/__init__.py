"""kube-scheduler's role: for every Pod without a node, find the best one and bind it.

    scheduler.py     the loop: observe, diff, act
    queue.py         who is next, and who waits for what
    framework.py     filters and scores; plugins/ has one of them per file
    nodeinfo.py      who is where, kept up to date
    preemption.py    when the more important makes the less important leave
    decision.py      why: kept for every Pod, to be told and drawn

May import: client, objects.  Never controllers, store, api, or the network.
"""
