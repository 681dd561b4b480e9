"""Prometheus metrics and OpenTelemetry signals from an IRIS telemetry stream.

Importing the package does nothing; `iris_exporter.__main__.main` is the program.
"""

__version__ = "0.1.0"
