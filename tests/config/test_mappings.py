"""Mappings in the configuration: how streams find them, what they need of a stream, and how a dump shows them."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from iris_exporter import config, logs
from iris_exporter.config import mappings, yaml_tree
from iris_exporter.core import urls
from iris_exporter.core.redaction import Redactor
from iris_exporter.errors import ConfigError
from iris_exporter.fleet.discovery.source import Entry, read_entry
from iris_exporter.mapping import presets
from iris_exporter.mapping.presets import load as load_preset
from iris_exporter.settings import Settings, StreamSettings

URL = "wss://source.example/feed"
ROOMS = """\
mappings:
  rooms:
    namespace: rooms
    headers: {X-Client: s3cr3t-client}
    open:
      - send: {op: login, token: "${secret.token}", key: "${param.api-key}", password: s3cr3t-inline}
      - send: {op: subscribe, station: "${param.station}"}
    messages:
      - kind: reading
        when: {$.code: "007", $.n: 7, $.live: true}
        metrics:
          - {name: temperature_celsius, type: gauge, help: Temperature., value: $.t, labels: {room: $.room}}
"""
STREAM = """\
streams:
  - name: house
    url: wss://source.example/feed
    mapping: rooms
    parameters: {station: 7, api-key: s3cr3t-parameter}
    secrets: {token: token}
