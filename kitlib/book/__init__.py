"""A chapter in a learner's hands: the notebook, its files, its session.

    files.py     where labs, solutions and slides lie; the learner's own copy under `work/`
    session.py   `lab = kit.lab("lab09_replicaset_flow")`: namespace, answers, checks, figures
    engine.py    the container engine of a chapter that has one, and its base images
    generate.py  solution notebook → lab notebook
    launch.py    JupyterLab on the learner's copy
    execute.py   running a notebook headless
    publish.py   solutions, executed and stored
    slides.py    Markdown → one HTML file that needs no network
"""
