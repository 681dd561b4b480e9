"""The catalogue keeps the contract and the naming rules."""

import re

from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import State
from iris_exporter.instruments import catalog
from iris_exporter.instruments.catalog import CATALOG
from iris_exporter.instruments.metric import Kind, Metric
from tests.examples import every

# Name, kind, labels: as the contract has them.
CONTRACT = """
iris_up gauge stream
iris_stream_state stateset stream state
iris_stream_info info stream protocol endpoint encoding compression
iris_stream_extension gauge stream extension
iris_stream_queue_oldest_timestamp_seconds gauge stream queue
iris_stream_connect_attempts_total counter stream
iris_stream_connect_failures_total counter stream reason
iris_stream_disconnects_total counter stream reason
iris_stream_reconnect_attempt gauge stream
iris_stream_connected_timestamp_seconds gauge stream
iris_stream_next_attempt_timestamp_seconds gauge stream
iris_stream_last_message_timestamp_seconds gauge stream
iris_stream_messages_total counter stream message_type
iris_stream_decode_errors_total counter stream reason
iris_stream_received_bytes_total counter stream protocol
iris_stream_decoded_bytes_total counter stream protocol
iris_stream_batch_messages histogram stream
iris_stream_delta_resyncs_total counter stream
iris_stream_events_overtaking_total counter stream
iris_stream_source_dropped_events_total counter stream
iris_stream_upstream_errors_total counter stream code
iris_stream_polls_total counter stream
iris_stream_poll_failures_total counter stream reason
iris_stream_connect_duration_seconds histogram stream
iris_stream_message_delay_seconds histogram stream
iris_stream_heartbeat_rtt_seconds histogram stream
iris_stream_resumes_total counter stream outcome
iris_stream_events_replayed_total counter stream
iris_stream_events_duplicate_total counter stream
iris_stream_event_gaps_total counter stream
iris_projects gauge stream
iris_runs_today gauge stream
iris_success_ratio gauge stream
iris_active_experts gauge stream
iris_reflexions gauge stream
iris_projects_by_status gauge stream status
iris_project_status stateset stream project status
iris_project_health_ratio gauge stream project
iris_project_success_ratio gauge stream project
iris_project_runs gauge stream project
iris_project_active_experts gauge stream project
iris_project_reflexions gauge stream project
iris_project_latency_seconds gauge stream project
iris_project_last_run_timestamp_seconds gauge stream project
iris_project_info info stream project name
iris_events_total counter stream project event_type severity
iris_anomalies gauge stream project severity
iris_exporter_build_info info version revision pythonversion
iris_exporter_config_last_reload_successful gauge
iris_exporter_config_last_reload_success_timestamp_seconds gauge
iris_exporter_otlp_exported_total counter signal
iris_exporter_otlp_failed_total counter signal
iris_exporter_otlp_dropped_total counter signal
iris_exporter_otlp_queued gauge signal
iris_exporter_series_dropped_total counter stream metric
iris_exporter_series gauge
"""


def test_every_metric_of_the_contract_is_there_with_its_type_and_labels() -> None:
    present = {metric.name: [metric.kind.value, *metric.label_names] for metric in CATALOG}
    for line in CONTRACT.split("\n"):
        if line:
            name, *rest = line.split()
            assert present.get(name) == rest, name


def test_names_and_families_are_unique() -> None:
    for names in ([metric.name for metric in CATALOG], [metric.family for metric in CATALOG]):
        assert len(set(names)) == len(names)


@every(CATALOG, lambda metric: metric.name)
def test_names_follow_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"iris_[a-z]+(_[a-z]+)*|iris_up", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert not re.search(r"_(age|since)_|_(count|sum|bucket|created)$", metric.name)
    for unit in ("seconds", "bytes", "ratio"):
        assert (unit in metric.family.split("_")) == (metric.unit == unit)
    if metric.unit:
        assert metric.family.endswith(f"_{metric.unit}")
    assert metric.help.endswith(".")
    assert not set(metric.help) & set('"\\\n')
    assert metric.source
    assert metric.buckets == tuple(sorted(set(metric.buckets)))
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)


@every(CATALOG, lambda metric: metric.name)
def test_labels_follow_the_rules(metric: Metric) -> None:
    """Names that targets carry are left to them, and `stream` is last in the alphabet, as the lines are built."""
    taken = {"type", "env", "environment", "service", "region", "zone", "cluster", "customer", "owner", "stage", "dc"}
    taken |= {"job", "instance", "le", "quantile"}
    assert not taken & set(metric.label_names)
    if "stream" in metric.label_names:
        assert max(metric.label_names) == "stream"
        assert metric.label_names[0] == "stream"
    for label in metric.labels:
        assert not label.values or set(label.zero) <= set(label.values)


def test_reasons_that_exist_from_the_start_are_few() -> None:
    """Zero series of reasons: enough for alerts, not forty for each idle stream."""
    of_streams = [metric for metric in CATALOG if "stream" in metric.label_names]
    reasons = [label for metric in of_streams for label in metric.labels if label.name == "reason"]
    assert 4 <= sum(len(label.zero) for label in reasons) <= 12


def test_closed_lists_come_from_where_they_are_decided() -> None:
    assert catalog.CONNECT_FAILURES.labels[1].values == tuple(REASONS)
    assert catalog.STREAM_STATE.labels[1].values == tuple(State)
