"""Mappings: what the messages of a source that is not IRIS mean, as a description that is read from YAML.

`spec` is the description, frozen and checked; `reading` makes it, or a list of problems with their lines. Nothing here
has a socket or a clock; the engine that carries a mapping out is `decoding.mapped`.
"""
