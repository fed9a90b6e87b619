"""Looking into images: which layer holds what, what it cost, what is hidden below, and what is wasted.

    look.py       whatever somebody calls an image: a name, a file, an object of the docker SDK
    places.py     where its layers lie in an archive, a layout, the store; nothing is copied
    engine.py     images and containers of a Docker Engine
    source.py     a layer's bytes, plain or unpacked on the way
    scan.py       the entries of one layer, headers only
    analyse.py    all of them, to a report
    report.py     an image as a stack: instruction ↔ layer ↔ files added, changed, removed
    tree.py       layers on top of each other
    contents.py   what is in files
    waste.py      bytes that are shipped and never seen; the efficiency as dive counts it
    secrets.py    what looks like a secret, and whether a later layer only hides it
    compare.py    two images: shared layers, and how their files differ
"""
