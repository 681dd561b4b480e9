"""What came of a trial, as text: the exposition, and behind it everything else as comments of it.

So the whole is an exposition still: `promtool check metrics` reads it, and it can be what a test expects.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from iris_exporter.decoding.mapped.patient import OTHER
from iris_exporter.decoding.problems import MAPPING_REASONS, REASONS
from iris_exporter.model.mapped_series import width_of
from iris_exporter.trial.running import Found, Result

_MAX_CHARS = 160
_MAX_LINES = 30
_WIDTH = 118


def report(result: Result) -> str:
    """Return what a person reads of a trial."""
    lines = [line for part in _PARTS for line in part(result)]
    return result.exposition + "".join(f"# {line}\n" if line else "#\n" for line in lines)


def _messages(result: Result) -> Iterator[str]:
    total = sum(result.messages.values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in result.messages.items())
    yield f"messages: {total}" + (f" ({kinds})" if kinds else "")
    again = " (left out: their id was that of an earlier event)" if result.duplicates else ""
    yield f"elements filtered: {result.filtered}; duplicates: {result.duplicates}{again}; gaps: {result.gaps}"
    without = [entry.kind for entry in result.mapping.entries if not result.messages[entry.kind]]
    if without:
        yield f"kinds without a message: {', '.join(without)}"
    for (code, reason), count in result.errors.items():
        yield f"error of the source: {_short(code) or 'without a code'}, which is the reason {reason} ({count})"


def _unmatched(result: Result) -> Iterator[str]:
    if result.messages[OTHER]:
        yield f"no entry takes {result.messages[OTHER]}; the first of each shape:"
        yield from (f"  {_short(text)}" for text in result.unmatched)


def _problems(result: Result) -> Iterator[str]:
    if result.problems:
        yield "problems:"
        yield from _limited(f"  {_problem(found, count)}" for found, count in result.problems.items())
    for kind, count in result.dropped.items():
        yield f"  dropped: {kind} {count} (limits of the mapping)"


def _problem(found: Found, count: int) -> str:
    where = " ".join(part for part in (found.kind, found.metric) if part) or "a message"
    what = f", found {found.found}" if found.found is not None else ""
    meaning = (MAPPING_REASONS if found.kind else REASONS).get(found.reason, "")
    return f"{where}: {found.reason} at {found.path or '$'}{what} ({count}): {meaning}"


def _coverage(result: Result) -> Iterator[str]:
    yield from _by_kind("paths that found nothing:", result.coverage.missed())
    yield from _by_kind("fields that nobody reads:", result.coverage.unread())


def _by_kind(title: str, texts: Mapping[str, Iterable[str]]) -> Iterator[str]:
    if texts:
        yield title
    for kind, each in texts.items():
        yield from textwrap.wrap(
            f"{kind}: {', '.join(_limited(each))}", _WIDTH, initial_indent="  ", subsequent_indent="    ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def _records(result: Result) -> Iterator[str]:
    """What would go to a collector, if log records and spans are exported."""
    parts = list(result.mapping.parts)
    if any(part.log is not None for part in parts):
        yield f"log records over OTLP: {_counts(result.logged)}"
        for event in result.records:
            named = "" if event.metadata == b"{}" else event.metadata.decode()
            yield "  " + _short(" ".join(filter(None, (event.severity, event.message or "(no body)", event.id, named))))
        if (more := sum(result.logged.values()) - len(result.records)) > 0:
            yield f"  and {more} more"
    if any(part.trace is not None for part in parts):
        yield f"spans over OTLP, each linked to one of the source: {_counts(result.traced)}"


def _counts(kinds: Mapping[str, int]) -> str:
    total = sum(kinds.values())
    return f"{total} ({', '.join(f'{kind} {count}' for kind, count in kinds.items())})" if total else "0"


def _series(result: Result) -> Iterator[str]:
    counts = [(metric, result.series.get(metric.name, 0)) for metric in result.mapping.metrics]
    total = sum(count * width_of(metric) for metric, count in counts)
    yield f"series: {total} of {result.mapping.limits.series}; label sets of each metric:"
    for metric, count in counts:
        yield f"  {metric.name}: {count} of {metric.limit}" + ("" if count else "  <- nothing came")


def _promise(result: Result) -> Iterator[str]:
    yield f"guarantee: {result.guarantee.counted}: {result.guarantee.why}"
    if result.mapping.cursor is None or result.mapping.cursor.by is not None:
        return
    yield f"cursor: {_short(result.cursor) or 'none yet'}"
    if result.resume:
        yield f"the next request has {_short(result.resume)}"


_PARTS = (_messages, _unmatched, _problems, _coverage, _records, _series, _promise)


def _limited(lines: Iterable[str]) -> Iterator[str]:
    every = list(lines)
    yield from every[:_MAX_LINES]
    if len(every) > _MAX_LINES:
        yield f"and {len(every) - _MAX_LINES} more"


def _short(text: str) -> str:
    """A text in one line that cannot confuse a terminal."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if len(shown) <= _MAX_CHARS else f"{shown[: _MAX_CHARS - 3]}..."
