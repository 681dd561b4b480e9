"""From what was recorded of a source to what a link would bring: an event stream, JSON documents, or lines.

The form is found from the content. A record separator begins a JSON text sequence. A first line that is a field of an
event stream makes it one; a whole that is one JSON value is one message; JSON values one after another, over several
lines, are one each; in all other cases every line that is not empty is one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from iris_exporter.decoding.dialect import Frame, NamedEvent
from iris_exporter.transports.lines import RECORD_SEPARATOR
from iris_exporter.transports.sse_parser import SseParser

MAX_BYTES = 64 * 1024 * 1024
"""Of one sample; more is a recording, not a sample."""

_EVENT_STREAM = re.compile(rb"\s*(?::|(?:data|event|id|retry)(?::|\r?\n))")
_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it arrives; `last_event_id` is that of an event stream, None elsewhere."""

    frame: Frame
    last_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """A sample; `form` is sse, json, json-seq or lines."""

    form: str
    arrivals: tuple[Arrival, ...]


def read_sample(content: bytes, *, names_events: bool, lines: bool) -> Recording:
    """Return what is in a sample.

    Args:
        content: The sample.
        names_events: Whether the mapping reads names and ids of events.
        lines: Every line is a message, whatever it looks like.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not lines and _EVENT_STREAM.match(content):
        return Recording("sse", tuple(_events(content, names_events=names_events)))
    if content.startswith(RECORD_SEPARATOR):
        texts = map(bytes.strip, content.split(RECORD_SEPARATOR))
        return Recording("json-seq", tuple(Arrival(text) for text in texts if text))
    values = None if lines else _documents(content)
    if values is not None:
        return Recording("json", tuple(map(Arrival, values)))
    return Recording("lines", tuple(Arrival(line) for line in map(bytes.strip, content.splitlines()) if line))


def _events(content: bytes, *, names_events: bool) -> Iterator[Arrival]:
    parser = SseParser(MAX_BYTES)
    # A file may lack the empty line that ends its last event.
    for event in parser.feed(content + b"\n\n"):
        frame = NamedEvent(event.name, event.data, event.id) if names_events else event.data
        yield Arrival(frame, event.id or None)


def _documents(content: bytes) -> list[bytes] | None:
    """The JSON values that a text consists of, where one of them has several lines or there is only one; else None."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    decoder = json.JSONDecoder()
    found: list[bytes] = []
    at = _skipped(text, 0)
    try:
        while at < len(text):
            _, end = decoder.raw_decode(text, at)
            found.append(text[at:end].encode())
            at = _skipped(text, end)
    except (ValueError, RecursionError):
        return None
    return found if len(found) == 1 or any(b"\n" in value for value in found) else None


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at
