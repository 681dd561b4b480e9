"""More streams, from files, an HTTP endpoint or annotations in Kubernetes: one module for each source.

A source reports all of its streams whenever they have changed. An entry that cannot be used is left out, logged and
counted, and takes no other one with it; a source that does not answer keeps its last streams.
"""
