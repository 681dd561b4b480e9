"""The file of `--web.config.file`: TLS, passwords, response headers and a rate limit.

The format is that of Prometheus's exporter-toolkit (docs/web-configuration.md there, 0.16), so that one file serves all
exporters of a machine. `load` reads and checks a file; `LiveConfig` keeps one up to date while the server runs.
"""

from iris_exporter.web.config.loading import load, load_for_use
from iris_exporter.web.config.model import RateLimit, TlsSettings, WebConfig
from iris_exporter.web.config.watched import LiveConfig, Loaded

__all__ = ["LiveConfig", "Loaded", "RateLimit", "TlsSettings", "WebConfig", "load", "load_for_use"]
