"""Samples that can be given away."""

import json
from pathlib import Path

import pytest

from iris_exporter.errors import UsageError
from iris_exporter.trial.saving import Disguise, save
from iris_exporter.trial.testing import read_arrivals, try_arrivals
from tests.mapping import samples

SECRETS = {
    "home-assistant": [b"kitchen", b"Kitchen", b"21.5"],
    "wikimedia": [b"xx.wiki.example", b"22222222-0000"],
    "mastodon-websocket": [b"a@b.example", b"100000000000000001"],
    "socketio": [b"a, b", b"1.5"],
}


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_disguised_sample_comes_to_the_same_messages(name: str, tmp_path: Path) -> None:
    """By kind, filtered and duplicates: what the mapping compares stays, and ids still repeat."""
    sample = samples.load(name)
    arrivals = read_arrivals(sample.mapping, sample.content).arrivals
    content = save(tmp_path / "new", sample.mapping, arrivals).read_bytes()
    again = try_arrivals(sample.mapping, read_arrivals(sample.mapping, content), samples.NOW)
    assert again.messages == sample.summary["messages"]
    assert again.duplicates == sample.summary["duplicates"]
    for secret in SECRETS.get(name, []):
        assert secret in sample.content
        assert secret not in content


def test_nothing_is_replaced_by_itself() -> None:
    """A digit or a letter alone would be, one time in ten."""
    mapping = samples.mapping_of("ntfy")
    for salt in range(200):
        replaced = json.loads(Disguise(mapping, salt.to_bytes()).text(b'{"a":"x","b":7,"c":1.5,"d":"4","e":"-"}'))
        assert replaced["a"] != "x"
        assert replaced["b"] != 7
        assert replaced["c"] != 1.5
        assert replaced["d"] != "4"
        assert replaced["e"] == "-"


def test_the_same_text_always_becomes_the_same_and_no_other_run_the_same() -> None:
    mapping = samples.mapping_of("ntfy")
    one, other = Disguise(mapping, b"a"), Disguise(mapping, b"b")
    text = (
        b'{"id":"abc","topic":"abc","n":[17,17,-0.5],"time":1759999990,"at":"2025-10-09T08:53:19Z","on":true,"x":null}'
    )
    first = json.loads(one.text(text))
    assert first["id"] == first["topic"] != "abc"
    assert first["n"][0] == first["n"][1]
    assert (first["time"], first["on"], first["x"]) == (1759999990, True, None)
    assert first["at"] == "2025-10-09T08:53:19Z"
    assert {type(value) for value in first["n"]} == {int, float}
    assert json.loads(other.text(text))["id"] != first["id"]


def test_of_a_packet_only_the_digits_stay() -> None:
    """And the namespace; whatever else stands behind them is of the source."""
    disguise = Disguise(samples.mapping_of("socketio"))
    assert disguise.text(b"2") == b"2"
    assert disguise.text(b"2secret").startswith(b"2")
    assert b"secret" not in disguise.text(b"2secret")
    message = disguise.text(b'42/admin,7["secret",{"a":"secret"}]')
    assert message.startswith(b"42/admin,7[")
    assert b"secret" not in message


def test_a_message_that_is_too_deep_becomes_letters() -> None:
    text = b'{"a":' * 900 + b'"secret"' + b"}" * 900
    assert b"secret" not in Disguise(samples.mapping_of("ntfy")).text(text)


def test_what_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        save(tmp_path / "file", samples.mapping_of("ntfy"), ())
