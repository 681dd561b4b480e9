"""Sockets, and nothing but sockets: thin shells around the decisions of `iris_exporter.core`."""
