"""Pictures: what the cluster does, as SVG for notebooks and slides and as text for terminals.

    theme.py        the one visual language: colours, shapes, light and dark
    flow_svg.py     the talk's figure of the ReplicaSet flow
    flow_text.py    the same story for a terminal
    grid.py         fields down, places across: the table that the next two fill
    merge.py        what `kubectl apply` would do to an object: the three-way merge
    reach.py        which change reaches whom, measured in a running Pod
    storage.py      claims, volumes, who uses them and where the data lies
    build_svg.py    a build's graph, and when each step ran; build_text.py the same for a terminal
    owners.py       who owns which field: managedFields
    layers_svg.py   an image's layers: the talk's stack picture; layers_html.py: with trees to open; layers_text.py;
                    layers_tree.py: what a layer did, as a tree; layers_figure.py: for a notebook
    compare_svg.py  two images side by side; compare_figure.py: for a notebook
    figure.py       how a figure shows itself in a notebook (and refreshes itself while live)
    check_button.py the button below an exercise
"""
