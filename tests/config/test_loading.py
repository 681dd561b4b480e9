"""Reading the configuration: spellings, precedence, every mistake at once, dump and reload."""

import dataclasses
import os
import re
import socket
import subprocess
import sys
import typing
from operator import attrgetter
from pathlib import Path

import pytest

from iris_exporter import config, logs
from iris_exporter.commands.checks import FILE_CHECKS
from iris_exporter.config.loading import _SERVICE_VARIABLE
from iris_exporter.config.options import BY_KEY, GROUPS, STREAM_OPTIONS
from iris_exporter.core.redaction import Redactor
from iris_exporter.errors import ConfigError
from iris_exporter.mapping import spec
from iris_exporter.settings import Settings, StreamSettings
from tests.settings import stream_settings
from tests.web.config.certificates import Authority

DATA = Path(__file__).parents[1] / "data" / "config"
ROOT = Path(__file__).parents[2]
URL = "http://one.example.com/api/stream/overview"


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_redactor", Redactor())


def load_checked(flags: dict[str, object]) -> Settings:
    return config.load(flags, {}, FILE_CHECKS)


def load_text(tmp_path: Path, text: str, flags: dict[str, object] | None = None, **environment: str) -> Settings:
    file = tmp_path / "iris.yaml"
    file.write_text(text)
    return config.load({**(flags or {}), "config.file": str(file)}, environment)


