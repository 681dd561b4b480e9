"""From checked values to `Settings`: what was not given becomes the default of its option."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iris_exporter.config import client_options
from iris_exporter.config.option import Option
from iris_exporter.config.options import BY_KEY, STREAM_OPTIONS
from iris_exporter.config.routes import prefix_of
from iris_exporter.settings import DiscoverySettings, FleetSettings, LiveSettings, Settings, StreamSettings, WebSettings


def build_stream(values: Mapping[str, Any]) -> StreamSettings:
    """The settings of a stream; `values` has every option by its name."""
    return StreamSettings(**{STREAM_OPTIONS[name].field: value for name, value in values.items()})


def default_of(option: Option) -> Any:
    """Return the value of an option's default; where there is none, None or an empty list."""
    if option.default is None:
        return () if option.kind.many else None
    value = option.kind.read(option.default, Path())
    return (value,) if option.kind.many else value


def build(
    values: Mapping[str, Any], streams: list[StreamSettings], template: StreamSettings, file: Path | None
) -> Settings:
    """All settings. `values` are by key, without those of streams; `template` is what discovered streams begin with."""

    def value(key: str) -> Any:
        return values[key] if key in values else default_of(BY_KEY[key])

    def client(prefix: str) -> dict[str, Any]:
        """The fields of `client_options.client_options`."""
        options = [BY_KEY[f"{prefix}{name}"] for name in client_options.NAMES]
        return {option.field: value(option.key) for option in options}

    external_url, prefix = value("web.external-url"), value("web.route-prefix")
    web = WebSettings(
        listen_addresses=value("web.listen-address"),
        telemetry_path=value("web.telemetry-path"),
        route_prefix=prefix_of(external_url) if prefix is None else prefix,
        external_url=external_url,
        config_file=value("web.config.file"),
        max_requests=value("web.max-requests"),
        disable_exporter_metrics=value("web.disable-exporter-metrics"),
        enable_control=value("web.enable-control"),
        max_connections=value("web.max-connections"),
    )
    fleet = FleetSettings(
        shard=value("shard"),
        total_shards=value("total-shards"),
        leader_election=value("leader-election"),
        lease_name=value("fleet.lease-name"),
        lease_namespace=value("fleet.lease-namespace"),
        lease_duration_seconds=value("fleet.lease-duration"),
        kubernetes_url=value("fleet.kubernetes-url"),
        kubernetes_token_file=value("fleet.kubernetes-token-file"),
        kubernetes_ca_file=value("fleet.kubernetes-ca-file"),
    )
    discovery = DiscoverySettings(
        files=value("discovery.files"),
        files_interval_seconds=value("discovery.files-interval"),
        http_url=value("discovery.http-url"),
        http_api_key_file=value("discovery.http-api-key-file"),
        http_interval_seconds=value("discovery.http-interval"),
        **client("discovery.http-"),
        kubernetes=value("discovery.kubernetes"),
        namespace=value("discovery.namespace"),
        secrets_dir=value("discovery.secrets-dir"),
        defaults=template,
    )
    live = LiveSettings(
        url=value("live.url"),
        token_file=value("live.token-file"),
        **client("live."),
        channel=value("live.channel"),
        interval_seconds=value("live.interval"),
    )
    return Settings(
        streams=tuple(streams),
        web=web,
        fleet=fleet,
        discovery=discovery,
        live=live,
        log_level=value("log.level"),
        log_format=value("log.format"),
        state_dir=value("state.dir"),
        state_commit_seconds=value("state.commit"),
        config_file=file,
        config_watch=value("config.watch"),
    )
