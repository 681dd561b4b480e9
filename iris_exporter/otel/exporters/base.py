"""What became of a batch, the life of an exporter, and what those over HTTP and gRPC have in common."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from iris_exporter.otel.settings import TRACES

# The pipeline logs failures itself: limited in number, and without the collector's own words.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Collectors take 4 MiB over gRPC by default; this leaves room for records whose size was estimated too low."""


ALL = sys.maxsize
MAX_WORDS = 300
NOT_OTLP = "not an answer of OTLP"
"""What `Answer.words` begin with for a success with another content, which the specification takes for a success."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one batch.

    `rejected` of its records, `ALL` for all, were refused for good; with `retry` none was taken, and all may be sent
    again after `retry_after_seconds` (None: not given). `too_large`: the batch should be sent again in
    smaller pieces, and `rejected` counts when that is not possible. `reason` is for our own log, without secrets;
    `failure` is the one of `core.own_failures` that it is. `words` is what the library or the collector itself has to
    say, at most `MAX_WORDS` characters: it is never logged.
    """

    rejected: int = 0
    retry: bool = False
    retry_after_seconds: float | None = None
    too_large: bool = False
    reason: str = ""
    failure: str = field(default="other", compare=False)
    words: str = field(default="", compare=False)


ACCEPTED = Answer()
UNENCODABLE = Answer(ALL, too_large=True, reason="cannot be encoded", failure="invalid")
"""Nothing was sent: the request would be larger than it may be, or a record cannot be encoded."""


class Exporter(Protocol):
    """An exporter of the SDK that says what became of a batch; batches come one at a time, from one thread."""

    def export(self, batch: Sequence[Any]) -> Answer:
        """Send records of the SDK; blocks, and never raises for the network."""

    def close(self) -> None:
        """Close the connection; may be called from another thread, to end an export where that works."""


def accepted(signal: str, response: Any) -> Answer:
    """The answer of a collector that has taken a batch, but for those records that `response` counts."""
    partial = response.partial_success
    rejected = partial.rejected_spans if signal == TRACES else partial.rejected_log_records
    words = partial.error_message[:MAX_WORDS]
    if rejected > 0:
        return Answer(rejected, reason="partly rejected", failure="rejected", words=words)
    return Answer(words=words) if words else ACCEPTED
