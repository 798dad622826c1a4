"""Programs of users, read by type checkers and never run: pyright and mypy must find the types that stand here.

A comment that ignores an error says that there must be one: an ignore that is not needed is itself an error. Pyright's
name no rule, as which one it reports for a call with several signatures changes from release to release.
"""
