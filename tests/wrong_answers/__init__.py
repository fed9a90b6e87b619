"""Mistakes that beginners make, by exercise: name → (what they put into the answer cell, part of their hint).

`tests/test_labs.py` submits each of them as a learner would, and expects that very hint.
"""
