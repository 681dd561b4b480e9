"""How faults are written, and which are on."""

import pytest

from iris_exporter.backend.faults import KINDS, Faults, describe_faults, parse_fault
from iris_exporter.errors import ConfigError


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("spec", "scope", "numbers", "text"),
    [
        ("drop=5", "stream", (5.0,), "5"),
        ("drop=0.5", "stream", (0.5,), "0.5"),
        ("stream:drop=5", "stream", (5.0,), "5"),
        ("silent", "stream", (), ""),
        ("silent=3", "stream", (3.0,), "3"),
        ("503", "stream", (), ""),
        ("rest:503", "rest", (), ""),
        ("all:429=7", "all", (7.0,), "7"),
        ("error=STREAM_UNAVAILABLE", "stream", (), "STREAM_UNAVAILABLE"),
        ("flap=10,5", "all", (10.0, 5.0), "10,5"),
        ("stream:flap=10,5", "stream", (10.0, 5.0), "10,5"),
        ("huge=2000000", "stream", (2_000_000.0,), "2000000"),
    ],
)
def test_a_fault_is_read(spec: str, scope: str, numbers: tuple[float, ...], text: str) -> None:
    fault = parse_fault(spec, 0.0)
    assert (fault.scope, fault.numbers, fault.text) == (scope, numbers, text)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "unknown",
        "drop",
        "drop=",
        "drop=x",
        "drop=-1",
        "drop=1e3",
        "drop=inf",
        "drop=1,2",
        "refuse=1",
        "all:drop=5",
        "rest:garbage",
        "some:503",
        ":503",
        "flap=5",
        "flap=0,5",
        "huge=10",
        "huge=99999999999",
        "error=lower",
        "error=A B",
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_its_text(spec: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_fault(spec, 0.0)
    assert repr(spec) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_fault_hits_its_scope_alone() -> None:
    faults = Faults(Time(), ["rest:503", "all:slow=1", "html"])
    assert faults.hits("503", "rest")
    assert not faults.hits("503", "stream")
    assert faults.hits("slow", "rest")
    assert faults.hits("slow", "stream")
    assert faults.hits("html", "stream")
    assert not faults.hits("html", "rest")


def test_flap_is_up_first_and_down_in_turn() -> None:
    time = Time()
    faults = Faults(time, ["flap=10,5"])
    seen = []
    for second in (0, 9.9, 10, 14.9, 15, 25):
        time.now = 100.0 + second
        seen.append(faults.flapped_away("rest"))
    assert seen == [False, False, True, True, False, True]


def test_what_is_on_can_be_sent_back() -> None:
    faults = Faults(Time(), ["rest:503", "drop=5", "flap=10,5"])
    again = Faults(Time())
    again.update(faults.active())
    assert again.active() == faults.active() == {"rest:503": "", "stream:drop": "5", "all:flap": "10,5"}


def test_values_from_json() -> None:
    faults = Faults(Time(), ["html"])
    faults.update({"drop": 1, "slow": 1.5, "503": True, "silent": None, "html": False})
    assert faults.active() == {
        "stream:drop": "1",
        "stream:slow": "1.5",
        "stream:503": "",
        "stream:silent": "",
    }
    faults.update({})
    assert faults.active() == {}


def test_one_wrong_fault_changes_nothing() -> None:
    faults = Faults(Time(), ["html"])
    with pytest.raises(ConfigError):
        faults.update({"html": False, "drop": 1, "nonsense": True})
    assert list(faults.active()) == ["stream:html"]


def test_setting_a_fault_again_replaces_it_and_its_time() -> None:
    time = Time()
    faults = Faults(time, ["drop=5"])
    time.now = 200.0
    faults.set("drop=9")
    fault = faults.get("drop")
    assert fault is not None
    assert (fault.seconds, fault.since) == (9.0, 200.0)
    faults.clear("drop")
    faults.clear("drop")
    assert faults.get("drop") is None


def test_the_list_names_every_fault() -> None:
    lines = describe_faults().splitlines()
    assert [line.split()[0] for line in lines] == [kind.usage for kind in KINDS.values()]
