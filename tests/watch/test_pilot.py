"""The screen in textual's pilot: as text at 80 and 140 columns, in each state, and what the keys do."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from iris_exporter.core import palette
from iris_exporter.core.failures import Failure
from iris_exporter.watch.screen import INTERRUPTED, Screen
from iris_exporter.watch.source import Down, Up
from iris_exporter.watch.view import screen
from iris_exporter.watch.view.cards import KINDS
from tests.examples import cases
from tests.fakes import FakeClock
from tests.waiting import until
from tests.watch.fakes import FakeSource
from tests.watch.samples import NOW, connecting, event, metrics, overview, polling, refused, snapshot, stream

URL = "http://sidecar.test:14747"
EXPECTED = Path(__file__).parents[1] / "data/expected/watch"
OVERVIEW = overview(
    *(event(3600 - 7 * number) for number in range(30)),
    event(1, message="a message that is so long that it needs more than one line on most terminals, " * 2),
)
STATES = {"live": stream(), "connecting": connecting(), "polling": polling(), "error": refused()}
WIDE = {("connecting", 140), ("polling", 140)}


def text(app: Screen) -> str:
    """The screen, line by line."""
    return "".join(f"{strip.text.rstrip()}\n" for strip in app.screen._compositor.render_strips())


@asynccontextmanager
async def shown(
    source: FakeSource, *, size: tuple[int, int] = (80, 24), wait_for: str = ""
) -> AsyncIterator[tuple[Screen, Pilot[int]]]:
    """The screen of a source, once it has this text."""
    clock = FakeClock(NOW)
    app = Screen(URL, source, clock)
    async with app.run_test(size=size, notifications=True) as pilot:
        await shows(app, pilot, wait_for)
        yield app, pilot


async def shows(app: Screen, pilot: Pilot[int], wanted: str) -> None:
    """Wait until the screen has this text."""
    await pilot.pause()
    app.draw()
    await pilot.pause()

    def has_it() -> bool:
        app.draw()
        return wanted in text(app)

    await until(has_it)


def watched(*streams: object) -> FakeSource:
    """A sidecar that answers, with these streams."""
    return FakeSource(Up(0.0), snapshot(*streams), **{each.name: OVERVIEW for each in streams})  # type: ignore[attr-defined,arg-type]


# The wide screen has the same parts beside each other: of two states alone in `make test`.
@pytest.mark.parametrize(
    ("state", "width"),
    [
        pytest.param(state, width, marks=pytest.mark.slow if (state, width) in WIDE else ())
        for state in STATES
        for width in (80, 140)
    ],
)
async def test_the_screen_golden(state: str, width: int) -> None:
    async with shown(watched(STATES[state]), size=(width, 34), wait_for="Checkout") as (app, pilot):
        for runs, share in ((340, 0.93), (339, 0.95), (344, 0.951), (347, 0.924)):
            figures = metrics(total_runs_today=float(runs), avg_success_rate=share)
            app._board.overview("main", overview(*OVERVIEW.events, metrics=figures), NOW)
        await shows(app, pilot, "↑ 3")
        compare(text(app), f"{state}-{width}.txt")


@pytest.mark.parametrize("width", [80, 140])
async def test_a_sidecar_that_does_not_answer_golden(width: int) -> None:
    source = FakeSource(Down(Failure("unauthorized", "HTTP status 401"), 2, 15.0))
    async with shown(source, size=(width, 24), wait_for="No sidecar") as (app, _):
        compare(text(app), f"sidecar-away-{width}.txt")


def compare(found: str, name: str) -> None:
    """With a file of expected text; UPDATE_EXPECTED=1 writes it."""
    if os.environ.get("UPDATE_EXPECTED"):
        EXPECTED.mkdir(exist_ok=True)
        (EXPECTED / name).write_text(found, "utf-8")
    assert found == (EXPECTED / name).read_text("utf-8")


# Keys


@pytest.mark.parametrize(("key", "call"), [("r", "connect"), ("d", "disconnect"), ("x", "reset")])
async def test_a_key_switches_the_stream_that_is_shown(key: str, call: str) -> None:
    source = watched(stream("a"), stream("b"))
    async with shown(source, wait_for="stream a") as (app, pilot):
        await pilot.press("n", key)
        await shows(app, pilot, f"b: {call} was asked for")
        assert [each for each in source.calls if not each.startswith("overview")] == [f"{call} b"]


async def test_a_switch_that_is_refused_is_said() -> None:
    source = watched(stream())
    source.refusal = Failure("forbidden", "HTTP status 403: not [red]here[/red]\x1b[31m")
    async with shown(source, size=(140, 24), wait_for="stream main") as (app, pilot):
        await pilot.press("d")
        await shows(app, pilot, "disconnect was refused: forbidden")
        assert "not [red]here[/red]\ufffd[31m" in " ".join(text(app).split())


async def test_retry_asks_a_sidecar_that_does_not_answer() -> None:
    source = FakeSource(Down(Failure("connection_refused"), 2, 15.0))
    async with shown(source, wait_for="No sidecar") as (_, pilot):
        await pilot.press("r", "d", "x", "n")
        assert source.calls == ["retry"]


async def test_pause_holds_the_screen_still() -> None:
    source = watched(stream())
    async with shown(source, wait_for="evaluation 3600") as (app, pilot):
        await pilot.press("p")
        source.say(event(3601))
        await shows(app, pilot, "Paused, 1 new events")
        assert "evaluation 3601" not in text(app)
        await pilot.press("space")
        await shows(app, pilot, "evaluation 3601")
        assert "Paused" not in text(app)


async def test_severities_are_hidden_by_their_numbers() -> None:
    async with shown(watched(stream()), wait_for="evaluation 3600") as (app, pilot):
        await pilot.press("1", "2", "3")
        await shows(app, pilot, "without info, warning, error, other")
        listed = [line.split() for line in text(app).splitlines() if "finished" in line]
        assert len(listed) >= 5
        assert {words[2] for words in listed} <= {"critical"}
        await pilot.press("2")
        await shows(app, pilot, "evaluation 3593")
        await pilot.press("0")
        await shows(app, pilot, "evaluation 3600")


async def test_words_filter_the_events_also_while_the_screen_is_paused() -> None:
    async with shown(watched(stream()), wait_for="evaluation 3600") as (app, pilot):
        await pilot.press("p", "slash", *"3593", "enter")
        await shows(app, pilot, "with '3593'")
        assert [line.split()[-2] for line in text(app).splitlines() if "finished" in line] == ["3593"]
        await pilot.press("slash", "escape")
        await shows(app, pilot, "evaluation 3600")
        assert "Paused" in text(app)


async def test_another_stream_can_be_shown() -> None:
    async with shown(watched(stream("a"), connecting("b")), wait_for="stream a") as (app, pilot):
        await pilot.press("n")
        await shows(app, pilot, "stream b  2 of 2")
        await shows(app, pilot, "Connecting")
        await pilot.press("N")
        await shows(app, pilot, "stream a  1 of 2")


async def test_details_can_be_shown() -> None:
    async with shown(watched(stream()), wait_for="stream main") as (app, pilot):
        await pilot.press("i")
        await shows(app, pilot, "last resume full")
        await pilot.press("i")
        await pilot.pause()
        assert "last resume" not in text(app)


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("ctrl+c", INTERRUPTED)])
async def test_a_key_ends_it(key: str, code: int) -> None:
    async with shown(watched(stream()), wait_for="stream main") as (app, pilot):
        await pilot.press("slash") if key == "ctrl+c" else None  # also while words are typed
        await pilot.press(key)
        assert app.return_value == code


# What comes


async def test_another_state_is_told() -> None:
    source = watched(stream())
    async with shown(source, size=(140, 34), wait_for="stream main") as (app, pilot):
        source.say(connecting())
        await shows(app, pilot, "main: connecting, attempt 3")


async def test_markup_and_control_characters_are_text() -> None:
    hostile = event(
        3700, message="[red]not red[/red] [link=http://x]y[/link] \x1b[31mred\x9b0m \x07 [bold", project="[b]p[/b]"
    )
    source = watched(stream())
    async with shown(source, size=(110, 34), wait_for="stream main") as (app, pilot):
        source.say(hostile)
        await shows(app, pilot, "[b]p[/b]")
        found = text(app)
        assert "[red]not red[/red] [link=http://x]y[/link] \ufffd[31mred\ufffd0m \ufffd [bold" in " ".join(
            found.split()
        )
        assert not set(found) & {"\x1b", "\x9b", "\x07"}


async def test_an_error_of_ours_ends_it_and_is_not_lost() -> None:
    source = watched(stream())
    source.error = ValueError("a mistake")
    async with shown(source, wait_for="stream main") as (app, pilot):
        source.wake.set()
        await until(lambda: app.fatal is not None)
        await pilot.pause()
    assert (app.return_value, app.fatal) == (1, source.error)


LONG = " ".join(f"word{number}" for number in range(60))


@pytest.mark.parametrize("width", [40, 80, 140])
async def test_no_text_is_cut(width: int) -> None:
    source = watched(stream())
    source.overviews["main"] = overview(event(3600, message=LONG, project="p", event_type="t"))
    async with shown(source, size=(width, 60), wait_for="word0") as (app, _):
        body = "".join(text(app).split())
        assert all(f"word{number}" in body for number in range(60))
        assert all(kind.title in text(app) for kind in KINDS)
        assert all(f"{key} {words}" in text(app) for key, words in screen.KEYS)
        assert "Live   websocket," in text(app)


@pytest.mark.parametrize("state", cases(["live", "error"], quick={"live"}))
async def test_any_terminal_will_do(state: str) -> None:
    async with shown(watched(STATES[state])) as (app, pilot):
        await pilot.press("i", "slash")
        for size in ((40, 24), (39, 10), (12, 4), (1, 1), (250, 80)):
            await pilot.resize_terminal(*size)
            app.draw()
            await pilot.pause()
            assert app.fatal is None
            assert app.is_running


async def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with shown(watched(connecting()), size=(140, 34), wait_for="Checkout") as (app, pilot):
        assert colours(app) == set()
        assert "◌ Connecting" in text(app)
    monkeypatch.setenv("NO_COLOR", "")
    async with shown(watched(connecting()), size=(140, 34), wait_for="Checkout") as (app, pilot):
        await pilot.pause()
        assert colours(app) > {palette.PENDING, palette.WARNING, palette.CRITICAL, palette.GOOD, palette.ERROR}


def colours(app: Screen) -> set[str]:
    """The colours of texts and what is behind them, but the terminal's own."""
    styles = [segment.style for strip in app.screen._compositor.render_strips() for segment in strip if segment.style]
    found = {colour for style in styles for colour in (style.color, style.bgcolor) if colour and not colour.is_default}
    return {f"#{''.join(f'{part:02x}' for part in colour.get_truecolor())}" for colour in found}


async def test_what_is_typed_at_once_is_words_and_no_keys() -> None:
    """`x` would reset the stream."""
    source = watched(stream())
    async with shown(source, wait_for="evaluation 3600") as (app, pilot):
        for key in ("slash", "x", "slash", "3", "enter"):
            app.post_message(events.Key(key, {"slash": "/", "enter": "\r"}.get(key, key)))
        await shows(app, pilot, "with 'x/3'")
        assert [call for call in source.calls if not call.startswith("overview")] == []