def problems(error: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    return str(error.value).splitlines()


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.bad.yaml")))
def test_a_bad_file_gives_exactly_these_errors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    with pytest.raises(ConfigError) as error:
        load_checked({"config.file": name})
    if os.environ.get("UPDATE_EXPECTED"):
        Path(name).with_suffix(".txt").write_text(f"{error.value}\n")
    assert str(error.value) + "\n" == Path(name).with_suffix(".txt").read_text()
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.good.yaml")))
def test_a_good_file_gives_these_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    text = config.dump(config.load({"config.file": name}, {}))
    if os.environ.get("UPDATE_EXPECTED"):
        Path(name).with_suffix(".txt").write_text(text)
    assert text == Path(name).with_suffix(".txt").read_text()
    assert "s3cr3t" not in text


@pytest.mark.parametrize("name", ["streams", "minimal", "anchors", "single-with-defaults"])
def test_a_dump_can_be_loaded_and_means_the_same(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(DATA)
    first = config.load({"config.file": f"{name}.good.yaml"}, {})
    dumped = tmp_path / "dump.yaml"
    # Relative paths start from the file's directory.
    dumped.write_text(
        config.dump(first).replace("file: a.key", f"file: {DATA}/a.key").replace("file: web", f"file: {DATA}/web")
    )
    second = config.load({"config.file": str(dumped)}, {})
    for one, two in zip(first.streams, second.streams, strict=True):
        secret = "api_key" in one.url
        assert [name for name, _ in one.headers] == [name for name, _ in two.headers]
        before, after = (
            dataclasses.replace(each, api_key_file=None, headers=(), url="" if secret else each.url)
            for each in (one, two)
        )
        assert before == after
    assert first.web.listen_addresses == second.web.listen_addresses
    assert first.log_level == second.log_level


@pytest.mark.parametrize("name", ["single", "several"])
def test_the_examples_are_valid(name: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "examples" / f"{name}.yaml").read_text()
    for key in ("iris-api-key", "iris-staging-api-key"):
        (tmp_path / key).write_text("0123456789\n")
    assert load_text(tmp_path, text.replace("/run/secrets", str(tmp_path))).streams


VALUES = {
    "config.file": ("minimal.good.yaml", Path("minimal.good.yaml")),
    "config.watch": ("true", True),
    "config.check": ("true", True),
    "mapping-files": ("mappings.yml", ("mappings.yml",)),
    "stream.name": ("x", "x"),
    "stream.url": (URL, URL),
    "stream.protocol": ("sse", "sse"),
    "stream.mapping": ("wikimedia", "wikimedia"),
    "stream.encoding": ("protobuf", "protobuf"),
    "stream.channels": ("events", ("events",)),
    "stream.fields": ("off", "off"),
    "stream.delta": ("off", "off"),
    "stream.batch": ("50ms", 0.05),
    "stream.debounce": ("off", 0.0),
    "stream.compression": ("off", "off"),
    "stream.snapshot-url": (URL, URL),
    "stream.api-key-file": ("a.key", Path("a.key")),
    "stream.headers": ("X-Tenant: a", (("X-Tenant", "a"),)),
    "stream.headers-file": ("headers.txt", Path("headers.txt")),
    "stream.tls-ca-file": ("authority.pem", Path("authority.pem")),
    "stream.tls-cert-file": ("pair.pem", Path("pair.pem")),
    "stream.tls-key-file": ("pair.pem", Path("pair.pem")),
    "stream.tls-server-name": ("iris.internal", "iris.internal"),
    "stream.tls-insecure-skip-verify": ("true", True),
    "stream.proxy": ("none", "none"),
    "stream.connect-timeout": ("5s", 5.0),
    "stream.reconnect-initial": ("500ms", 0.5),
    "stream.reconnect-max": ("1m30s", 90.0),
    "stream.reconnect-jitter": ("0.5", 0.5),
    "stream.reconnect-attempts": ("3", 3),
    "stream.stable-after": ("0", 0.0),
    "stream.live-retry-interval": ("1h", 3600.0),
    "stream.heartbeat-interval": ("1s", 1.0),
    "stream.heartbeat-timeout": ("90s", 90.0),
    "stream.poll-interval": ("2s", 2.0),
    "stream.stale-after": ("1d", 86400.0),
    "stream.max-message-bytes": ("100KiB", 102400),
    "stream.max-body-bytes": ("8MiB", 8 << 20),
    "stream.max-event-bytes": ("1KiB", 1024),
    "stream.max-json-depth": ("5", 5),
    "stream.max-events": ("50", 50),
    "stream.max-event-ids": ("500", 500),
    "stream.max-projects": ("12", 12),
    "stream.max-anomalies": ("13", 13),
    "stream.max-event-series": ("14", 14),
    "stream.max-label-values": ("16", 16),
    "stream.max-label-length": ("64", 64),
    "stream.max-connections-per-hour": ("0", 0),
    "web.listen-address": ("127.0.0.1:0", ("127.0.0.1:0",)),
    "web.telemetry-path": ("/m/x", "/m/x"),
    "web.external-url": ("https://p.test/iris/", "https://p.test/iris/"),
    "web.route-prefix": ("/a/b/", "/a/b"),
    "web.grafana-url": ("https://g.test/team/", "https://g.test/team/"),
    "web.runbook-base-url": ("https://w.test/runbooks", "https://w.test/runbooks"),
    "web.config.file": ("web.yml", Path("web.yml")),
    "web.max-requests": ("0", 0),
    "web.max-connections": ("7", 7),
    "web.enable-control": ("never", "never"),
    "web.disable-exporter-metrics": ("true", True),
    "log.level": ("debug", "debug"),
    "log.format": ("json", "json"),
    "state.dir": ("state", Path("state")),
    "state.commit": ("10s", 10.0),
    "shard": ("3", 3),
    "total-shards": ("8", 8),
    "leader-election": ("true", True),
    "fleet.lease-name": ("iris", "iris"),
    "fleet.lease-namespace": ("ops", "ops"),
    "fleet.lease-duration": ("30s", 30.0),
    "fleet.kubernetes-url": ("https://k8s:6443", "https://k8s:6443"),
    "fleet.kubernetes-token-file": ("a.key", Path("a.key")),
    "fleet.kubernetes-ca-file": ("authority.pem", Path("authority.pem")),
    "discovery.files": ("streams/*.yaml", ("streams/*.yaml",)),
    "discovery.files-interval": ("1s", 1.0),
    "discovery.http-url": ("http://h/sd", "http://h/sd"),
    "discovery.http-interval": ("1m", 60.0),
    "discovery.http-api-key-file": ("a.key", Path("a.key")),
    "discovery.http-headers": ("X-Tenant: a", (("X-Tenant", "a"),)),
    "discovery.http-headers-file": ("headers.txt", Path("headers.txt")),
    "discovery.http-tls-ca-file": ("authority.pem", Path("authority.pem")),
    "discovery.http-tls-cert-file": ("pair.pem", Path("pair.pem")),
    "discovery.http-tls-key-file": ("pair.pem", Path("pair.pem")),
    "discovery.http-tls-server-name": ("h.internal", "h.internal"),
    "discovery.http-tls-insecure-skip-verify": ("true", True),
    "discovery.http-proxy": ("none", "none"),
    "discovery.kubernetes": ("services", "services"),
    "discovery.namespace": ("ops", "ops"),
    "discovery.secrets-dir": ("secrets", Path("secrets")),
    "live.url": ("https://grafana:3000", "https://grafana:3000"),
    "live.token-file": ("a.key", Path("a.key")),
    "live.headers": ("X-Tenant: a", (("X-Tenant", "a"),)),
    "live.headers-file": ("headers.txt", Path("headers.txt")),
    "live.tls-ca-file": ("authority.pem", Path("authority.pem")),
    "live.tls-cert-file": ("pair.pem", Path("pair.pem")),
    "live.tls-key-file": ("pair.pem", Path("pair.pem")),
    "live.tls-server-name": ("h.internal", "h.internal"),
    "live.tls-insecure-skip-verify": ("true", True),
    "live.proxy": ("none", "none"),
    "live.channel": ("ops", "ops"),
    "live.interval": ("1s", 1.0),
}

OF_MAPPINGS = ["stream.parameters", "stream.secrets"]
"""What needs a mapping that has such names: see test_mappings."""

NEEDS = {
    "config.watch": "config.file",
    "stream.tls-key-file": "stream.tls-cert-file",
    "discovery.http-tls-key-file": "discovery.http-tls-cert-file",
    "live.tls-key-file": "live.tls-cert-file",
    "shard": "total-shards",
    "fleet.kubernetes-token-file": "fleet.kubernetes-url",
    "fleet.kubernetes-ca-file": "fleet.kubernetes-url",
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the values above name, in the current directory."""
    for name in ("a.key", "web.yml", "minimal.good.yaml"):
        (tmp_path / name).write_text((DATA / name).read_text())
    (tmp_path / "headers.txt").write_text("X-Tenant: a\n")
    (tmp_path / "mappings.yml").write_text("mappings: {}\n")
    authority = Authority()
    (tmp_path / "authority.pem").write_text(authority.pem)
    authority.issue(tmp_path / "pair.pem", tmp_path / "own.pem")
    with (tmp_path / "pair.pem").open("a") as pair:
        pair.write((tmp_path / "own.pem").read_text())
    monkeypatch.chdir(tmp_path)


def value_of(settings: Settings, key: str) -> object:
    owner = settings.streams[0] if BY_KEY[key].group == "stream" else settings
    return attrgetter(BY_KEY[key].path)(owner)


def test_the_table_above_covers_every_option() -> None:
    assert list(VALUES) == [option.key for option in config.OPTIONS if option.key not in OF_MAPPINGS]


@pytest.mark.parametrize("key", VALUES)
@pytest.mark.usefixtures("files")
def test_each_option_is_a_flag_and_a_variable(key: str) -> None:
    text, value = VALUES[key]
    base: dict[str, object] = {} if key == "stream.url" or key == "config.file" else {"stream.url": URL}
    if needed := NEEDS.get(key):
        base[needed] = VALUES[needed][0]
    assert value_of(config.load({**base, key: text}, {}), key) == value
    assert value_of(config.load(base, {BY_KEY[key].variable: text}), key) == value


@pytest.mark.parametrize("key", [key for key in VALUES if BY_KEY[key].in_file])
@pytest.mark.usefixtures("files")
def test_each_option_is_a_key_and_flag_beats_variable_beats_file(key: str) -> None:
    text, value = VALUES[key]
    *path, last = key.split(".")
    lines = [f"{'  ' * depth}{part}:" for depth, part in enumerate(path)] + [f"{'  ' * len(path)}{last}: '{text}'"]
    if needed := NEEDS.get(key):
        lines.append(f"{'  ' * len(path)}{needed.rpartition('.')[2]}: {VALUES[needed][0]}")
    if key != "stream.url":
        lines += [f"  url: {URL}"] if path == ["stream"] else ["stream:", f"  url: {URL}"]
    Path("iris.yaml").write_text("\n".join(lines))
    flags: dict[str, object] = {"config.file": "iris.yaml"}
    wrong = {BY_KEY[key].variable: "\x01"}
    assert value_of(config.load(flags, {}), key) == value
    with pytest.raises(ConfigError, match=re.escape(f"{BY_KEY[key].variable}: {key}: got ")):
        config.load(flags, wrong)
    assert value_of(config.load({**flags, key: text}, wrong), key) == value


def test_defaults_need_only_the_address_and_have_the_documented_values() -> None:
    settings = config.load({"stream.url": URL}, {})
    assert settings.streams == (stream_settings(url=URL),)
    stream = settings.streams[0]
    assert (stream.name, stream.protocol, stream.snapshot_url, stream.api_key_file) == ("default", "auto", None, None)
    assert (stream.reconnect_initial_seconds, stream.reconnect_max_seconds, stream.reconnect_jitter) == (3, 60, 0.2)
    assert (stream.reconnect_attempts, stream.heartbeat_interval_seconds, stream.heartbeat_timeout_seconds) == (
        10,
        30,
        60,
    )
    assert (stream.poll_interval_seconds, stream.stale_after_seconds, stream.max_message_bytes) == (30, 300, 1 << 20)
    assert (stream.connect_timeout_seconds, stream.stable_after_seconds) == (10, 30)
    assert stream.live_retry_interval_seconds == 300
    assert (settings.web.listen_addresses, settings.web.telemetry_path) == ((":14747",), "/metrics")
    assert (settings.web.max_requests, settings.web.disable_exporter_metrics, settings.web.config_file) == (
        40,
        False,
        None,
    )
    assert (settings.log_level, settings.log_format, settings.state_dir) == ("info", "logfmt", None)


def test_every_field_has_an_option_and_the_type_it_declares() -> None:
    stream = stream_settings()
    hints = typing.get_type_hints(StreamSettings, localns={"spec": spec})
    assert hints.pop("mapped") == spec.Mapping | None, "found by the option mapping"
    assert {option.path for option in STREAM_OPTIONS.values()} == set(hints)
    for name, hint in hints.items():
        assert isinstance(getattr(stream, name), tuple if typing.get_origin(hint) is tuple else hint), name


def test_discovery_needs_no_stream_and_takes_the_defaults(tmp_path: Path) -> None:
    settings = load_text(tmp_path, "streams_files: [a/*.yaml, b.json]\ndefaults: {poll-interval: 7s}\n")
    assert settings.streams == ()
    assert settings.discovery.files == (str(tmp_path / "a/*.yaml"), str(tmp_path / "b.json"))
    assert settings.discovery.defaults.poll_interval_seconds == 7.0
    assert settings.discovery.is_on


def test_the_ordinal_of_a_shard_is_that_of_its_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "iris-exporter-2")
    flags = {"stream.url": URL, "shard": "auto", "total-shards": "3"}
    assert config.load(flags, {}).fleet.shard == 2
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    with pytest.raises(ConfigError, match="a host name that ends in a number"):
        config.load(flags, {})
    with pytest.raises(ConfigError, match="an ordinal below --total-shards, which is 3"):
        config.load({**flags, "shard": "3"}, {})


def test_stream_settings_take_changes_and_refuse_unknown_ones() -> None:
    assert stream_settings(name="a", stale_after_seconds=0.1).stale_after_seconds == 0.1
    with pytest.raises(TypeError):
        stream_settings(nmae="a")


def test_nothing_at_all_says_how_to_give_a_stream() -> None:
    with pytest.raises(ConfigError) as error:
        config.load({}, {})
    assert problems(error) == [
        (
            "command line: stream.url: got nothing, expected the address of a source: --stream.url, "
            "IRIS_EXPORTER_STREAM_URL, or streams: in the file of --config.file"
        )
    ]


def test_all_problems_of_flags_variables_and_file_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_text(
            tmp_path, "web: {max-requests: x}\nstream: {poll-interval: 1, url: http://a}\n", {"log.level": "loud"},
            IRIS_EXPORTER_STREM_URL="s3cr3t", IRIS_EXPORTER_STREAM_PROTOCOL="x", OTHER="y",
        )  # fmt: skip
    file = tmp_path / "iris.yaml"
    duration = "a duration with a unit (500ms, 3s, 1m30s) between 1ms and 1d"
    assert sorted(problems(error)) == sorted(
        [
            (
                "IRIS_EXPORTER_STREM_URL: (environment): got an unknown variable, expected the variable of an option "
                "(did you mean IRIS_EXPORTER_STREAM_URL?)"
            ),
            "--log.level: log.level: got 'loud', expected one of debug, info, warn, error",
            "IRIS_EXPORTER_STREAM_PROTOCOL: stream.protocol: got 'x', expected one of auto, websocket, sse, poll, graphql, ndjson",  # noqa: E501
            f"{file}:1: web.max-requests: got 'x', expected a whole number between 0 and 100000",
            f"{file}:2: stream.poll-interval: got '1', expected {duration}",
        ]
    )


@pytest.mark.parametrize("name", ["IRIS_EXPORTER_FOO", "IRIS_EXPORTER_STREAM_XYZZY"])
def test_a_variable_that_is_near_to_none_gets_no_suggestion(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.load({"stream.url": URL}, {name: "s3cr3t"})
    assert problems(error) == [f"{name}: (environment): got an unknown variable, expected the variable of an option"]


def test_an_empty_variable_is_not_given() -> None:
    assert config.load({"stream.url": URL}, {"IRIS_EXPORTER_LOG_LEVEL": ""}).log_level == "info"


def test_an_empty_flag_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"--stream\.url: stream\.url: got ''"):
        config.load({"stream.url": ""}, {})


@pytest.mark.parametrize(
    "suffix",
    ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_14747_TCP", "PORT_14747_TCP_ADDR",
     "EU_SERVICE_HOST", "EU_PORT_14747_TCP_PROTO"],
)  # fmt: skip
def test_variables_of_a_kubernetes_service_with_our_name_are_ignored(suffix: str) -> None:
    assert config.load({"stream.url": URL}, {f"IRIS_EXPORTER_{suffix}": "tcp://10.0.0.1:14747"}).streams


def test_no_option_looks_like_a_variable_of_kubernetes() -> None:
    assert not [option.variable for option in config.OPTIONS if _SERVICE_VARIABLE.fullmatch(option.variable)]


def test_several_addresses_as_flags_variable_and_list(tmp_path: Path) -> None:
    wanted = ("127.0.0.1:1", "[::1]:2")
    assert config.load({"stream.url": URL, "web.listen-address": list(wanted)}, {}).web.listen_addresses == wanted
    variable = {"IRIS_EXPORTER_WEB_LISTEN_ADDRESS": "127.0.0.1:1, [::1]:2"}
    assert config.load({"stream.url": URL}, variable).web.listen_addresses == wanted
    text = f"stream: {{url: '{URL}'}}\nweb: {{listen-address: ['127.0.0.1:1', '[::1]:2']}}\n"
    assert load_text(tmp_path, text).web.listen_addresses == wanted


def test_several_headers_as_flags_variable_list_and_mapping(tmp_path: Path) -> None:
    wanted = (("X-Tenant", "a, b"), ("X-Count", "007"))
    texts = [f"{name}: {value}" for name, value in wanted]
    assert config.load({"stream.url": URL, "stream.headers": texts}, {}).streams[0].headers == wanted
    variable = {"IRIS_EXPORTER_STREAM_HEADERS": "\n".join(texts) + "\n"}
    assert config.load({"stream.url": URL}, variable).streams[0].headers == wanted
    for headers in ("['X-Tenant: a, b', 'X-Count: 007']", "{X-Tenant: 'a, b', X-Count: 007}"):
        assert load_text(tmp_path, f"stream: {{url: '{URL}', headers: {headers}}}\n").streams[0].headers == wanted


def test_values_of_headers_and_queries_are_in_no_dump_no_repr_and_no_log(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("X-Other: s3cr3t-other\n")
    text = f"stream: {{url: '{URL}?api_key=s3cr3t%2Bquery/1', headers: {{X-A: s3cr3t-value}}, headers-file: {file}}}\n"
    settings = load_text(tmp_path, text)
    shown = config.dump(settings) + repr(settings) + str(settings)
    assert "s3cr3t" not in shown
    assert "X-A: redacted" in shown
    assert "s3cr3t" not in logs.redact("s3cr3t%2Bquery/1 s3cr3t+query/1 s3cr3t-value s3cr3t-other")


def test_a_private_key_has_to_fit_and_must_not_be_encrypted(tmp_path: Path) -> None:
    authority = Authority()
    for name, password in (("one", None), ("two", None), ("locked", b"word")):
        authority.issue(tmp_path / f"{name}.crt", tmp_path / f"{name}.key", password=password)
    good: dict[str, object] = {"stream.url": URL, "stream.tls-cert-file": f"{tmp_path}/one.crt"}
    load_checked({**good, "stream.tls-key-file": f"{tmp_path}/one.key"})
    for key in ("two", "locked"):
        with pytest.raises(ConfigError, match=r"stream\.tls-key-file: got .* expected the private key .*not encrypted"):
            load_checked({**good, "stream.tls-key-file": f"{tmp_path}/{key}.key"})
    with pytest.raises(ConfigError, match=r"stream\.tls-cert-file: got .* expected a certificate"):
        load_checked(good)


def test_flags_and_variables_of_one_stream_beside_a_list_name_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_text(
            tmp_path, f"streams: [{{url: '{URL}'}}]\n", {"stream.url": URL}, IRIS_EXPORTER_STREAM_POLL_INTERVAL="3s"
        )
    expected = f"because {tmp_path / 'iris.yaml'}:1 lists streams"
    assert [(line.split(":")[0], expected in line) for line in problems(error)] == [
        ("IRIS_EXPORTER_STREAM_POLL_INTERVAL", True),
        ("--stream.url", True),
    ]


def test_the_name_may_be_left_out_where_there_is_one_stream(tmp_path: Path) -> None:
    assert load_text(tmp_path, f"streams: [{{url: '{URL}'}}]\n").streams[0].name == "default"


def test_own_keys_beat_defaults_and_a_file_of_one_stream_has_them_too(tmp_path: Path) -> None:
    text = (
        "defaults: {poll-interval: 1m, stale-after: 9m}\nstreams:\n"
        "- {name: a, url: http://a, poll-interval: 2m}\n- {name: b, url: http://b}\n"
    )
    first, second = load_text(tmp_path, text).streams
    assert (first.poll_interval_seconds, first.stale_after_seconds) == (120, 540)
    assert (second.poll_interval_seconds, second.stale_after_seconds) == (60, 540)
    single = load_text(tmp_path, "defaults: {poll-interval: 1m}\n", {"stream.url": URL}).streams[0]
    assert single.poll_interval_seconds == 60


def test_a_missing_or_unreadable_file_is_one_problem(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as error:
            config.load({"config.file": str(path)}, {})
        (problem,) = problems(error)
        assert problem.startswith(f"--config.file: config.file: got '{str(path)[:40]}")  # a long path is cut
        assert problem.endswith(f"expected a readable file ({reason})")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x00", b"a: 'b", b"%YAML 9\n---\n", b"{" * 5000])
def test_what_is_no_text_or_no_yaml_is_one_problem(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        config.load({"config.file": str(file)}, {})
    assert len(problems(error)) == 1
    assert "got text that is no YAML" in str(error.value)


def test_aliases_of_aliases_take_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(ConfigError) as error:
        load_text(tmp_path, "\n".join(lines), {"stream.url": URL})
    assert len(problems(error)) == 30


def test_a_thousand_streams_are_fine(tmp_path: Path) -> None:
    text = "streams:\n" + "".join(f"- {{name: s{n}, url: 'http://h/{n}'}}\n" for n in range(1000))
    assert len(load_text(tmp_path, text).streams) == 1000


def test_one_mistake_in_defaults_is_reported_once(tmp_path: Path) -> None:
    text = "defaults: {heartbeat-interval: 2m}\nstreams:\n" + "".join(
        f"- {{name: s{n}, url: 'http://h/{n}'}}\n" for n in range(3)
    )
    with pytest.raises(ConfigError) as error:
        load_text(tmp_path, text)
    assert len(problems(error)) == 1


def test_relative_paths_start_from_the_file_or_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "key").write_text("abcdefgh")
    (tmp_path / "etc" / "iris.yaml").write_text(f"stream: {{url: '{URL}', api-key-file: key}}\n")
    monkeypatch.chdir(tmp_path)
    assert config.load({"config.file": "etc/iris.yaml"}, {}).streams[0].api_key_file == Path("etc/key")
    flags: dict[str, object] = {"stream.url": URL, "stream.api-key-file": "etc/key"}
    assert config.load(flags, {}).streams[0].api_key_file == Path("etc/key")


def test_options_that_a_reload_cannot_apply_are_named(tmp_path: Path) -> None:
    old = load_text(tmp_path, "streams: [{name: a, url: http://a}]\n")
    new = load_text(
        tmp_path,
        "streams: [{name: b, url: http://b, poll-interval: 1m}]\n"
        f"web: {{listen-address: ':1', config: {{file: {DATA}/web.yml}}}}\n"
        "log: {level: debug}\nstate: {dir: x}\n",
    )
    assert config.needs_restart(old, new) == ("web.listen-address", "web.config.file", "state.dir")
    assert config.needs_restart(new, new) == ()


def test_each_option_is_explained_and_its_default_is_valid() -> None:
    for option in config.OPTIONS:
        assert option.group in GROUPS
        assert option.help
        assert option.reason
        assert option.help[-1] not in ".;"
        if option.default is not None:
            value = option.type.read(option.default)
            assert option.type.read(option.type.write(value)) == value


def test_the_documentation_is_up_to_date() -> None:
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'scripts'), str(ROOT)]!r}; import generate_options as page; "
    code += "sys.stdout.write(page.render())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == (ROOT / "docs" / "configuration.md").read_text()
