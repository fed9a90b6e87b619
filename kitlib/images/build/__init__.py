"""Building images: the Dockerfile language, the graph it describes, and the steps that are run.

    dockerfile.py   text → instructions, each with its place
    words.py        $VARIABLES and quotes in their arguments
    plan.py         instructions → a graph of steps, and what each of them stands on
    operations.py   what a step does; configuring, copying, running: from an instruction to its step
    cache.py        what a step would give is known before it runs, if everything it stands on is the same
    isolation.py    RUN: a program in the image's files, as well isolated as this machine allows: sandbox.py, keeper.py
    people.py       whose files are: names of the image, and what an ordinary user's build says (chowning.py)
    again.py        a build that would change nothing is answered at once
    making.py       the steps of one build; those that do not wait for each other run at the same time
    committing.py   layers of steps → an image, its configuration and history (history.py)
    build.py        all of it together; door.py for callers on an event loop, with a context that is a tar
    report.py       what became of every step: for pictures, for checks, to compare two builds
    job.py          a build in one call; several of them in a process of their own
"""
