"""What is known, what has changed, and how both are said."""

import json
from typing import Any

import msgspec
import pytest

from iris_exporter.core import palette
from iris_exporter.core.failures import Failure
from iris_exporter.core.reasons import REASONS
from iris_exporter.watch.view import screen, words
from iris_exporter.watch.view.board import MAX_PROJECTS, MAX_SHOWN, Board
from iris_exporter.watch.view.changes import Change
from iris_exporter.watch.view.feed import Filter
from iris_exporter.watch.view.objects import Lost, StreamObject
from iris_exporter.watch.view.words import Line
from tests.watch.samples import (
    NOW,
    at,
    connecting,
    event,
    overview,
    polling,
    project,
    refused,
    snapshot,
    stream,
)

URL = "http://sidecar.test:14747"
UNUSED: dict[str, Any] = {"protocol": "none", "encoding": "none", "compression": "none"}
HOSTILE = "\x1b[31mred\x9b[red]\u202e\r\n\x07"


def followed(*streams: StreamObject, **options: Any) -> Board:
    """A board of a sidecar with these streams."""
    board = Board(URL, **options)
    board.connected(0.0, NOW)
    board.take(snapshot(*(streams or (stream(),))), NOW)
    return board


def lines(found: list[Change]) -> list[str]:
    return [each.as_line(NOW).partition("Z ")[2] for each in found]


def texts(shown: list[Line]) -> list[str]:
    return [words.plain(line) for line in shown]


# Changes


def test_every_stream_is_a_line_and_then_only_what_changes() -> None:
    board = Board(URL)
    assert lines(board.connected(0.0, NOW)) == [f"- sidecar {URL} answers"]
    found = board.take(snapshot(stream(), connecting("eu")), NOW)
    assert lines(found) == [
        "main stream live (websocket, protobuf, deflate)",
        "eu stream connecting, attempt 3, next in 12 s: connection_refused: iris.test:443",
    ]
    assert board.take(stream(messages_total=900, last_message=at(3), last_update=at(3)), NOW + 3) == []
    found = board.take(polling(), NOW + 4)
    assert lines(found) == ["main stream polling, attempt 10, next in 5 min (poll): upgrade_refused: HTTP status 426"]
    assert (found[0].values["before"], found[0].values["now"]["state"]) == ("live", "polling")


def test_a_stream_that_goes_is_a_line_and_another_one_is_shown() -> None:
    board = followed(stream("a"), stream("b"))
    assert board.shown == "a"
    assert lines(board.take(snapshot(stream("b")), NOW)) == ["a stream is no stream of the sidecar any more"]
    assert board.shown == "b"
    board.take(snapshot(), NOW)
    assert board.shown is None


def test_a_source_that_sends_nothing_is_a_line_after_some_seconds() -> None:
    """A connection is silent until its first message."""
    fresh = stream(data_flow="silent", state_changed_at=at(0))
    board = followed(fresh)
    assert board.take(stream(state_changed_at=at(0)), NOW + 1) == []
    found = board.take(fresh, NOW + 60)
    assert lines(found) == ["main stream live (websocket, protobuf, deflate), nothing arrives"]


@pytest.mark.parametrize(
    ("message", "words_of_it", "values", "title"),
    [
        (Lost(30), "30 events not shown here: they were", {"events": 30, "cause": "slow"}, "30"),
        (snapshot(stream(), resumed="partial", missed=1), "1 event not ", {"events": 1, "cause": "away"}, "1"),
        (snapshot(stream(), resumed="none"), "an unknown ", {"events": None, "cause": "restarted"}, "some"),
    ],
)
def test_a_gap_is_said(message: Any, words_of_it: str, values: dict[str, Any], title: str) -> None:
    board = followed()
    (change,) = board.take(message, NOW)
    assert words.plain(screen.events(board, NOW).title) == f"Events  {title} were missed"
    assert change.as_line(NOW).partition("Z ")[2].startswith(f"- gap {words_of_it}")
    assert change.values == values


