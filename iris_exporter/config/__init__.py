"""Configuration: options as flags, environment variables and YAML keys; every problem reported at once.

`load` reads, `dump` shows, `needs_restart` compares. The options themselves are the table in `options`.
"""

from iris_exporter.config.dumping import dump, needs_restart
from iris_exporter.config.loading import load
from iris_exporter.config.option_types import parse_address
from iris_exporter.config.options import BY_KEY, OPTIONS, Option
from iris_exporter.config.rules import FileChecks

__all__ = [
    "BY_KEY",
    "OPTIONS",
    "FileChecks",
    "Option",
    "dump",
    "load",
    "needs_restart",
    "parse_address",
]
