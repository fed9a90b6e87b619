"""Grading: from a directory of submissions that nobody trusts to points that everybody can.

    collect.py   which submissions there are
    merge.py     answer cells, by id, into the instructor's notebook
    confine.py   how a learner's kernel is kept away from everything else
    kernel.py    that kernel, as the grader talks to it
    engine.py    its container engine, where the chapter has one, kept away just so
    worker.py    one submission: its own process, its own fresh cluster
    grade.py     the whole class, several at a time
    report.py    JSON, CSV and one HTML page

Learner code runs in a Jupyter kernel of its own.  The worker holds the cluster's keys and runs the checks
itself; of a submission it takes nothing but the text of the answer cells.
"""