def test_a_resume_that_is_full_says_nothing() -> None:
    assert followed().take(snapshot(stream(), resumed="full", missed=0), NOW) == []


def test_an_event_is_a_line_and_an_object_with_everything() -> None:
    sent = event(2, metadata=msgspec.Raw(b'{"score": 0.5}'))
    (change,) = followed().take(sent, NOW)
    assert lines([change]) == ["main event error checkout evaluation: evaluation 2 finished"]
    assert json.loads(change.as_json(NOW)) == {
        "time": "2023-11-14T22:13:20.000Z", "kind": "event", "stream": "main",
        "event": {
            "id": "e2", "timestamp": "2023-11-14T21:13:22.000Z", "project": "checkout", "event_type": "evaluation",
            "severity": "error", "message": "evaluation 2 finished", "metadata": {"score": 0.5},
        },
    }  # fmt: skip


def test_an_event_that_is_there_already_is_no_change() -> None:
    board = followed()
    board.overview("main", overview(event(1)), NOW)
    assert board.take(event(1), NOW) == []
    assert len(board.take(event(2), NOW)) == 1


@pytest.mark.parametrize(
    "message", [event(1, project=HOSTILE, event_type=HOSTILE, severity=HOSTILE, message=HOSTILE * 100, stream=HOSTILE),
                stream(HOSTILE, state=HOSTILE, protocol=HOSTILE, error=HOSTILE)],
)  # fmt: skip
def test_nothing_that_came_steers_a_terminal(message: Any) -> None:
    board = followed(stream(HOSTILE))
    for change in board.take(message, NOW):
        assert change.as_line(NOW).isprintable()
        assert change.as_json(NOW).isascii()
        assert change.as_json(NOW).isprintable()
        assert json.loads(change.as_json(NOW))["stream"] == HOSTILE
    shown = board.details
    assert shown is not None
    board.filter = Filter(text=HOSTILE)
    tables = [screen.projects(shown, 80), screen.events(board, NOW)]
    board.filter = Filter()
    tables.append(screen.events(board, NOW))
    found = [screen.heading(board), *screen.badge(board, NOW), *screen.details(board, NOW, 80)]
    found += [table.title for table in tables] + [cell for table in tables for row in table.rows for cell in row]
    assert all(span.text.isprintable() for line in found for span in line)


# Figures and projects


def test_other_figures_and_projects_are_lines() -> None:
    board = followed(follows_all=True)
    found = board.overview("main", overview(), NOW)
    assert lines(found) == [
        "main cards Active Runs 347, Success Rate 92.4 %, Active Experts 17, Total Projects 3",
        "main project Fraud is critical",
        "main project Search is warning",
        "main project Checkout is healthy",
    ]
    assert board.overview("main", overview(), NOW) == []
    found = board.overview("main", overview(projects=[project("fraud"), project("search", "warning")]), NOW)
    assert lines(found) == ["main project Fraud is healthy, was critical", "main project checkout is gone"]
    assert found[0].values == {"project": "fraud", "name": "Fraud", "status": "healthy", "before": "critical"}


def test_a_source_that_is_stale_is_one_line_and_no_project_is_gone() -> None:
    board = followed(follows_all=True)
    board.overview("main", overview(), NOW)
    stale = overview(stale=True, metrics=None, projects=[])
    assert lines(board.overview("main", stale, NOW)) == ["main cards stale"]
    assert lines(board.overview("main", overview(), NOW)) == [
        "main cards Active Runs 347, Success Rate 92.4 %, Active Experts 17, Total Projects 3"
    ]


def test_an_overview_is_asked_for_when_there_is_another_one() -> None:
    board = followed(stream("a"), stream("b"))
    assert board.overview_due(NOW) == "a"
    board.asks("a", NOW)
    assert board.overview_due(NOW + 60) is None
    board.take(stream("a", last_update=at(1)), NOW)
    board.take(stream("b", last_update=at(1)), NOW)
    assert board.overview_due(NOW + 1.9) is None
    assert board.overview_due(NOW + 2) == "a"
    board.step(1)
    assert board.overview_due(NOW + 2) == "b"
    board.disconnected(Failure("closed"), 1, 2.0, NOW)
    assert board.overview_due(NOW + 60) is None


