"""What the probes of one stream have seen, as plain values: seconds, bytes, Unix times, None for not seen."""

from collections import Counter
from dataclasses import dataclass, field

from iris_exporter.check.findings import Found
from iris_exporter.check.fit import Fit
from iris_exporter.core.failures import Failure


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way as it is shown. `seconds` is how long it took; None where that means nothing."""

    name: str
    text: str
    seconds: float | None = None
    is_ok: bool = True


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one answer. `date` is its Date header as Unix time, `at` when it came by our clock."""

    status: int
    media_type: str
    seconds: float
    at: float
    date: float | None
    between: str  # what says that a proxy stands between, empty where nothing does


@dataclass(slots=True)
class Messages:
    """What one connection brought, and how well it fits."""

    usable: int = 0
    first: str = ""  # the type of the first one
    first_at: float | None = None
    data: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)  # (reason, JSON path)
    broken_messages: int = 0
    repeated_events: int = 0
    events: int = 0
    largest_event: int = 0  # bytes of metadata, or characters of the message
    errors: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    last_data_at: float | None = None
    fields: set[str] = field(default_factory=set)  # headline figures that were seen
    shares: dict[str, float] = field(default_factory=dict)
    unknown_types: Counter[str] = field(default_factory=Counter)
    fit: Fit = field(default_factory=Fit)


@dataclass(slots=True)
class Heard:
    """One open link, from its opening: `seconds` is how long it was listened to."""

    protocol: str
    opened_at: float = 0.0
    seconds: float = 0.0
    reads: int = 0
    wire_bytes: int = 0
    largest_bytes: int = 0
    first_after: float | None = None
    last_after: float | None = None
    longest_pause: float = 0.0  # between two reads, without the one before the end
    pongs: int = 0
    pings: int = 0
    ended: Failure | None = None  # None: the check closed it
    ended_at: float = 0.0

    @property
    def silent_at_end(self) -> float:
        """Seconds without a byte before the end."""
        return self.seconds - (self.last_after or 0.0)


@dataclass(slots=True)
class Way:
    """What the way to a host has: addresses that answer and that do not, and the first expiry in its certificates.

    `asks_for_certificate`: the server wants to see one of ours; over TLS 1.3 it refuses only after the handshake.
    """

    bad_addresses: list[str] = field(default_factory=list)
    good_addresses: list[str] = field(default_factory=list)
    certificate_days: float | None = None
    asks_for_certificate: bool = False


@dataclass(slots=True)
class Observation:
    """Everything seen of one stream. `failed_step` is where `failure` ended the way."""

    stream: str
    url: str  # without credentials
    steps: list[Step] = field(default_factory=list)
    failed_step: str = ""
    failure: Failure | None = None
    has_key: bool = False
    has_certificate: bool = False  # one of ours
    tls_speaks_on_plain_port: bool = False
    sse_works_instead: bool = False
    rest_through: str = ""  # what stands before REST, which answers while the event stream does not
    way: Way = field(default_factory=Way)
    heads: list[Head] = field(default_factory=list)
    redirected_to: list[str] = field(default_factory=list)  # other hosts
    connect_seconds: float | None = None
    heard: Heard | None = None
    messages: Messages = field(default_factory=Messages)
    offered: tuple[str, ...] = ()  # WebSocket subprotocols, by us
    subprotocol: str = ""  # that the source has chosen
    encoding: str = ""
    extensions: frozenset[str] | None = None
    mapping: str = ""  # its name; empty for IRIS
    guarantee: str = ""  # how often its events are counted, and why
    mapping_problems: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (kind, metric, reason)
    snapshot: Failure | None = None
    has_snapshot: bool = False
    snapshot_url: str = ""  # without credentials
    document_bytes: int = 0
    projects: int = 0
    anomalies: int = 0
    event_types: int = 0
    severities: int = 0
    event_series: int = 0
    has_positions: bool = False
    resumed: str | None = None  # the outcome, None when it was not tried or nothing was said


@dataclass(slots=True)
class Service:
    """Everything seen of something beside the streams that was asked; `url` is without query."""

    name: str
    url: str
    steps: list[Step] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
