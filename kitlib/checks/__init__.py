"""Checks: what a learner's exercise is measured by.

One module per lab (same stem as the notebook); one decorated function per exercise.  A check may
look at the cluster and at the learner's answers, which are JSON in a ConfigMap.  It never sees the
learner's code or process: so the same function gives an instant hint in JupyterLab and grades an
untrusted submission.

    framework.py   @exercise, Result, Lab: the vocabulary
    wrong.py       a wrong answer and its hint
    world.py       what a check can look at
    engine.py      images and containers, as a check sees them
    builds.py      a learner's Dockerfile, built and measured by the check itself
    answers.py     how an answer gets into the cluster and out of it again
    run.py         runs a lab's checks in order and turns whatever happens into results
"""