def test_an_overview_that_cannot_be_had_is_said_once_and_asked_for_later() -> None:
    board = followed()
    refusal = Failure("rate_limited", "HTTP status 429", 30.0)
    assert lines(board.overview("main", refusal, NOW)) == [
        "main unreadable figures and projects cannot be had: rate_limited: HTTP status 429"
    ]
    assert board.overview("main", refusal, NOW) == []
    assert board.overview_due(NOW + 29) is None
    assert board.overview_due(NOW + 30) == "main"
    assert screen.projects(board.details, 80).note == "cannot be had: rate_limited: HTTP status 429"


def test_memory_is_bounded() -> None:
    """A screen stores the figures of the streams shown last; of projects the worst."""
    board = followed(*(stream(f"s{number}") for number in range(3 * MAX_SHOWN)))
    for _ in range(5 * MAX_SHOWN):
        board.step(1)
    assert len(board._details) == MAX_SHOWN
    many = [project(f"p{number}", "critical" if number == 2999 else "healthy") for number in range(3000)]
    board.overview(board.shown or "", overview(projects=many), NOW)
    shown = board.details
    assert shown is not None
    assert (len(shown.projects), shown.more_projects, shown.projects[0].id) == (MAX_PROJECTS, 2000, "p2999")
    assert screen.projects(shown, 80).note == "and 2900 more"
    for number in range(1000):
        board.take(stream("s1", messages_total=number), NOW + number / 1000)
    assert len(board.speeds["s1"].samples) <= 101


def test_the_rate_begins_anew_with_another_process() -> None:
    board = followed(stream(messages_total=500))
    board.take(stream(messages_total=10), NOW + 1)
    assert board.speeds["main"].per_second is None
    board.take(stream(messages_total=30), NOW + 3)
    assert board.speeds["main"].per_second == 10


# The screen


def test_the_stream_that_is_shown_can_be_chosen() -> None:
    board = followed(stream("a"), connecting("b"), stream("c"))
    assert words.plain(screen.heading(board)) == (f"iris-exporter  {URL}  stream a  1 of 3 (2 live, 1 connecting)")
    shown = []
    for _ in range(3):
        board.step(1)
        shown.append(board.shown)
    board.step(-1)
    assert (shown, board.shown) == (["b", "c", "a"], "c")


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (stream(), [" ● Live   websocket, protobuf, deflate, since 3 min"]),
        (
            connecting(),
            [
                " ◌ Connecting   attempt 3, next in 12 s, since 30 s",
                "Unreachable  connection_refused: iris.test:443",
                "Nothing listens on the port. Check the port in the URL and whether the source runs.",
            ],
        ),
        (polling(), [" ◐ Polling   attempt 10, next in 5 min, poll, since 30 s", "Refused  upgrade_refused: "]),
        (refused(), [" ✖ Error   attempt 1, next in 5 min, since 30 s", "Refused  unauthorized: HTTP status 401"]),
        (stream(state="disconnected", **UNUSED), [" ○ Disconnected   since 3 min"]),
        (stream(state="new", state_changed_at=None, **UNUSED), [" ? New   "]),
        (stream(data_flow="idle"), [" ● Live   websocket, protobuf, deflate, since 3 min  heartbeats, but no data"]),
    ],
)  # fmt: skip
def test_the_badge_says_state_attempt_countdown_and_reason(state: StreamObject, shown: list[str]) -> None:
    found = texts(screen.badge(followed(state), NOW))
    assert [line.startswith(start) for line, start in zip(found, shown, strict=False)] == [True] * len(shown)


