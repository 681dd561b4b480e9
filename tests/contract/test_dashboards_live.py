"""The live dashboard names what the exporter pushes to Grafana Live, and nothing else."""

import re
from unittest.mock import Mock

from dashboards import live
from iris_exporter import config
from iris_exporter.core.failures import Failure
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event, Metrics
from iris_exporter.grafana.live import LivePush
from tests.contract import boards
from tests.fakes import FakeClock
from tests.instruments.support import link, picture

BOARD = boards.load()["iris-live"]


def pushed() -> dict[str, set[str]]:
    """What the exporter pushes: measurement to the names of its fields, and `time`."""
    event = Event(id="e", timestamp=1.0, project="p", event_type="info", message="m", severity="info")
    figures = Metrics(runs_today=1.0, success_ratio=1.0, active_experts=1.0, projects=1.0)
    stream = Mock()
    stream.status.return_value = link(State.ERROR, failure=Failure("timeout"))
    stream.snapshot.return_value = picture("s", metrics=figures, events=(event,))
    clock = FakeClock()
    settings = config.load({"stream.url": "http://h/x", "live.url": "http://g"}, {}).live
    lines = LivePush(settings, Mock(), lambda: {"s": stream}, Mock(), clock).collect()
    heads = [re.match(r"(\w+)\S* (.*) \d+$", line) for line in lines]
    return {head[1]: {"time", *re.findall(r"(?:^|,)(\w+)=", head[2])} for head in heads if head}


def test_live_panels_name_measurements_and_fields_that_the_exporter_pushes() -> None:
    known = pushed()
    assert set(known) == {live.STATE, live.CARDS, live.EVENT}
    variables = BOARD["templating"]["list"]
    assert [(variable["name"], variable["type"], variable["query"]) for variable in variables] == [
        ("channel", "textbox", config.load({"stream.url": "http://h/x"}, {}).live.channel)
    ]
    seen = set()
    for panel in boards.panels(BOARD):
        (target,) = panel["targets"]
        channel = re.fullmatch(r"stream/\$\{channel\}/(\w+)", target["channel"])
        assert channel
        assert target["queryType"] == "measurements"
        assert target["datasource"] == {"type": "datasource", "uid": "-- Grafana --"}
        assert set(target["filter"]["fields"]) <= known[channel[1]]
        seen.add(channel[1])
    assert seen == set(known)


def test_the_live_badge_has_a_word_and_a_colour_for_every_state() -> None:
    (panel,) = (panel for panel in boards.panels(BOARD) if panel["title"] == "Streams")
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    assert set(mapping["options"]) == {state.value for state in State}
