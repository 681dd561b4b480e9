"""The file that `iris-exporter config example` prints."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from iris_exporter import cli, config
from iris_exporter.config import OPTIONS
from iris_exporter.config.example import EXAMPLE_URL, example
from iris_exporter.settings import Settings

IN_FILE = {option.key: option for option in OPTIONS if option.in_file}
_OPTION = re.compile(r"^( *)#([a-z-]+:.*)$", re.MULTILINE)


def uncommented() -> str:
    """The file with every option in force, up to what it says of several streams."""
    return _OPTION.sub(r"\1\2", example().partition("\n# Several streams")[0])


def keys(table: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= keys(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def settings(text: str, tmp_path: Path) -> Settings:
    file = tmp_path / "iris-exporter.yaml"
    file.write_text(text)
    return dataclasses.replace(config.load({"config.file": str(file)}, {}), config_file=None, config_mark=None)


def test_it_can_be_used_and_has_nothing_but_defaults(tmp_path: Path) -> None:
    assert settings(example(), tmp_path) == config.load({"stream.url": EXAMPLE_URL}, {})


def test_it_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "example"]) == 0
    file = tmp_path / "iris-exporter.yaml"
    file.write_text(capsys.readouterr().out)
    assert cli.main(["--config.check", f"--config.file={file}"]) == 0
    assert capsys.readouterr().out == "configuration is valid: 1 stream (default)\n"


def test_every_option_is_in_it_once_with_its_default() -> None:
    text = uncommented()
    # Base: every value is a text, as the program reads it.
    found = keys(yaml.load(text, yaml.BaseLoader))
    assert found.keys() == IN_FILE.keys()
    for key, option in IN_FILE.items():
        shown = EXAMPLE_URL if key == "stream.url" else option.default or option.type.metavar
        assert found[key] == ([shown] if option.type.many else shown)
    assert len(_OPTION.findall(example().partition("\n# Several streams")[0])) == len(
        IN_FILE
    )  # without stream.url, with `config:`


def test_the_defaults_that_it_shows_can_be_put_in_force(tmp_path: Path) -> None:
    """What is not set has no value that could be used, so those lines stay comments."""
    lines = []
    for line in uncommented().splitlines():
        value = line.partition(": ")[2]
        unset = {option.type.metavar for option in OPTIONS if option.default is None}
        lines.append(f"# {line}" if value.strip('[]"') in unset or line == "  config:" else line)
    assert settings("\n".join(lines), tmp_path) == config.load({"stream.url": EXAMPLE_URL}, {})


def test_it_has_the_help_of_every_option_and_says_what_is_no_key() -> None:
    words = " ".join(line.lstrip(" #") for line in example().splitlines())
    assert [option.key for option in IN_FILE.values() if option.help[1:] not in words] == []
    assert all(option.flag in words for option in OPTIONS if not option.in_file)


def test_the_streams_that_it_shows_can_be_used(tmp_path: Path) -> None:
    several = _OPTION.sub(r"\2", example().partition("\n#streams:")[2].partition("\n# What streams of JSON")[0])
    loaded = settings("streams:" + re.sub(r"^#", "", several, flags=re.MULTILINE), tmp_path)
    assert [stream.name for stream in loaded.streams] == ["one", "two"]
    assert {stream.poll_interval_seconds for stream in loaded.streams} == {60.0}
