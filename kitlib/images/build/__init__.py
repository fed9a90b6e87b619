"""Building images: the Dockerfile language, the graph it describes, and the steps that are run.

    dockerfile.py   text → instructions, each with its place
    words.py        $VARIABLES and quotes in their arguments
    stages.py       instructions → stages, and what each step stands on
    graph.py        which steps are needed, in which order, and which may run at the same time
    cache.py        what a step would give is known before it runs, if everything it stands on is the same
    steps.py        what each instruction does to an image
    run.py          RUN: a program in the image's files, as well isolated as this machine allows
    build.py        all of it together
"""
