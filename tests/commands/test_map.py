"""The command `iris-exporter map`."""

import json

import pytest
from jsonschema import Draft202012Validator

from iris_exporter import cli
from iris_exporter.mapping import presets


def test_presets_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(presets.names())
    assert all(len(line) < 140 and line.split("  ")[-1] for line in lines)


def test_a_preset_is_shown_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--show", "ntfy"]) == 0
    assert capsys.readouterr().out == presets.text("ntfy")


def test_an_unknown_preset_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--show", "wikimedai"]) == 1
    assert "did you mean wikimedia?" in capsys.readouterr().err


def test_the_schema_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", "--schema"]) == 0
    Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("arguments", [[], ["--list", "--schema"], ["--show"]])
def test_one_thing_is_asked_at_a_time(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["map", *arguments]) == 2
    assert "see iris-exporter --help" in capsys.readouterr().err
