"""Single values: keys, URLs, addresses and paths, accepted, refused and shown."""

from pathlib import Path

import pytest

from iris_exporter import config, logs
from iris_exporter.config.option_types import read_key
from iris_exporter.config.options import BY_KEY
from iris_exporter.core import urls
from iris_exporter.core.redaction import Redactor
from iris_exporter.errors import ConfigError

URL = "http://one.example.com/api/stream/overview"


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_redactor", Redactor())


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"abcd", "abcd"),
        (b"abcd\n", "abcd"),
        (b"abcd\r\n", "abcd"),
        (b"~!x=", "~!x="),
        (b"abcd \n", "abcd"),
        (b"abcd\n\n", "abcd"),
        (b"\n\t abcd", "abcd"),
    ],
)
def test_an_api_key_has_no_line_end_and_is_hidden_from_the_log(content: bytes, key: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    assert BY_KEY["stream.api-key-file"].type.read(str(file)) == file
    assert read_key(file) == key
    assert key not in logs.redact(f"Bearer {key}")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b" \n", b"qz\ncd", b"q z", b"qz\x00", "schlüssel".encode(), b"x" * 9000]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        config.load({"stream.url": URL, "stream.api-key-file": str(file)}, {})
    line = str(error.value).replace(str(file), "FILE")
    assert line.startswith("--stream.api-key-file: stream.api-key-file: got 'FILE', expected a file with ")
    assert "\n" not in line
    assert "qz" not in line
    assert "xxx" not in line


def test_loading_hides_keys_and_secrets_of_urls_even_when_it_fails(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("the-key-itself")
    with pytest.raises(ConfigError):
        config.load(
            {"stream.url": "http://h/?access_token=to%2Bken", "stream.api-key-file": str(key), "stream.protocol": "x"},
            {},
        )
    assert logs.redact("the-key-itself to+ken to%2Bken") == "<redacted> <redacted> <redacted>"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/p", "http://h/p"),
        ("http://u:p@h:1/p?a=b", "http://redacted@h:1/p?a=b"),
        ("https://h/?api_key=x&b=1&Token=y&c", "https://h/?api_key=redacted&b=1&Token=redacted&c"),
        ("https://h/?a%70i-k%65y=x", "https://h/?a%70i-k%65y=redacted"),
        ("https://h/?sig=x;y#frag", "https://h/?sig=redacted#redacted"),
        ("u:p@h/p?token=x", "u:redacted@h/p?token=redacted"),
        ("http://[u:p@h/?token=x", "h/"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_what_could_be_secret(url: str, shown: str) -> None:
    assert urls.redact(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "HTTPS://h.example.com./",
        "ws://10.0.0.1:8080/ws",
        "wss://[::1]:1/x?y=z",
        "http://a_b-c/",
        "http://[fe80::1%25eth0]/",
    ],
)
def test_urls_that_are_accepted(url: str) -> None:
    assert config.load({"stream.url": url}, {}).streams[0].url == url


@pytest.mark.parametrize(
    "url",
    [
        "http:/h",
        "http:h",
        "h:1",
        "http://h:x/",
        "http://h /",
        "http://h\n/",
        "http://ü/",
        "http://a,b/",
        "file:///x",
        "http://@/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"stream\.url: got"):
        config.load({"stream.url": url}, {})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":14747", ("", 14747)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::]:1", ("::", 1)),
        ("iris-a.b:65535", ("iris-a.b", 65535)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert config.parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "1", "h", "h:", "h:65536", "::1:1", "[::1]", "h:1:2", "h:-1", "h: 1", "http://h:1", "h:٣"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        config.parse_address(text)


@pytest.mark.parametrize(
    "path", ["/", "metrics", "/a b", "/-/x", "/api/x", "/config", "/m?x", "//m", "/m#", "/ü", "/api", ""]
)
def test_telemetry_paths_that_are_taken_or_none(path: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.telemetry-path"):
        config.load({"stream.url": URL, "web.telemetry-path": path}, {})
