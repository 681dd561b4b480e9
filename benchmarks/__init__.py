"""Measurements of the exporter beside a floor in the same run; never timed tests. See docs/benchmarks.md."""
