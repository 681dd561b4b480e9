"""A file with a key is read in several places: each of them takes and refuses the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from iris_exporter import config
from iris_exporter.backend.access import KeyFile
from iris_exporter.commands import grafana
from iris_exporter.config.option_types import read_key
from iris_exporter.core import keys
from iris_exporter.core.failures import TransportError
from iris_exporter.errors import ConfigError, UsageError
from iris_exporter.http.credentials import Credentials
from tests.settings import stream_settings

GOOD = [b"k3y", b"k3y\n", b"k3y\r\n", b"k3y \n", b"k3y\n\n", b" \tk3y", b"\nk3y\r\n\r\n", b"~!x=", b"x" * 8000 + b"\n"]
BAD = [
    b"",
    b"\n",
    b" \r\n",
    b"a b",
    b"a\nb",
    b"a\x00",
    "schlüssel".encode(),
    b"\xef\xbb\xbfk",
    b"x" * 8193,
    b"k" * 8190 + b"\n" * 9,
]


async def at_a_connection(file: Path) -> str:
    try:
        identity = await Credentials(stream_settings(api_key_file=file)).identity()
    except TransportError as error:
        return refused(str(error))
    return dict(identity.headers)["Authorization"].removeprefix("Bearer ")


def at_start(option: str) -> Callable[[Path], str]:
    def read(file: Path) -> str:
        others = {"fleet.kubernetes-url": "http://k"} if option.startswith("fleet") else {}
        try:
            config.load({"stream.url": "http://h/x", option: str(file), **others}, {})
        except ConfigError as error:
            return refused(str(error))
        return read_key(file)

    return read


def in_a_push(file: Path) -> str:
    try:
        return grafana.grafana_token(file)
    except UsageError as error:
        return refused(str(error))


def in_the_backend(file: Path) -> str:
    try:
        key = KeyFile(file)
    except ConfigError as error:
        return refused(str(error))
    return next(text for text in (content.strip().decode() for content in GOOD) if key.accepts(text))


def refused(text: str) -> str:
    assert "\n" not in text
    return "refused"


@pytest.mark.parametrize("content", [*GOOD, *BAD], ids=lambda content: repr(content)[:24])
async def test_every_reader_of_a_key_comes_to_the_same_answer(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    expected = content.strip().decode() if content in GOOD else "refused"
    assert await at_a_connection(file) == expected
    for option in ("stream.api-key-file", "live.token-file", "fleet.kubernetes-token-file"):
        assert at_start(option)(file) == expected
    assert in_a_push(file) == expected
    assert in_the_backend(file) == expected


@pytest.mark.parametrize("content", BAD, ids=lambda content: repr(content)[:24])
def test_why_a_key_is_refused_does_not_show_it(content: bytes) -> None:
    with pytest.raises(keys.BadKeyError) as error:
        keys.parse(content)
    assert "xxx" not in str(error.value)
    assert "schl" not in str(error.value)
