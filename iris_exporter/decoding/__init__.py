"""Bytes to typed messages in base units (docs: the IRIS wire)."""
