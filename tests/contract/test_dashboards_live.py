"""The live dashboard names what the exporter pushes to Grafana Live, and nothing else."""

import re
from unittest.mock import Mock

from dashboards import live
from dashboards.streams import RANKS
from iris_exporter import config
from iris_exporter.core.failures import Failure
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event, Metrics
from iris_exporter.grafana.live import LivePush, rank
from iris_exporter.model.snapshot import DataFlow
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
    (told,) = (
        {setting["id"]: setting["value"] for setting in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "State"
    )
    (mapping,) = told["mappings"]
    assert set(mapping["options"]) == {state.value for state in State}


def test_the_live_table_sorts_as_the_one_of_the_overview() -> None:
    """By the same ranks; that of a stream that is not scraped is known to nobody here."""
    failed = Failure("timeout")
    cases = {
        "Live": (link(State.LIVE), DataFlow.FLOWING),
        "Polled as set": (link(State.POLLING), DataFlow.IDLE),
        "Disconnected": (link(State.DISCONNECTED), DataFlow.SILENT),
        "Silent": (link(State.LIVE), DataFlow.SILENT),
        "Polling": (link(State.POLLING, failure=failed), DataFlow.FLOWING),
        "Connecting": (link(State.CONNECTING, failure=failed), DataFlow.SILENT),
        "Error": (link(State.ERROR, failure=failed), DataFlow.SILENT),
    }
    words = list(dict.fromkeys(found.word for found in RANKS))
    assert {word: rank(*case) for word, case in cases.items()} == {word: words.index(word) + 1 for word in cases}
    assert set(words) - set(cases) == {"Not scraped"}
    assert rank(link(State.POLLING), DataFlow.SILENT) == rank(link(State.LIVE), DataFlow.SILENT)


def test_the_live_feed_keeps_fifty_events_the_newest_first() -> None:
    (panel,) = (found for found in boards.panels(BOARD) if found["title"] == "Activity")
    assert panel["maxDataPoints"] == 50, "how many lines Grafana keeps of a subscription"
    assert panel["options"]["sortBy"] == [{"displayName": "Time", "desc": True}]
