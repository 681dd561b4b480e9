"""Configuration: options as flags, environment variables and YAML keys; every problem reported at once.

`load` reads, `dump` shows, `differences` compares. The options themselves are the table in `options`.
"""

from pathlib import Path

from iris_exporter.config.credentials import FileChecks
from iris_exporter.config.dumping import Differences, differences, dump
from iris_exporter.config.hints import did_you_mean
from iris_exporter.config.loading import load, stream_settings
from iris_exporter.config.option import Option
from iris_exporter.config.options import BY_KEY, OPTIONS
from iris_exporter.config.values import BadValueError, parse_address
from iris_exporter.config.values import read_key as _read_key
from iris_exporter.core.urls import redact as redact_url
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.logs import protect

__all__ = [
    "BY_KEY",
    "OPTIONS",
    "Differences",
    "FileChecks",
    "Option",
    "did_you_mean",
    "differences",
    "dump",
    "load",
    "parse_address",
    "read_api_key",
    "redact_url",
    "stream_settings",
]


def read_api_key(path: Path) -> str:
    """Return the key in the file at `path` and hide it from the log; read it again for each connection.

    Raises:
        ConfigError: The file cannot be read, is empty, or holds what cannot be sent in a header.
    """
    try:
        key = _read_key(path)
    except BadValueError as error:
        problem = Problem(str(path), "stream.api-key-file", error.shown or "it", error.expected)
        raise ConfigError([problem]) from error
    protect(key)
    return key
