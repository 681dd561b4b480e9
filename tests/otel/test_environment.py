"""`OTEL_*` variables: what they ask for, and what is refused, by name."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from iris_exporter.errors import ConfigError
from iris_exporter.otel.environment import LOG_QUEUE_RECORDS, SPAN_QUEUE_RECORDS, read_otel
from iris_exporter.otel.settings import Endpoint, OtelSettings
from tests.waiting import BUSY
from tests.web.config.certificates import Authority

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
GIVEN = {ENDPOINT: "http://collector:4318"}


def logs_endpoint(environment: dict[str, str]) -> Endpoint:
    signal = read_otel(environment).logs
    assert signal is not None
    assert signal.endpoint is not None
    return signal.endpoint


def refused(environment: dict[str, str]) -> list[str]:
    """The names of the variables that are refused."""
    with pytest.raises(ConfigError) as caught:
        read_otel(environment)
    return [problem.key for problem in caught.value.problems]


@pytest.mark.parametrize("environment", [{}, {ENDPOINT: ""}, {"OTEL_SERVICE_NAME": "x"}, {"PATH": "/bin"}])
def test_nothing_is_exported_without_an_endpoint(environment: dict[str, str]) -> None:
    settings = read_otel(environment)
    assert settings.traces is settings.logs is None


def test_an_endpoint_turns_traces_and_logs_on() -> None:
    settings = read_otel(GIVEN)
    assert settings.traces is not None
    assert settings.logs is not None
    assert settings.logs.batching.queue_size == LOG_QUEUE_RECORDS
    assert settings.traces.batching.queue_size == SPAN_QUEUE_RECORDS


def test_a_disabled_sdk_exports_nothing_whatever_else_is_set() -> None:
    assert read_otel({**GIVEN, "OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "rubbish"}) == OtelSettings()


def test_each_exporter_can_be_chosen() -> None:
    settings = read_otel({**GIVEN, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "console"})
    assert settings.traces is None
    assert settings.logs is not None
    assert settings.logs.endpoint is None


def test_an_exporter_without_an_endpoint_sends_to_this_machine() -> None:
    settings = read_otel({"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert settings.traces is None
    assert settings.logs is not None
    assert settings.logs.endpoint is not None
    assert settings.logs.endpoint.url == "http://localhost:4317"


@pytest.mark.parametrize("exporter", ["otlp", "console", "prometheus"])
def test_metrics_are_scraped_and_not_pushed(exporter: str) -> None:
    settings = read_otel({"OTEL_METRICS_EXPORTER": exporter})
    assert settings.traces is settings.logs is None
    assert [problem.key for problem in settings.ignored] == ["OTEL_METRICS_EXPORTER"]
    assert not read_otel({"OTEL_METRICS_EXPORTER": "none"}).ignored


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        (ENDPOINT, "http://c:4318", "http://c:4318/v1/logs"),
        (ENDPOINT, "https://c/otlp/", "https://c/otlp/v1/logs"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318/there", "http://c:4318/there"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318", "http://c:4318/"),
    ],
)
def test_the_path_of_a_signal_is_added_to_the_general_endpoint_alone(variable: str, value: str, url: str) -> None:
    assert logs_endpoint({variable: value}).url == url


@pytest.mark.parametrize(
    ("value", "insecure", "url", "is_insecure"),
    [
        ("http://c:4317", "", "http://c:4317", True),
        ("https://c:4317/x", "true", "https://c:4317", False),
        ("c:4317", "", "https://c:4317", False),
        ("c:4317", "true", "https://c:4317", True),
    ],
)
def test_the_scheme_decides_whether_grpc_uses_tls(value: str, insecure: str, url: str, is_insecure: bool) -> None:
    environment = {ENDPOINT: value, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_INSECURE": insecure}
    endpoint = logs_endpoint(environment)
    assert (endpoint.url, endpoint.insecure) == (url, is_insecure)


def test_the_settings_of_a_signal_go_before_the_general_ones() -> None:
    endpoint = logs_endpoint(
        {
            **GIVEN,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "500",
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "2500",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20s3cret, x-tenant=a",
        }
    )
    assert endpoint.timeout_seconds == 2.5
    assert endpoint.compression == "gzip"
    assert endpoint.headers == {"Authorization": "Bearer s3cret", "x-tenant": "a"}
    assert "s3cret" not in repr(endpoint)


def test_header_values_are_secrets() -> None:
    settings = read_otel({**GIVEN, "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20s3cret"})
    assert {"Bearer s3cret", "s3cret"} <= set(settings.secrets())


def test_attribute_limits_of_a_signal_go_before_the_general_ones() -> None:
    environment = {
        **GIVEN,
        "OTEL_ATTRIBUTE_COUNT_LIMIT": "7",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "5",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "80",
    }
    settings = read_otel(environment)
    assert settings.traces is not None
    assert settings.logs is not None
    assert (settings.traces.limits.attributes, settings.logs.limits.attributes) == (5, 7)
    assert settings.logs.limits.text == 80


def test_queue_and_batch_sizes_are_taken() -> None:
    settings = read_otel({**GIVEN, "OTEL_BLRP_MAX_QUEUE_SIZE": "100", "OTEL_BLRP_SCHEDULE_DELAY": "250"})
    assert settings.logs is not None
    assert settings.logs.batching.queue_size == 100
    assert settings.logs.batching.batch_size == 100
    assert settings.logs.batching.delay_seconds == 0.25


def test_resource_attributes_are_decoded_and_the_service_name_wins() -> None:
    settings = read_otel({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,k8s.pod.name=p%2C1", "OTEL_SERVICE_NAME": "mine"})
    assert settings.resource == {"service.name": "mine", "k8s.pod.name": "p,1"}


def test_a_sampler_with_its_argument() -> None:
    sampling = read_otel({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}).sampling
    assert (sampling.name, sampling.ratio) == ("traceidratio", 0.25)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (ENDPOINT, "collector:4318"),
        (ENDPOINT, "http://"),
        (ENDPOINT, "http://c:99999"),
        (ENDPOINT, "http://c:431x"),
        (ENDPOINT, "http://[::1"),
        (ENDPOINT, "ftp://c"),
        (ENDPOINT, "http://me:hunter2@c"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0Ax"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_otel({**GIVEN, name: value})
    assert {problem.key for problem in caught.value.problems} == {name}
    assert "hunter2" not in str(caught.value)


HTTP_HEADERS = [
    "Host", "content-type", "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection",
    "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Expect", "grpc-timeout", "GRPC-Encoding",
]  # fmt: skip
GRPC_HEADERS = [*HTTP_HEADERS, "user-agent", "x-key-bin", "a!b"]


@pytest.mark.parametrize("prefix", ["OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_LOGS_"])
@pytest.mark.parametrize(
    ("protocol", "header"),
    [("http/protobuf", name) for name in HTTP_HEADERS] + [("grpc", name) for name in GRPC_HEADERS],
)
def test_a_header_that_is_not_the_operators_is_refused_by_its_name(prefix: str, protocol: str, header: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_otel({**GIVEN, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, f"{prefix}HEADERS": f"a=1,{header}=hunter2"})
    (problem,) = caught.value.problems
    assert problem.key == f"{prefix}HEADERS"
    assert header in problem.value
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("header", ["Authorization", "X-Scope-OrgID", "cookie", "user-agent", "x_1", "x-key-bin"])
def test_other_headers_are_taken(header: str) -> None:
    given = {**GIVEN, "OTEL_EXPORTER_OTLP_HEADERS": f"{header}=%20hunter2"}
    assert logs_endpoint(given).headers == {header: "hunter2"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "jaeger"),
        ("OTEL_LOGS_EXPORTER", "otlp,console"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "maybe"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_SCHEDULE_DELAY", "\u0663"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "1e3"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-5"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "9" * 5000),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,novalue"),
    ],
)
def test_a_value_without_a_meaning_is_ignored_with_a_warning(name: str, value: str) -> None:
    """As the specification has it; everything else is as if the variable were not set."""
    settings = read_otel({**GIVEN, name: value})
    assert {problem.key for problem in settings.ignored} == {name}
    assert all(len(problem.value) < 100 for problem in settings.ignored)
    less = replace(settings, ignored=())
    if name == "OTEL_BSP_MAX_EXPORT_BATCH_SIZE":
        assert less.traces is not None
        assert less.traces.batching.batch_size == SPAN_QUEUE_RECORDS
    else:
        assert less == read_otel(GIVEN)


def test_a_bad_argument_of_the_sampler_is_ignored() -> None:
    settings = read_otel({"OTEL_TRACES_SAMPLER": "TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG": "nan"})
    assert [problem.key for problem in settings.ignored] == ["OTEL_TRACES_SAMPLER_ARG"]
    assert (settings.sampling.name, settings.sampling.ratio) == ("traceidratio", 1.0)


def test_the_general_variable_stands_in_for_a_bad_one_of_a_signal() -> None:
    given = {**GIVEN, "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "x", "OTEL_EXPORTER_OTLP_TIMEOUT": "2000"}
    assert logs_endpoint(given).timeout_seconds == 2.0


def test_values_of_a_list_are_known_in_any_case() -> None:
    given = {**GIVEN, "OTEL_TRACES_EXPORTER": "NONE", "OTEL_EXPORTER_OTLP_COMPRESSION": "GZip"}
    settings = read_otel(given)
    assert settings.traces is None
    assert logs_endpoint(given).compression == "gzip"
    assert settings.ignored == ()


def test_all_problems_come_at_once() -> None:
    environment = {
        **GIVEN,
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "ftp://c",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x",
        "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "x",
    }
    assert refused(environment) == ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"]


def test_certificates_are_read_at_the_start(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    assert refused({**GIVEN, "OTEL_EXPORTER_OTLP_CERTIFICATE": str(rubbish)}) == ["OTEL_EXPORTER_OTLP_CERTIFICATE"]
    half = {**GIVEN, "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(rubbish)}
    assert refused(half) == ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]
    both = {**half, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(rubbish)}
    assert refused(both) == ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]


def test_environment_imports_neither_opentelemetry_nor_a_client() -> None:
    program = (
        "import sys\n"
        "from iris_exporter.otel.environment import read_otel\n"
        f"read_otel({{{ENDPOINT!r}: 'http://c:4318'}})\n"
        "print([name for name in sys.modules if name.split('.')[0] in"
        " ('opentelemetry', 'grpc', 'requests', 'google', 'urllib3')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30 * BUSY
    )
    assert done.stdout.strip() == "[]"


def test_a_key_of_another_certificate_is_refused_by_its_variable(tmp_path: Path) -> None:
    authority = Authority()
    authority.issue(tmp_path / "one.pem", tmp_path / "one.key")
    authority.issue(tmp_path / "two.pem", tmp_path / "two.key")
    with pytest.raises(ConfigError) as caught:
        read_otel(
            {
                **GIVEN,
                "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE": str(tmp_path / "one.pem"),
                "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY": str(tmp_path / "two.key"),
            }
        )
    (problem,) = caught.value.problems
    assert problem.key == "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY"
    assert "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE" in problem.expected
