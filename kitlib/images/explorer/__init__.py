"""Looking into images: which layer holds what, what it cost, what is hidden below, and what is wasted.

    scan.py       the entries of one layer, headers only
    report.py     an image as a stack: instruction ↔ layer ↔ files added, changed, removed
    waste.py      bytes that are shipped and never seen; the efficiency as dive counts it
    secrets.py    what looks like a secret, and whether a later layer only hides it
    compare.py    two images: shared layers, and how their files differ
"""
