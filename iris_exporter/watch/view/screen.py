"""What stands on the screen, as lines of coloured text and rows of tables; the shell puts them where they belong.

A colour says no more than the word or the sign beside it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from iris_exporter.core import palette
from iris_exporter.core.failures import Failure
from iris_exporter.core.status import State
from iris_exporter.watch.view import words
from iris_exporter.watch.view.board import Board, Link, Shown
from iris_exporter.watch.view.cards import Card
from iris_exporter.watch.view.changes import event_words, flow_words, in_use
from iris_exporter.watch.view.feed import OTHER, SEVERITIES, Filter, Row
from iris_exporter.watch.view.objects import ProjectObject, StreamObject
from iris_exporter.watch.view.words import Line, Span

NARROW, WIDE = 60, 120
"""Columns below which a table has only what matters most, and from which on two panes stand side by side."""
MAX_PROJECT_ROWS = 100
SPARKLINE = 16
_SIGNS = {
    State.LIVE: "●",
    State.CONNECTING: "◌",
    State.POLLING: "◐",
    State.ERROR: "✖",
    State.DISCONNECTED: "○",
}
_NO_SIGN = "?"

ADVICE = {
    "connection_refused": "Is the exporter running, and is this its --web.listen-address?",
    "unauthorized": "Give a user by --sidecar.username and --sidecar.password-file.",
    "forbidden": "This user may not see the streams.",
    "not_found": "No sidecar answers at this address: check its path. A stream itself is watched by --stream.url=URL.",
    "not_a_stream": "No sidecar answers at this address. A stream itself is watched by --stream.url=URL.",
    "rate_limited": "The sidecar's web configuration limits requests; it is asked again later.",
    "unavailable": "The sidecar is busy: too many clients follow it, or it stops.",
    "tls_certificate": "Give its authority by --sidecar.tls-ca-file, or its name by --sidecar.tls-server-name.",
    "client_certificate": "Give a certificate by --sidecar.tls-cert-file and --sidecar.tls-key-file.",
    "protocol_error": "Does the sidecar expect https?",
    "tls": "Does the sidecar expect http?",
}
"""What to do where the sidecar cannot be followed, by reason."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title and headings; `numbers` are the columns that end at the right."""

    title: Line
    headings: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    numbers: frozenset[int] = frozenset()
    note: str = ""


def heading(board: Board) -> Line:
    """What is watched, and which of how many streams is shown."""
    stream = board.streams.get(board.shown or "")
    address = board.link.url or ("" if stream is None else words.message(stream.url))
    parts = [Span("iris-exporter", bold=True), Span(f"  {address}", dim=True)]
    if board.shown is not None:
        parts += [Span("  stream "), Span(words.name(board.shown), bold=True)]
        if len(board.streams) > 1:
            place = list(board.streams).index(board.shown) + 1
            states = Counter(stream.state for stream in board.streams.values())
            counted = ", ".join(f"{number} {words.name(state)}" for state, number in states.most_common())
            parts.append(Span(f"  {place} of {len(board.streams)} ({counted})", dim=True))
    return tuple(parts)


def badge(board: Board, now: float) -> list[Line]:
    """The state of the stream that is shown, why it is not as wished, and what to do; `now` is Unix seconds here."""
    if not board.link.is_up:
        return _link_badge(board.link, now)
    stream = board.streams.get(board.shown) if board.shown is not None else None
    if stream is None:
        return [(Span(f" {_NO_SIGN} No stream ", bold=True, reverse=True), Span("  the sidecar has none now"))]
    return _stream_badge(stream, board, now + board.skew)


def _link_badge(link: Link, now: float) -> list[Line]:
    if link.failure is None:
        return [(_badge("◌", "Connecting", palette.PENDING), Span(f"  to {link.url}"))]
    in_seconds = words.span((link.next_attempt_at or now) - now)
    text = f"  attempt {link.attempt}, next in {in_seconds}"
    first = (_badge("✖", "No sidecar", palette.ERROR), Span(text))
    return [first, *_problem(link.failure, ADVICE.get(link.failure.reason) or _meaning(link.failure))]


