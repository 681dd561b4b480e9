"""Trying a mapping on what a source sends: what comes of it, and what does not.

`samples` makes frames of a file, `running` takes them as a stream does, `coverage` compares the mapping's paths with
the messages, and `report` writes it down.
"""
