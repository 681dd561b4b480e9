"""Settings of a stream, for tests."""

from dataclasses import replace
from typing import Any

from iris_exporter import config
from iris_exporter.settings import StreamSettings

_DEFAULTS = config.load({"stream.url": "http://127.0.0.1:14748/api/stream/overview"}, {}).streams[0]


def stream_settings(**changes: Any) -> StreamSettings:
    """Defaults, and the overview of the reference backend; fields of `changes` are taken as they are, unchecked."""
    return replace(_DEFAULTS, **changes)
