"""What the `OTEL_*` variables ask for, checked: seconds, bytes and paths, nothing that has to be read again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iris_exporter.errors import Problem

TRACES, LOGS = "traces", "logs"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a signal goes and how. For gRPC `url` has scheme, host and port, for HTTP it is what is posted to.

    `headers` are secrets and not shown. `certificate` None: the system's authorities; without `client_certificate` and
    `client_key` no certificate is shown. `insecure` only matters for gRPC: no TLS.
    """

    protocol: str  # grpc | http/protobuf
    url: str
    headers: Mapping[str, str] = field(repr=False)
    compression: str  # none | gzip
    timeout_seconds: float
    certificate: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Batching:
    """How records wait: at most `queue_size` of them, sent `batch_size` at a time or after `delay_seconds`."""

    queue_size: int
    batch_size: int
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What is cut off: attributes of one record, characters of one text, links of one span."""

    attributes: int
    text: int
    links: int = 128


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """One signal that is exported. `endpoint` is None for the exporter `console`."""

    endpoint: Endpoint | None
    batching: Batching
    limits: Limits


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which traces are exported: `name` is a word of OTEL_TRACES_SAMPLER, `ratio` 0 to 1."""

    name: str = "parentbased_always_on"
    ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class OtelSettings:
    """Everything there is to know; a signal that is None is not exported. `resource` is what the operator gave.

    `ignored` are the values of variables that make no sense, for which a default is used; to be logged at the start.
    """

    traces: SignalSettings | None = None
    logs: SignalSettings | None = None
    sampling: Sampling = field(default_factory=Sampling)
    resource: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[Problem, ...] = ()

    def secrets(self) -> Iterator[str]:
        """What must never be shown; register each with `logs.protect`."""
        for signal in (self.traces, self.logs):
            if signal is not None and signal.endpoint is not None:
                for value in signal.endpoint.headers.values():
                    yield value
                    # "Bearer abc" is a secret, and so is what follows the scheme.
                    yield value.rpartition(" ")[2]


OFF = OtelSettings()
"""Nothing is exported."""
