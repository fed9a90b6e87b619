"""`kit`: the command line.  One file per group of commands; `main.py` has the table.

A group's file has `register(commands)`, which adds its parsers, each with `set_defaults(run=function)`.
`run(arguments)` returns the exit code, or None for 0.  What goes wrong is raised as `KitError`.
Only the file of the command that was typed is imported.
"""
