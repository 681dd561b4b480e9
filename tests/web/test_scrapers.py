"""Who stores what it reads, by the headers that programs really send."""

import pytest

from iris_exporter.web.negotiation import parse
from iris_exporter.web.scrapers import is_scraper

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
    "text/plain;version=0.0.4;q=0.3"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
TIMEOUT = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}

SCRAPERS = [
    {"User-Agent": "Prometheus/3.4.0", "Accept": PROMETHEUS, **TIMEOUT},
    {"x-prometheus-scrape-timeout-seconds": "10"},
    {"User-Agent": "vm_promscrape", "Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1", **TIMEOUT},
    {"User-Agent": "Alloy/v1.8.3 (linux; deb)", "Accept": PROMETHEUS},
    {"User-Agent": "GrafanaAgent/v0.44.2"},
    {"User-Agent": "otelcol-contrib/0.120.0", "Accept": PROMETHEUS},
    {"User-Agent": "OpenTelemetry Collector Contrib/0.120.0 (linux/amd64)"},
    {"User-Agent": "Datadog Agent/7.60.0", "Accept": "text/plain"},
    {"User-Agent": "Datadog Agent/7.60.0", "Accept": "*/*"},
    {"User-Agent": "Telegraf/1.34.0 Go/1.24.1", "Accept": PROTOBUF},
    {"User-Agent": "Go-http-client/1.1", "Accept": PROTOBUF},
    {"User-Agent": "Netdata go.d.plugin/v2.3.0", "Accept": "*/*"},
    {"User-Agent": "netdata/go.d", "Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1"},
    {"User-Agent": "Zabbix 7.0.9", "Accept": "*/*"},
    {"User-Agent": "Elastic-Metricbeat/8.17.0 (linux; amd64)"},
    {"User-Agent": "Vector/0.45.0 (x86_64-unknown-linux-gnu)", "Accept": "text/plain"},
    {"User-Agent": "Fluent-Bit"},
    {"User-Agent": "python-requests/2.32.3", "Accept": "application/openmetrics-text; version=1.0.0"},
    {"Accept": "text/plain; version=0.0.4"},
    {"Accept": "TEXT/PLAIN; VERSION=0.0.4"},
]
OTHERS: list[dict[str, str]] = [
    {},
    {"User-Agent": "curl/8.12.1", "Accept": "*/*"},
    {"User-Agent": "Wget/1.25.0", "Accept": "*/*", "Accept-Encoding": "identity"},
    {"User-Agent": "HTTPie/3.2.4", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"},
    {"User-Agent": "python-requests/2.32.3", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"},
    {"User-Agent": "Python-urllib/3.11", "Accept-Encoding": "identity"},
    {"User-Agent": "Python/3.11 aiohttp/3.11.0", "Accept": "*/*"},
    {"User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"},
    {"User-Agent": "Go-http-client/2.0", "Accept": "text/plain"},
    {"User-Agent": "Blackbox Exporter/0.26.0"},
    {"User-Agent": "kube-probe/1.32", "Accept": "*/*"},
    {"User-Agent": "ELB-HealthChecker/2.0"},
    {"User-Agent": "GoogleHC/1.0"},
    {"User-Agent": "check_http/v2.4.0 (monitoring-plugins 2.4.0)"},
    {"User-Agent": "Uptime-Kuma/1.23.16", "Accept": "text/html,application/json,*/*"},
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0", "Accept": BROWSER},
    {"User-Agent": "Mozilla/5.0", "Accept": f"{BROWSER},application/openmetrics-text"},
    {"Accept": "application/openmetrics-text;q=0, */*"},
    {"Accept": "application/json"},
    {"User-Agent": "my prometheus/1"},
]


def judged(headers: dict[str, str]) -> bool:
    accepted = {item.value: item.parameters for item in parse(headers.get("Accept", "")) if item.weight > 0}
    return is_scraper(headers, accepted)


@pytest.mark.parametrize("headers", SCRAPERS, ids=str)
def test_programs_that_keep_what_they_read(headers: dict[str, str]) -> None:
    assert judged(headers)


@pytest.mark.parametrize("headers", OTHERS, ids=str)
def test_people_browsers_and_probes(headers: dict[str, str]) -> None:
    assert not judged(headers)