def _stream_badge(stream: StreamObject, board: Board, now: float) -> list[Line]:
    state = words.name(stream.state)
    known = State(stream.state) if stream.state in _SIGNS else None
    colour = palette.OFF if known is None else palette.STATES[known]
    parts = []
    if stream.reconnect_attempt and known is not State.LIVE:
        parts.append(f"attempt {stream.reconnect_attempt}")
    if stream.next_attempt_at is not None and known is not State.LIVE:
        parts.append(f"next in {words.span(words.unix(stream.next_attempt_at) - now)}")
    if used := in_use(stream):
        parts.append(used)
    if stream.state_changed_at is not None:
        parts.append(f"since {words.span(now - words.unix(stream.state_changed_at))}")
    sign = _NO_SIGN if known is None else _SIGNS[known]
    first: list[Span] = [_badge(sign, state.capitalize(), colour), Span(f"  {', '.join(parts)}")]
    if flow := flow_words(stream, now):
        first.append(Span(f"  {flow}", palette.FLOWS[stream.data_flow or ""]))
    if board.paused:
        first.append(Span(f"  Paused, {board.unseen} new events", palette.PENDING, bold=True))
    lines: list[Line] = [tuple(first)]
    if stream.failure is not None or stream.error is not None:
        reason = stream.failure.reason if stream.failure is not None else "other"
        detail = (stream.error or "").removeprefix(reason).removeprefix(": ")
        failure = Failure(words.name(reason), words.message(detail))
        lines += _problem(failure, f"{_meaning(failure)} {failure.explanation.advice}")
    return lines


def _badge(sign: str, text: str, colour: str) -> Span:
    return Span(f" {sign} {text} ", colour, bold=True, reverse=True)


def _problem(failure: Failure, advice: str) -> list[Line]:
    """The class and the reason, then what it means and what to do."""
    kind = failure.explanation.failure_class
    first = Span(kind.value.capitalize(), palette.CLASSES[kind], bold=True)
    return [(first, Span(f"  {words.message(str(failure))}")), (Span(advice.replace("`", ""), dim=True),)]


def _meaning(failure: Failure) -> str:
    text = failure.explanation.meaning
    return f"{text[:1].upper()}{text[1:]}."


def card(each: Card, *, stale: bool) -> list[Line]:
    """A card: title, value with trend, sparkline."""
    trend = each.trend
    colour = "" if not trend else palette.GOOD if trend.startswith("↑") else palette.ERROR
    value = (Span(each.text, bold=True), Span(f"  {trend}" if trend else "", colour))
    return [(Span(each.kind.title, dim=True),), value, (Span("stale", dim=True) if stale else _bars(each),)]


def _bars(each: Card) -> Span:
    return Span(each.sparkline(SPARKLINE), palette.INFO)


def projects(shown: Shown | None, width: int) -> Table:
    """The projects, worst first; on few columns only status, name and success rate."""
    title = (Span("Projects", bold=True),)
    if shown is None or not shown.projects:
        return Table(title, (), (), note=_without_projects(shown))
    wide = width >= NARROW
    headings = ("Status", "Project", "Success", *(("Health", "Runs", "Experts", "Latency") if wide else ()))
    rows = tuple(_project(each, wide=wide) for each in shown.projects[:MAX_PROJECT_ROWS])
    more = len(shown.projects) + shown.more_projects - len(rows)
    note = f"and {more} more" if more else ""
    counted = Span(f"  {len(rows) + more}", dim=True)
    return Table((*title, counted), headings, rows, frozenset(range(2, len(headings))), note)


def _without_projects(shown: Shown | None) -> str:
    if shown is None or (not shown.has_overview and shown.problem is None):
        return "not known yet"
    if shown.problem is not None:
        return f"cannot be had: {words.message(str(shown.problem))}"
    return "what was heard is too old to be shown" if shown.stale else "none"


