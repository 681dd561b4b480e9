"""Line ends behind values: Secrets have them, and variables, arguments and block texts made of Secrets do, too."""

from pathlib import Path

import pytest

from iris_exporter import cli, config
from iris_exporter.config import OPTIONS, Option
from iris_exporter.errors import ConfigError
from iris_exporter.http.proxies import Proxy, proxy_for, proxy_for_grpc
from iris_exporter.otel.environment import read_otel

URL = "http://a/api/stream/overview"
ENDS = ("\n", "\r\n", "\n\n")
each_end = pytest.mark.parametrize("end", ENDS, ids=["lf", "crlf", "two"])
WITH_DEFAULT = [option for option in OPTIONS if option.default not in (None, "default") and option.key != "shard"]


def test_a_variable_may_end_with_one() -> None:
    """The address, as a Secret gives it."""
    for end in ENDS:
        (stream,) = config.load({}, {"IRIS_EXPORTER_STREAM_URL": URL + end}).streams
        assert stream.url == URL


@each_end
@pytest.mark.parametrize("option", WITH_DEFAULT, ids=lambda option: option.key)
def test_every_option_reads_the_same_with_and_without(option: Option, end: str) -> None:
    """As a variable and as a flag, which may be `--option=$(NAME)` in Kubernetes."""
    assert option.default is not None
    flags = {"stream.url": URL} if option.key != "stream.url" else {}
    expected = config.load({**flags, option.key: option.default}, {})
    assert config.load(flags, {option.variable: option.default + end}) == expected
    assert config.load({**flags, option.key: option.default + end}, {}) == expected


def test_lists_may_end_with_one() -> None:
    """A list in one variable, and each flag of several."""
    variables = {"IRIS_EXPORTER_STREAM_URL": URL, "IRIS_EXPORTER_WEB_LISTEN_ADDRESS": ":1,:2\n"}
    assert config.load({}, variables).web.listen_addresses == (":1", ":2")
    flags = {"stream.url": URL, "web.listen-address": [":1\n", ":2\r\n"]}
    assert config.load(flags, {}).web.listen_addresses == (":1", ":2")


def test_nothing_but_a_line_end_is_not_given() -> None:
    """As an empty variable is."""
    variables = {"IRIS_EXPORTER_STREAM_URL": URL, "IRIS_EXPORTER_STREAM_API_KEY_FILE": "\n"}
    assert config.load({}, variables).streams[0].api_key_file is None


def test_a_block_text_of_a_file_may_end_with_one(tmp_path: Path) -> None:
    """`url: |` keeps the line end, and templates of configuration files use it."""
    file = tmp_path / "iris.yaml"
    file.write_text(f"stream:\n  url: |\n    {URL}\n  headers:\n    X-Tenant: |\n      eu\n")
    (stream,) = config.load({"config.file": str(file)}, {}).streams
    assert (stream.url, dict(stream.headers)) == (URL, {"X-Tenant": "eu"})


def test_a_line_end_within_a_value_is_still_refused() -> None:
    """It would be two values, or a header of somebody else's."""
    with pytest.raises(ConfigError):
        config.load({}, {"IRIS_EXPORTER_STREAM_URL": "http://a/\nb"})


@pytest.mark.parametrize("variable", ["IRIS_EXPORTER_CONFIG_CHECK", "IRIS_EXPORTER_LOG_LEVEL"])
def test_what_is_read_before_the_options_are_read(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check of the configuration stays a check."""
    monkeypatch.setenv("IRIS_EXPORTER_CONFIG_CHECK", "true")
    monkeypatch.setenv("IRIS_EXPORTER_STREAM_URL", f"{URL}\n")
    monkeypatch.setenv(variable, "true\n" if variable.endswith("CHECK") else "debug\n")
    assert cli.main([]) == 0
    assert "configuration is valid" in capsys.readouterr().out


@each_end
def test_variables_of_others_may_end_with_one(end: str) -> None:
    """Proxies and OpenTelemetry."""
    assert proxy_for("http://a/", {"http_proxy": f"http://p:3128{end}"}) == Proxy("http://p:3128", "http://p:3128")
    assert proxy_for("http://a/", {"http_proxy": "http://p:3128", "no_proxy": f"a{end}"}) is None
    assert proxy_for_grpc("https://a/", {"grpc_proxy": f"http://p:3128{end}"}) == Proxy(
        "http://p:3128", "http://p:3128"
    )
    plain = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "name",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100",
    }
    assert read_otel({name: text + end for name, text in plain.items()}) == read_otel(plain)
