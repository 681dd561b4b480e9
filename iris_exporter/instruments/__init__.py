"""Metric, span and log names, and how they are filled and printed."""