"""


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_redactor", Redactor())


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t-token\n")


def load(tmp_path: Path, text: str, **flags: object) -> Settings:
    file = tmp_path / "iris.yaml"
    file.write_text(text)
    return config.load({key.replace("_", "."): value for key, value in flags.items()} | {"config.file": str(file)}, {})


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert "s3cr3t" not in str(error.value)
    return [line.replace(str(tmp_path), "") for line in str(error.value).splitlines()]


def test_a_stream_has_the_mapping_of_the_name_that_it_gives(tmp_path: Path) -> None:
    text = ROOMS + STREAM
    loaded = load(tmp_path, text)
    (stream,) = loaded.streams
    assert stream.mapped is loaded.mappings["rooms"] is loaded.discovery.mappings["rooms"]
    assert stream.mapped is not None
    assert [metric.name for metric in stream.mapped.metrics] == ["rooms_temperature_celsius"]
    assert stream.parameters == (("station", "7"), ("api-key", "s3cr3t-parameter"))
    assert stream.secrets == (("token", tmp_path / "token"),)
    assert logs.redact("s3cr3t-token and s3cr3t-parameter") == "<redacted> and <redacted>"


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_needs_no_file(name: str, tmp_path: Path) -> None:
    needed = load_preset(name)
    parameters = [f"{each}: x" for each in needed.parameters]
    given: dict[str, Any] = {"stream.url": URL, "stream.mapping": name, "stream.parameters": parameters}
    if needed.needs_key:
        (tmp_path / "key").write_text("s3cr3t-key")
        given["stream.api-key-file"] = str(tmp_path / "key")
    (stream,) = config.load(given, {}).streams if not needed.secrets else (stream_of(needed.name, needed),)
    assert stream.mapped == needed


def stream_of(name: str, mapped: object) -> StreamSettings:
    """A preset whose secrets are files that this test does not have."""
    (stream,) = config.load({"stream.url": URL}, {}).streams
    return dataclasses.replace(stream, mapping=name, mapped=mapped)


def test_iris_is_the_default_and_reads_no_mapping() -> None:
    (stream,) = config.load({"stream.url": URL}, {}).streams
    assert (stream.mapping, stream.mapped) == ("iris", None)


def test_the_environment_gives_a_mapping_as_it_gives_any_option(tmp_path: Path) -> None:
    (tmp_path / "rooms.yaml").write_text(ROOMS)
    environment = {
        "IRIS_EXPORTER_STREAM_URL": URL,
        "IRIS_EXPORTER_STREAM_MAPPING": "rooms",
        "IRIS_EXPORTER_STREAM_PARAMETERS": "station: north: 7\napi-key: x\n",
        "IRIS_EXPORTER_STREAM_SECRETS": f"token: {tmp_path / 'token'}",
        "IRIS_EXPORTER_MAPPING_FILES": f"{tmp_path}/*.yaml",
    }
    (stream,) = config.load({}, environment).streams
    assert stream.parameters == (("station", "north: 7"), ("api-key", "x"))
    assert stream.mapped is not None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("mapping: rooms", "mapping: room"), "a name below mappings:, or a preset (did you mean rooms?)"),
        (("mapping: rooms", "mapping: wikimedai"), "(did you mean wikimedia?)"),
        (("station: 7, ", ""), "streams[0].parameters: got 'api-key: ...', expected parameters with station beside"),
        (
            ("    parameters: {station: 7, api-key: s3cr3t-parameter}\n", ""),
            "streams[0].mapping: got 'rooms', expected pa",
        ),
        (("station: 7", "station: 7, statoin: 8"), "statoin: it has none such) (did you mean station?)"),
        (("secrets: {token: token}", "secrets: {token: nowhere}"), "expected a readable file with the secret"),
        (("secrets: {token: token}", "secrets: [token]"), "there is no colon after the name"),
        (("mapping: rooms\n", "mapping: rooms\n    protocol: graphql\n"), "because graphql is that of IRIS"),
        (
            ('"${param.station}"', '"${secret}"'),
            "iris.yaml:16: streams[0].mapping: got 'rooms', expected api-key-file beside the mapping rooms, which has",
        ),
        (('"${param.station}"', '"${secret.tokne}"'), "secrets with tokne beside the mapping rooms"),
        (('"${param.station}"', '"${secrte}"'), "did you mean secret?"),
        (("mapping: rooms", "mapping: iris"), "none without a mapping"),
        (("value: $.t", "value: $.t, labels: 7"), "iris.yaml:"),
        (("mappings:\n", "mappings: [\n]\nx:\n"), "mappings by their names"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_what_would(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    text = (ROOMS + STREAM).replace(
        'station: "${param.station}"', 'station: "${param.station}", key: "${param.api-key}"'
    )
    assert change[0] in text
    found = refused(tmp_path, text.replace(*change))
    assert any(expected in line for line in found), found


def test_a_broken_mapping_is_reported_once_and_not_as_missing(tmp_path: Path) -> None:
    found = refused(tmp_path, (ROOMS + STREAM).replace("type: gauge", "type: guage"))
    assert [line for line in found if "mapping:" in line] == []
    assert len([line for line in found if "guage" in line]) == 1


def test_several_files_have_mappings_each_name_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ROOMS)
    text = f"mapping-files: ['{tmp_path}/a*.yaml']\nstream: {{url: {URL}}}\n"
    assert list(load(tmp_path, text).mappings) == ["rooms"]
    (tmp_path / "ab.yaml").write_text(ROOMS)
    assert any("the mapping a second time" in line for line in refused(tmp_path, text))
    (tmp_path / "ab.yaml").write_text("streams: []\n")
    assert any("an unknown key" in line for line in refused(tmp_path, text))
    assert any("a file that is there" in line for line in refused(tmp_path, text.replace("a*", "nowhere")))


@pytest.mark.parametrize(
    ("change", "what"),
    [(("type: gauge", "type: histogram, buckets: [1]"), "type"), (("help: Temperature.", "help: T."), "help"),
     (("{room: $.room}", "{place: $.room}"), "labels")],
)  # fmt: skip
def test_a_name_of_a_metric_means_one_thing(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    _, _, rooms = ROOMS.partition("\n")
    twice = ROOMS + rooms.replace("  rooms:", "  others:")
    assert len(load(tmp_path, twice + f"stream: {{url: {URL}}}\n").mappings) == 2
    found = refused(
        tmp_path, ROOMS + rooms.replace("  rooms:", "  others:").replace(*change) + f"stream: {{url: {URL}}}\n"
    )
    said = f"rooms_temperature_celsius with the {what} that it has in the mapping rooms"
    line = twice[: twice.index("  others:")].count("\n") + 1
    assert any(said in each and f":{line}: mappings.others: " in each for each in found)


def test_a_dump_has_mappings_that_mean_the_same_and_no_secret(tmp_path: Path) -> None:
    text = ROOMS + STREAM
    loaded = load(tmp_path, text)
    dumped = config.dump(loaded)
    assert "s3cr3t" not in dumped
    assert "station: '7'" in dumped
    again = load(tmp_path, dumped)
    assert again.mappings["rooms"].metrics == loaded.mappings["rooms"].metrics
    assert again.mappings["rooms"].entries == loaded.mappings["rooms"].entries, "007 stays a text, 7 a number"
    assert config.dump(again) == dumped


def test_a_change_of_a_mapping_is_a_change_of_its_streams(tmp_path: Path) -> None:
    text = ROOMS + STREAM
    before, same = load(tmp_path, text), load(tmp_path, text)
    assert before.streams == same.streams
    assert before.mappings["rooms"] is same.mappings["rooms"], "compared in no time, however many streams have it"
    assert before.streams != load(tmp_path, text.replace("Temperature.", "Warmth.")).streams


def test_the_mark_changes_with_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ROOMS)
    text = f"mapping-files: ['{tmp_path}/a*.yaml']\nstream: {{url: {URL}}}\n"
    marks = [load(tmp_path, text).config_mark]
    (tmp_path / "a.yaml").write_text(ROOMS + "# more\n")
    marks.append(load(tmp_path, text).config_mark)
    (tmp_path / "ab.yaml").write_text("mappings: {}\n")
    marks.append(load(tmp_path, text).config_mark)
    assert len(set(marks)) == 3
    assert mappings.mark(None, [f"{tmp_path}/a*.yaml"]) is None


# Discovery


def entry(loaded: Settings, **options: object) -> StreamSettings:
    given = Entry.of({"name": "found", "url": URL, **options}, "there")
    return read_entry(given, loaded.discovery.defaults, loaded.discovery.mappings)


def test_a_discovered_stream_finds_mappings_as_a_configured_one(tmp_path: Path) -> None:
    loaded = load(tmp_path, ROOMS + f"stream: {{url: {URL}}}\n")
    found = entry(loaded, mapping="rooms", parameters="station: 7\napi-key: x", secrets=f"token: {tmp_path / 'token'}")
    assert found.mapped is loaded.mappings["rooms"]
    assert found.parameters == (("station", "7"), ("api-key", "x"))
    assert entry(loaded, mapping="ntfy").mapped == load_preset("ntfy")
    assert entry(loaded).mapped is None
    for options in ({"mapping": "room"}, {"mapping": "rooms"}, {"mapping": "home-assistant"}):
        with pytest.raises(ConfigError):
            entry(loaded, **options)


def test_defaults_name_the_mapping_of_discovered_streams(tmp_path: Path) -> None:
    text = "defaults: {mapping: ntfy}\nstreams_files: [nowhere.yaml]\n"
    assert entry(load(tmp_path, text)).mapped == load_preset("ntfy")


@pytest.mark.parametrize(("before", "after"), [("1", "true"), ("1", "1.0"), ("1", '"1"'), ("0", "false")])
def test_a_constant_of_another_type_is_another_mapping(before: str, after: str, tmp_path: Path) -> None:
    """Python takes them for equal: a reload would go on with the mapping from before."""
    found = [
        load(
            tmp_path,
            "stream: {name: a, url: wss://source.example/feed, mapping: m}\n"
            f"mappings: {{m: {{namespace: m, messages: [{{kind: a, when: {{$.a: {text}}}, role: ack}}]}}}}",
        )
        for text in (before, after, after)
    ]
    one, other, again = (settings.mappings["m"] for settings in found)
    assert one != other
    assert other is again
    [constant] = other.entries[0].when[0].equals or ()
    assert type(constant) is type(yaml.safe_load(after))


def test_a_dump_masks_what_is_sent_and_no_word_of_another_meaning() -> None:
    """Paths and labels may be called like secrets."""
    node = yaml_tree.from_json({"labels": {"kind": "token"}, "send": {"kind": "token", "n": 7}})
    assert mappings.plain_tree(node) == {"labels": {"kind": "token"}, "send": {"kind": urls.MASK, "n": 7}}


def test_no_two_presets_give_a_metric_two_meanings() -> None:
    assert list(mappings.conflicts(load_preset(name) for name in presets.names())) == []


def test_the_example_has_a_mapping_that_can_be_used(tmp_path: Path) -> None:
    from iris_exporter.config.example import example

    commented = example().partition("#mappings:")[2]
    text = "mappings:" + commented.replace("\n#", "\n") + f"stream: {{url: {URL}, mapping: parcels}}\n"
    assert [metric.name for metric in load(tmp_path, text).mappings["parcels"].metrics] == ["parcels_delivered_total"]
