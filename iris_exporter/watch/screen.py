"""The shell for terminals, on textual: it draws what `view.screen` says, and turns keys into what `Board` can do.

Content that comes from outside is text and never markup. Nothing is drawn that has not changed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, TextIO

from rich.table import Table as RichTable
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.filter import LineFilter, Monochrome, NoColor
from textual.widgets import Input, Static
from typing_extensions import override

from iris_exporter.clock import Clock
from iris_exporter.core import palette
from iris_exporter.core.log_limits import LineLimit
from iris_exporter.watch.session import Session
from iris_exporter.watch.source import Source
from iris_exporter.watch.view import screen, words
from iris_exporter.watch.view.board import Board
from iris_exporter.watch.view.cards import KINDS, new_cards
from iris_exporter.watch.view.changes import Change, Kind
from iris_exporter.watch.view.feed import SEVERITIES, Filter
from iris_exporter.watch.view.screen import Table
from iris_exporter.watch.view.words import Line, Span

REDRAW_SECONDS = 0.25
"""Between two looks at what has to be drawn: a countdown is never half a second late."""
INTERRUPTED = 130
TOAST_SECONDS = 4.0
_WHILE_TYPING = frozenset({"interrupt", "close_filter"})
_TOASTS_PER_MINUTE = 20
"""Of each kind; the badge shows the state in any case."""

_CSS = f"""
Screen {{ overflow-y: auto; }}
#heading, #badge, #details, #keys {{ height: auto; padding: 0 1; }}
#details {{ display: none; border-top: solid $foreground 30%; }}
#details.-open {{ display: block; }}
#cards {{ height: auto; }}
.card {{ width: 1fr; height: 5; border: round $foreground 30%; padding: 0 1; }}
#panes {{ height: 1fr; min-height: 10; layout: vertical; }}
.pane {{ border-top: solid $foreground 30%; padding: 0 1; height: auto; scrollbar-size-vertical: 1; }}
#projects-pane {{ max-height: 40%; }}
#events-pane {{ height: 1fr; }}
.title, .body {{ height: auto; }}
#filter {{ display: none; height: 3; }}
.-wide #panes {{ layout: horizontal; }}
.-wide #projects-pane {{ width: 1fr; height: 1fr; max-height: 100%; }}
.-wide #events-pane {{ width: 1fr; height: 1fr; }}
.-narrow #cards {{ layout: grid; grid-size: 2 2; grid-rows: 5; }}
Toast {{ max-width: {words.MAX_NAME_CHARS}; }}
"""


class Screen(App[int]):
    """Returns the exit code. `fatal` is the error that has ended it, None for none."""

    CSS = _CSS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (screen.NARROW, "-middle"), (screen.WIDE, "-wide")]  # noqa: RUF012 (its type in the base)
    ENABLE_COMMAND_PALETTE = False
    CLOSE_TIMEOUT = 2.0
    # All before any widget, which would run them later: what follows a slash at once would still be keys.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys, action, priority=True)
        for keys, action in (
            ("ctrl+c", "interrupt"),
            ("q", "end"),
            ("r", "retry"),
            ("d", "switch('disconnect')"),
            ("x", "switch('reset')"),
            ("p,space", "pause"),
            ("n,right_square_bracket", "stream(1)"),
            ("N,left_square_bracket", "stream(-1)"),
            ("i", "details"),
            ("slash", "filter"),
            ("0", "all"),
            *((str(number), f"severity('{name}')") for number, name in enumerate(SEVERITIES, 1)),
            ("escape", "close_filter"),
        )
    ]

    def __init__(self, url: str | None, source: Source, clock: Clock, output: "_Output | None" = None) -> None:
        super().__init__()
        self._output = output
        self.no_color = bool(os.environ.get("NO_COLOR"))
        self.fatal: Exception | None = None
        self._board = Board(url)
        self._clock = clock
        self._session = Session(self._board, source, clock, self._changed)
        self._toasts = LineLimit(_TOASTS_PER_MINUTE)
        self._drawn: dict[str, object] = {}

    @override
    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without colours where NO_COLOR is not empty; textual leaves greys, and in any case. Source: no-color.org."""
        if self.no_color:
            return [NoColor()]
        return [each for each in super().get_line_filters() if not isinstance(each, Monochrome)]

    @override
    def compose(self) -> ComposeResult:
        yield Static(id="heading", markup=False)
        yield Static(id="badge", markup=False)
        with Horizontal(id="cards"):
            for kind in KINDS:
                yield Static(id=kind.key, classes="card", markup=False)
        with Horizontal(id="panes"):
            for pane in ("projects", "events"):
                with VerticalScroll(id=f"{pane}-pane", classes="pane"):
                    yield Static(id=f"{pane}-title", classes="title", markup=False)
                    yield Static(id=pane, classes="body", markup=False)
        yield Static(id="details", markup=False)
        yield Input(id="filter", placeholder="words in project, type or message; Enter applies, Esc clears")
        yield Static(id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self.query_one("#events-pane").focus()
        self.run_worker(self._run(), exit_on_error=False)
        self.set_interval(REDRAW_SECONDS, self.draw)

    async def _run(self) -> None:
        try:
            await self._session.run()
        except Exception as error:  # noqa: BLE001 (raised by `show`)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """End; `show` raises the error once the terminal is as it was."""
        self.fatal = error
        self.exit(1)

    def _changed(self, found: Sequence[Change]) -> None:
        """Tell what a person should not miss."""
        for change in found:
            if self._is_toast(change) and self._toasts.admit(change.kind, self._clock.monotonic()) is not None:
                stream = f"{words.name(change.stream)}: " if change.stream else ""
                text = f"{stream}{change.text}"
                self.notify(text, severity=change.level.value, timeout=TOAST_SECONDS, markup=False)

    def _is_toast(self, change: Change) -> bool:
        if change.kind is Kind.STREAM:
            before, now = change.values["before"], change.values["now"] or {}
            return before is not None and before != now.get("state") and change.stream == self._board.shown
        return change.kind in (Kind.GAP, Kind.UNREADABLE)

    # Drawing

    def draw(self) -> None:
        """Draw what has changed."""
        if self._output is not None and self._output.has_gone:
            self.exit(1)
            return
        try:
            self._draw()
        except Exception as error:  # noqa: BLE001 (textual would print a traceback)
            self._fail(error)

    def _draw(self) -> None:
        board, now = self._board, self._clock.wall()
        width = self.size.width
        self._put("heading", [screen.heading(board)])
        self._put("badge", screen.badge(board, now))
        self._put("keys", screen.keys(width - 2))
        self._put("details", screen.details(board, now + board.skew, width - 2))
        shown = board.details
        if board.paused:
            return
        for each in new_cards() if shown is None else shown.cards:
            self._put(each.kind.key, screen.card(each, stale=shown is not None and shown.stale))
        side = width // 2 if width >= screen.WIDE else width
        self._put_table("projects", screen.projects(shown, side))
        self._put_table("events", screen.events(board, now))

    def _put(self, name: str, lines: Sequence[Line]) -> None:
        if self._is_other(name, lines):
            self.query_one(f"#{name}", Static).update(Text("\n").join(self._text(line) for line in lines))

    def _put_table(self, name: str, table: Table) -> None:
        if self._is_other(name, table):
            self.query_one(f"#{name}-title", Static).update(self._text(table.title))
            body = self._rich(table) if table.rows else Text(table.note, style="dim")
            self.query_one(f"#{name}", Static).update(body)

    def _text(self, line: Iterable[Span]) -> Text:
        text = Text(overflow="fold")
        for span in line:
            text.append(span.text, style=self._style(span))
        return text

    def _style(self, span: Span) -> str:
        """A style of rich; on its own colour a text is black or white, whichever can be read."""
        parts = [name for name, is_on in (("bold", span.bold), ("dim", span.dim)) if is_on]
        if span.reverse:
            has_colour = span.colour and not self.no_color
            parts.append(f"{palette.text_on(span.colour)} on {span.colour}" if has_colour else "reverse")
        elif span.colour:
            parts.append(span.colour)
        return " ".join(parts)

    def _rich(self, table: Table) -> RichTable:
        """Columns as wide as they need to be, but for the one of names or sentences, which takes the rest and wraps."""
        rich = RichTable(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, show_header=bool(table.headings))
        columns = len(table.rows[0])
        widest = 1 if table.headings else columns - 1
        for index in range(columns):
            heading = Text(table.headings[index], style="dim") if table.headings else ""
            justify: Any = "right" if index in table.numbers else "left"
            options: dict[str, Any] = {"ratio": 1} if index == widest else {"no_wrap": True}
            rich.add_column(heading, justify=justify, overflow="fold", **options)
        for row in table.rows:
            rich.add_row(*map(self._text, row))
        if table.note:
            rich.add_row(*("" for _ in range(widest)), Text(table.note, style="dim"))
        return rich

    def _is_other(self, name: str, content: object) -> bool:
        if self._drawn.get(name) == content:
            return False
        self._drawn[name] = content
        return True

    # Keys

    def action_end(self) -> None:
        """End as wished."""
        self.exit(0)

    def action_interrupt(self) -> None:
        """End as any program does on Ctrl-C."""
        self.exit(INTERRUPTED)

    def action_retry(self) -> None:
        """Ask the sidecar again, or have it try the live stream now."""
        if self._board.link.is_up:
            self.action_switch("connect")
        else:
            self._session.source.retry()

    def action_switch(self, action: str) -> None:
        """Have the sidecar do something to the stream that is shown."""
        if self._board.shown is not None:
            self.run_worker(self._switch(self._board.shown, action), exit_on_error=False)

    async def _switch(self, stream: str, action: str) -> None:
        try:
            failure = await self._session.source.switch(stream, action)
        except Exception as error:  # noqa: BLE001 (as above)
            self._fail(error)
            return
        if failure is None:
            self.notify(f"{words.name(stream)}: {action} was asked for", timeout=TOAST_SECONDS, markup=False)
        else:
            text = f"{words.name(stream)}: {action} was refused: {words.message(str(failure))}"
            self.notify(text, severity="error", markup=False)

    def action_pause(self) -> None:
        """Hold figures, projects and events still, or let them go on."""
        self._board.pause()
        self.draw()

    def action_stream(self, by: int) -> None:
        """Show another stream."""
        self._board.step(by)
        self.draw()

    def action_severity(self, severity: str) -> None:
        """Hide events of a severity, or show them again."""
        self._board.filter = self._board.filter.toggled(severity)
        self._draw_filtered()

    def action_all(self) -> None:
        """Show all events again."""
        self._board.filter = Filter()
        self.query_one("#filter", Input).value = ""
        self._draw_filtered()

    def action_details(self) -> None:
        """Show counters and times, or hide them."""
        self.query_one("#details").toggle_class("-open")

    def action_filter(self) -> None:
        """Ask for words."""
        field = self.query_one("#filter", Input)
        field.display = True
        self.screen.set_focus(field)  # at once, which `focus` is not

    @override
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While words are typed, keys are letters."""
        return action in _WHILE_TYPING or not isinstance(self.focused, Input)

    def action_close_filter(self) -> None:
        """Show events whatever words they have."""
        field = self.query_one("#filter", Input)
        field.value = ""
        self._filter_by("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show only events with these words."""
        self._filter_by(event.value.strip())

    def _filter_by(self, text: str) -> None:
        self._board.filter = Filter(self._board.filter.hidden, text)
        self.query_one("#filter", Input).display = False
        self.screen.set_focus(self.query_one("#events-pane"))
        self._draw_filtered()

    def _draw_filtered(self) -> None:
        """A filter is a wish to see something else, also while the screen is paused."""
        paused, self._board.paused = self._board.paused, False
        self.draw()
        self._board.paused = paused
        self.draw()


class _Output:
    """Standard error, where textual draws, whose terminal may go at any time.

    Its thread that writes would end at an error, and the program would wait for it for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.has_gone = False

    def write(self, text: str) -> int:
        """Write, or note that nobody reads any more."""
        try:
            return self._stream.write(text)
        except OSError:
            self.has_gone = True
            return len(text)

    def flush(self) -> None:
        """Flush, or note that nobody reads any more."""
        try:
            self._stream.flush()
        except OSError:
            self.has_gone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


async def show(url: str | None, source: Source, clock: Clock) -> int:
    """Show it until a key or a signal ends it; return the exit code."""
    for stale in ("COLUMNS", "LINES"):  # of a shell, which textual would take for the size of the terminal
        os.environ.pop(stale, None)
    real = sys.__stderr__
    output = None if real is None else _Output(real)
    app = Screen(url, source, clock, output)
    loop = asyncio.get_running_loop()
    codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: 0, signal.SIGHUP: 0}
    for number, meaning in codes.items():
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, partial(app.exit, meaning))
    sys.__stderr__ = output  # type: ignore[misc, assignment]  # for as long as textual draws
    try:
        code: int | None = await app.run_async()
    finally:
        sys.__stderr__ = real  # type: ignore[misc]
    if app.fatal is not None:
        raise app.fatal
    return 1 if code is None else code  # None: textual has failed, and reported how
