"""Which requests come from scrapers: only those make checkpoints of the cursors.

A scraper stores what it reads; a person, a browser or a probe does not. Prometheus and what is built of it send a
header of their own, and most others an `Accept` that names an exposition format. Some send neither and are known by the
name of their program.
"""

from collections.abc import Mapping

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
"""Sent by Prometheus, its agents, Grafana Alloy, the OpenTelemetry Collector's receiver and vmagent."""

PROGRAMS = (
    "alloy/",
    "datadog agent/",  # Accept: text/plain or */*
    "elastic-metricbeat/",
    "fluent-bit",
    "grafanaagent/",
    "metricbeat/",
    "netdata",
    "newrelic",
    "otelcol",
    "opentelemetry collector",
    "prometheus/",
    "telegraf/",
    "vector/",
    "victoriametrics",
    "vm_promscrape",
    "vmagent",
    "zabbix",
)
"""Beginnings of the `User-Agent` of programs that store what they read, in lower case."""

_MEDIA = ("application/openmetrics-text", "application/vnd.google.protobuf")


def is_scraper(headers: Mapping[str, str], accepted: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a request is that of a program which stores what it reads.

    Args:
        headers: Those of the request; names in any case.
        accepted: The media types of its `Accept` with a weight above zero, each with its parameters.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if TIMEOUT_HEADER.lower() in lower:
        return True
    if "text/html" in accepted:
        return False
    if any(media in accepted for media in _MEDIA) or "version" in accepted.get("text/plain", {}):
        return True
    return lower.get("user-agent", "").strip().lower().startswith(PROGRAMS)