def test_the_countdown_is_by_the_clock_of_the_sidecar() -> None:
    board = Board(URL)
    board.connected(3600.0, NOW)
    board.take(snapshot(connecting(next_attempt_at=at(3612), state_changed_at=at(3590))), NOW)
    assert texts(screen.badge(board, NOW + 2))[0] == " ◌ Connecting   attempt 3, next in 10 s, since 12 s"


@pytest.mark.parametrize("reason", [*REASONS, "of_a_newer_version"])
def test_a_sidecar_that_does_not_answer_has_a_badge_with_what_to_do(reason: str) -> None:
    board = followed()
    board.disconnected(Failure(reason, "the detail"), 4, 8.0, NOW)
    first, second, advice = texts(screen.badge(board, NOW + 1))
    assert first == " ✖ No sidecar   attempt 4, next in 7 s"
    assert second.endswith(f"{reason}: the detail")
    assert advice.strip(". ")
    assert "--stream.api" not in advice
    board.connected(0.0, NOW)
    assert texts(screen.badge(board, NOW))[0].startswith(" ● Live")


def test_a_colour_is_never_alone() -> None:
    """Each span that has one has a word of its own, or an arrow, or bars."""
    board = followed(connecting())
    board.overview("main", overview(*(event(number) for number in range(4))), NOW)
    shown = board.details
    assert shown is not None
    spans = [span for line in screen.badge(board, NOW) for span in line]
    for table in (screen.projects(board.details, 80), screen.events(board, NOW)):
        spans += [span for row in table.rows for cell in row for span in cell]
    coloured = {span.text.strip(): span.colour for span in spans if span.colour}
    assert coloured == {
        "◌ Connecting": palette.PENDING, "Unreachable": "#6765ca", "critical": palette.CRITICAL,
        "warning": palette.WARNING, "healthy": palette.GOOD, "info": palette.INFO, "error": palette.ERROR,
    }  # fmt: skip


def test_a_screen_that_is_paused_counts_what_comes() -> None:
    board = followed(stream("main"), stream("other"))
    board.pause()
    for sent in (event(1), event(2), event(3, stream="other")):
        board.take(sent, NOW)
    assert texts(screen.badge(board, NOW))[0].endswith("  Paused, 2 new events")
    board.pause()
    assert "Paused" not in texts(screen.badge(board, NOW))[0]


def test_details_have_what_the_page_for_developers_had() -> None:
    board = followed(stream(messages_total=500))
    board.take(stream(messages_total=520), NOW + 10)
    shown = " | ".join(texts(screen.details(board, NOW + 10, 200)))
    for part in ("https://iris.test/api/stream", "last message 11 s ago", "messages 520", "rate 2.0 messages/s",
                 "events missing 0", "last resume full", "last failure never", "extensions batch, delta"):  # fmt: skip
        assert part in shown


@pytest.mark.parametrize("width", [20, 38, 78, 138])
def test_no_part_of_a_line_is_divided(width: int) -> None:
    found = texts(screen.keys(width))
    assert all(len(line) <= width for line in found)
    assert [part for line in found for part in line.split("   ")] == [f"{key} {text}" for key, text in screen.KEYS]


def test_a_narrow_table_has_what_matters_most() -> None:
    board = followed()
    board.overview("main", overview(), NOW)
    assert screen.projects(board.details, 39).headings == ("Status", "Project", "Success")
    assert len(screen.projects(board.details, 80).headings) == 7


def test_an_event_without_a_time_has_no_age() -> None:
    board = followed()
    board.take(event(1, timestamp=None, project=""), NOW)
    table = screen.events(board, NOW)
    assert [words.plain(cell) for cell in table.rows[0]] == ["-", "warning", "evaluation: evaluation 1 finished"]


def test_a_filter_is_named_above_the_events() -> None:
    board = followed()
    board.filter = Filter(text="abc").toggled("info")
    table = screen.events(board, NOW)
    assert words.plain(table.title) == "Events  without info, other  with 'abc'"
    assert table.note == "none that passes the filter"
