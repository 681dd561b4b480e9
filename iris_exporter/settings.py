"""Frozen settings as the program uses them: seconds as float, sizes as int bytes, paths as Path.

How they are read, checked and explained is `iris_exporter.config`; the defaults live there, beside each option.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iris_exporter.errors import Problem

if TYPE_CHECKING:
    from iris_exporter.config.yaml_tree import Node
    from iris_exporter.mapping import spec  # read where a stream has a mapping, and not otherwise


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Requests to one server: where it is, and how this program identifies itself.

    `name` is what the log calls the server; `url` is empty where none is configured. `max_message_bytes` is for
    WebSockets, which only streams have. `repr` leaves out what can hold a secret: a query, the value of a header.
    """

    name: str
    url: str = field(repr=False)
    api_key_file: Path | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers_file: Path | None = None
    tls_ca_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    tls_server_name: str | None = None
    tls_insecure_skip_verify: bool = False
    proxy: str = "environment"  # or none
    max_message_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings(ClientSettings):
    """One source. Option names are `stream.<field>` with dashes and without the unit suffix.

    `mapped` is what the mapping of the name `mapping` says; None for `iris`.
    """

    mapping: str  # iris, or the name of a mapping
    parameters: tuple[tuple[str, str], ...] = field(repr=False)
    secrets: tuple[tuple[str, Path], ...]  # by name, the files that hold them
    protocol: str  # auto | websocket | sse | poll
    encoding: str  # auto | json | protobuf
    channels: tuple[str, ...]  # auto alone, or names
    fields: str  # auto | off
    delta: str  # auto | off
    batch_seconds: float  # 0: off
    debounce_seconds: float  # 0: off
    compression: str  # auto | off
    snapshot_url: str | None = field(repr=False)  # None: derived from `url`
    connect_timeout_seconds: float
    reconnect_initial_seconds: float
    reconnect_max_seconds: float
    reconnect_jitter: float
    reconnect_attempts: int
    stable_after_seconds: float
    live_retry_interval_seconds: float
    heartbeat_interval_seconds: float
    heartbeat_timeout_seconds: float
    poll_interval_seconds: float
    stale_after_seconds: float
    max_body_bytes: int
    max_event_bytes: int
    max_json_depth: int
    max_events: int
    max_event_ids: int
    max_projects: int
    max_anomalies: int
    max_event_series: int
    max_label_values: int
    max_label_length: int
    max_connections_per_hour: int  # 0: no limit
    mapped: "spec.Mapping | None" = None


@dataclass(frozen=True, slots=True)
class WebSettings:
    """The HTTP server. `max_requests` 0 means no limit."""

    listen_addresses: tuple[str, ...]
    telemetry_path: str
    route_prefix: str  # "" or /a/b: in front of every path
    external_url: str | None
    grafana_url: str | None  # the page has no links without it; so with the next one
    runbook_base_url: str | None
    config_file: Path | None
    max_requests: int
    disable_exporter_metrics: bool
    enable_control: str  # auto | always | never
    max_connections: int


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """This process among others. `shard` is the ordinal, below `total_shards`."""

    shard: int
    total_shards: int
    leader_election: bool
    lease_name: str
    lease_namespace: str | None  # None: the pod's
    lease_duration_seconds: float
    kubernetes_url: str | None  # None: as a pod finds it
    kubernetes_token_file: Path | None
    kubernetes_ca_file: Path | None


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Where more streams come from. Discovered ones take `defaults` for what their entry leaves out."""

    files: tuple[str, ...]  # globs
    files_interval_seconds: float
    http: ClientSettings
    http_interval_seconds: float
    kubernetes: str  # none | services | pods
    namespace: str | None  # None: the pod's
    secrets_dir: Path | None
    defaults: StreamSettings
    mappings: "Mapping[str, spec.Mapping]" = field(default_factory=dict, compare=False)  # those of the configuration

    @property
    def is_on(self) -> bool:
        """Whether any source is configured."""
        return bool(self.files or self.http.url) or self.kubernetes != "none"


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """Grafana Live. Without a `client.url` nothing is pushed."""

    client: ClientSettings
    channel: str
    interval_seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `serve` needs to know, checked."""

    streams: tuple[StreamSettings, ...]
    web: WebSettings
    fleet: FleetSettings
    discovery: DiscoverySettings
    live: LiveSettings
    log_level: str
    log_format: str
    state_dir: Path | None
    state_commit_seconds: float | None  # None: with each scrape
    config_file: Path | None
    config_watch: bool
    config_check: bool
    mapping_files: tuple[str, ...]  # globs
    # By name; `mapping_tree` is what the file of the configuration has below `mappings:`, as it is written.
    mappings: "Mapping[str, spec.Mapping]" = field(default_factory=dict)
    mapping_tree: "Node | None" = field(default=None, repr=False)
    # What is doubtful about them, and a hash of the content that was read: no part of what the settings are.
    mapping_warnings: tuple[Problem, ...] = field(default=(), compare=False, repr=False)
    config_mark: str | None = field(default=None, compare=False, repr=False)
