"""Pictures: what the cluster does, as SVG for notebooks and slides and as text for terminals.

    theme.py        the one visual language: colours, shapes, light and dark
    flow_svg.py     the talk's figure of the ReplicaSet flow
    flow_text.py    the same story for a terminal
    figure.py       how a figure shows itself in a notebook (and refreshes itself while live)
    check_button.py the button below an exercise
"""
