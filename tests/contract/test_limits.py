"""The page of limits: every number is one of the program, every counter and test that it names exists."""

import dataclasses
import re

from iris_exporter.config.options import OPTIONS
from iris_exporter.core.limits import Limits
from iris_exporter.instruments import catalog
from scripts.generate_limits import ROOT, SECTIONS, Limit, default_of
from tests.examples import every
from tests.settings import stream_settings

ROWS = [limit for limits in SECTIONS.values() for limit in limits]
_COUNTER = re.compile(r'`(?P<name>iris_\w+)(?:\{(?P<label>\w+)="(?P<value>\w+)"\})?`')


@every(ROWS, lambda row: row.what)
def test_what_a_row_names_exists(row: Limit) -> None:
    default_of(row.number)
    assert (ROOT / row.test).is_file()
    counters = list(_COUNTER.finditer(row.counter))
    assert counters or row.counter.startswith("none: "), "either a counter or the reason why there is none"
    for found in counters:
        metric = catalog.BY_NAME[found["name"]]
        if found["label"]:
            values = {label.name: label.values for label in metric.labels}
            assert found["value"] in values[found["label"]]


def test_every_limit_of_a_stream_that_is_an_option_is_on_the_page() -> None:
    options = {option.key for option in OPTIONS if option.key.startswith("stream.max-")}
    assert options <= {row.number for row in ROWS}


def test_everything_that_can_be_dropped_is_on_the_page() -> None:
    named = {found["value"] for row in ROWS for found in _COUNTER.finditer(row.counter) if found["label"] == "kind"}
    assert named == {*catalog.DROPPED, *catalog.MAPPED_DROPPED}


def test_the_limits_in_the_code_are_the_defaults_of_the_options() -> None:
    assert Limits.of(stream_settings()) == Limits()
    names = {field.name for field in dataclasses.fields(Limits)}
    assert names <= {field.name for field in dataclasses.fields(stream_settings())}