def _project(project: ProjectObject, *, wide: bool) -> tuple[Line, ...]:
    status = words.name(project.status or "unknown")
    colour = palette.STATUSES.get(status, palette.STATUSES["other"])
    cells = [_share(project.success_rate)]
    if wide:
        cells += [_share(project.health_score), _count(project.total_runs), _count(project.active_experts)]
        latency = project.avg_latency_seconds
        cells.append(words.NO_VALUE if latency is None else words.seconds(latency))
    name: Line = (Span(words.name(project.name or project.id)),)
    return ((Span(status, colour, bold=True),), name, *((Span(cell),) for cell in cells))


def _share(value: float | None) -> str:
    return words.NO_VALUE if value is None else words.share(value)


def _count(value: float | None) -> str:
    return words.NO_VALUE if value is None else words.count(value)


def events(board: Board, now: float) -> Table:
    """The feed: age, severity, and what has happened; `now` is Unix seconds here."""
    shown, chosen = board.details, board.filter
    rows = [] if shown is None else shown.feed.shown(chosen)
    title = [Span("Events", bold=True)]
    if board.missing or board.misses_some:
        number = f"{'at least ' if board.misses_some else ''}{board.missing}" if board.missing else "some"
        title.append(Span(f"  {number} were missed", palette.WARNING))
    if chosen.hidden:
        title.append(Span(f"  without {', '.join(each for each in (*SEVERITIES, OTHER) if each in chosen.hidden)}"))
    if chosen.text:
        title.append(Span(f"  with {words.name(chosen.text)!r}"))
    note = "" if rows else "none that passes the filter" if chosen != Filter() else "none yet"
    return Table(tuple(title), (), tuple(_event(row, now + board.skew) for row in rows), frozenset({0}), note)


def _event(row: Row, now: float) -> tuple[Line, ...]:
    age = words.NO_VALUE if row.at is None else words.span(now - row.at)
    colour = palette.SEVERITIES.get(row.severity, palette.OFF)
    return (Span(age, dim=True),), (Span(row.severity, colour, bold=True),), (Span(event_words(row)),)


def details(board: Board, now: float, width: int) -> list[Line]:
    """What the old page's panel for developers had: counters and times; `now` is the sidecar's Unix seconds."""
    stream = board.streams.get(board.shown) if board.shown is not None else None
    if stream is None:
        return [(Span("nothing is known yet"),)]
    speed = board.speeds[stream.name]
    rate, delay = speed.per_second, speed.mean_delay
    extensions = "none" if stream.extensions is None else ", ".join(map(words.name, stream.extensions)) or "none"
    figures = {
        "source": words.message(stream.url),
        "last message": words.ago(stream.last_message, now),
        "last update": words.ago(stream.last_update, now),
        "messages": words.count(stream.messages_total),
        "rate": "not known" if rate is None else f"{rate:.1f} messages/s",
        "delay": "not known" if delay is None else f"{delay:.3f} s",
        "events missing": words.count(stream.event_gaps_total),
        "last resume": words.name(stream.last_resume or "none was needed"),
        "last failure": words.ago(stream.last_failure_at, now),
        "extensions": extensions,
    }
    return _flow([(Span(f"{key} ", dim=True), Span(text)) for key, text in figures.items()], width)


KEYS = (
    ("r", "retry"), ("d", "disconnect"), ("x", "reset"), ("p", "pause"), ("1-4", "severities"), ("/", "filter"),
    ("n/N", "stream"), ("i", "details"), ("q", "quit"),
)  # fmt: skip


def keys(width: int) -> list[Line]:
    """The keys, for the last lines."""
    return _flow([(Span(key, bold=True), Span(f" {text}")) for key, text in KEYS], width)


def _flow(parts: Sequence[Line], width: int) -> list[Line]:
    """Parts one after another, on as many lines as it takes for none to be divided; one that is longer has its own."""
    lines: list[Line] = []
    for part in parts:
        if lines and len(words.plain(lines[-1])) + 3 + len(words.plain(part)) <= width:
            lines[-1] = (*lines[-1], Span("   "), *part)
        else:
            lines.append(part)
    return lines
