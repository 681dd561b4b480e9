"""Server-sent events, as the WHATWG text has them: bytes in, events out.

Theory of operation. Bytes are buffered until a line is complete; a line ends with LF, CRLF or a lone CR. A CR at the
very end of the buffer may be half of a CRLF, but the line it ends is complete either way, so it is processed at once
and a following LF is swallowed: an event that a server ends with CR CR must not wait for the next byte to arrive.
Lines are split on bytes, never on decoded text, because U+2028 and its kin are line ends to Python and not to the
standard.

Nearly every real stream sends whole events of one data line each with LF ends, many of them in one piece, and a
dialect reads their data alone. `feed_frames` takes those as columns where all of them have one shape (`sse_columns`),
or with one search of a regular expression that matches either a plain event or all the rest; if there is a rest, the
whole piece goes line by line, and so does what begins or ends in the middle of an event. All ways bring the same data,
last event id and end. An event with a name that the dialect has asked for is not plain.

The `data` of an event is given as bytes: decoders want bytes, and an invalid UTF-8 sequence is theirs to report.

Source: WHATWG HTML, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from iris_exporter.decoding.dialect import Frame, NamedEvent
from iris_exporter.errors import LimitExceededError
from iris_exporter.transports.sse_columns import columns_of

_BOM = b"\xef\xbb\xbf"
_BLANK_LINES = re.compile(rb"[\r\n]*")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLANK_LINE = b"\n\n"
_PLAIN_FIELD_BYTES = 4096
"""Longer ids or names go line by line. Wikimedia's ids take some 80 bytes for each topic that is asked for."""
_AT_ONCE_BYTES = 128 * 1024
"""How much is plain or not as a whole: one event that is not plain makes so much slower."""
_COLUMNS_BYTES = 4096
"""From here on columns cost less than the regular expression; with a few events their fixed costs are more."""


@cache
def _plain_event(names: frozenset[str]) -> re.Pattern[bytes]:
    """An event in the plain form, with none of these names, or everything that follows when the next one is not.

    Then the group is empty. No CR and no NUL may be in what is searched: `.` takes every byte but LF, and is several
    times faster than a class of bytes.
    """
    special = "|".join(map(re.escape, sorted(names))).encode()
    # Most names differ in their first letter, and a set of letters is looked up faster than several words.
    first = "".join({re.escape(name[0] + name[0].upper()) for name in names}).encode()
    name = rb"(?! ?(?=[%b])(?i:%b)\n)" % (first, special) if names else b""
    return re.compile(
        rb"(?:id:.{0,%(n)d}\n)?(?:event:%(name)b.{0,%(n)d}\n)?(?:id:.{0,%(n)d}\n)?data: ?(.*)\n\n|(?s:.+)"
        % {b"n": _PLAIN_FIELD_BYTES, b"name": name}
    )


_NAMED_EVENT = re.compile(
    rb"(id:.{0,%(n)d}\n)?(?:event: ?(.{0,%(n)d})\n)?(id:.{0,%(n)d}\n)?data: ?(.*)\n\n|((?s:.+))"
    % {b"n": _PLAIN_FIELD_BYTES}
)
"""The same with names and ids: an event in the plain form, or everything that follows when the next one is not."""


class SseEvent(NamedTuple):
    """One dispatched event. `name` is `message` when the stream gave none; `id` is the last event id in force."""

    name: str
    data: bytes
    id: str


class SseParser:
    """Feed bytes, take events or frames; then read `closed`, `last_event_id` and `retry_milliseconds`.

    `event_names`, in lower case, are those that become `NamedEvent` frames; every other event is its data. With
    `names_events` all become such frames, with their names as sent and their ids.
    `last_event_id` is what a reconnect sends as `Last-Event-ID`: it moves when an event is dispatched or an empty
    block with an id ends, not when an id line is read. `retry_milliseconds` is None until the stream says so.
    `closed` is True once more than `max_event_bytes` were pending for one event (a line can be as long as an event,
    so one number bounds both): what was complete before has been returned, and the connection should be dropped.
    """

    def __init__(
        self,
        max_event_bytes: int,
        last_event_id: str = "",
        event_names: frozenset[str] = frozenset(),
        *,
        names_events: bool = False,
    ) -> None:
        self.last_event_id = last_event_id
        self.retry_milliseconds: int | None = None
        self.closed = False
        self._limit = max_event_bytes
        self._event_names = event_names
        self._names_events = names_events
        self._plain_event = _plain_event(event_names)
        self._pending: list[bytes] = []  # pieces of one incomplete line, joined only when its end has come
        self._pending_bytes = 0
        self._start_of_stream = True
        self._after_cr = False
        self._id_buffer = last_event_id
        self._name = ""
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Consume a piece of the stream and return the events it completes, in order.

        Args:
            chunk: Any number of bytes, cut anywhere; empty is allowed and does nothing.

        Raises:
            LimitExceededError: The parser was closed by an earlier feed.

        What is pending when the stream ends is discarded, as the standard wants: just stop feeding.
        """
        if self.closed:
            raise LimitExceededError("SSE event", self._limit)
        events: list[SseEvent] = []
        if not chunk:
            return events
        if self._start_of_stream:
            chunk = b"".join((*self._pending, chunk))
            self._pending.clear()
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._pending.append(chunk)
                return events
            self._start_of_stream = False
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:
                chunk = chunk[1:]
        if self._pending and (b"\n" in chunk or b"\r" in chunk):
            self._pending.append(chunk)
            chunk = b"".join(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
        if not self._pending:
            chunk = chunk[self._consume(chunk, events) :]
        if chunk and not self.closed:
            self._pending.append(chunk)
            self._pending_bytes += len(chunk)
            # The field name belongs to the line and not to the event, hence the small allowance.
            if self._pending_bytes + self._data_bytes > self._limit + len(b"data: "):
                self._close()
        return events

    def feed_frames(self, chunk: bytes) -> list[Frame]:
        """As `feed`, and return frames: several times faster where the events are plain.

        Raises:
            LimitExceededError: The parser was closed by an earlier feed.
        """
        start = 0
        found: list[Frame] = []
        if not self._between_events():
            start = chunk.find(_BLANK_LINE) + 2
            if start < 2:
                return self._frames_of(chunk)
            found = self._frames_of(chunk[:start])
        while start < len(chunk) and not self.closed:
            end = chunk.rfind(_BLANK_LINE, start, start + _AT_ONCE_BYTES) + 2
            if end < 2:
                end = chunk.find(_BLANK_LINE, start) + 2
            if end < 2:
                return found + self._frames_of(chunk[start:])
            part = chunk[start:end]
            plain = self._plain_named(part) if self._names_events else self._plain_data(part)
            found += self._frames_of(part) if plain is None else plain
            start = end
        return found

    def _frames_of(self, chunk: bytes) -> list[Frame]:
        names = self._event_names
        if self._names_events:
            return [NamedEvent(event.name, event.data, event.id) for event in self.feed(chunk)]
        return [
            NamedEvent(name, event.data) if (name := event.name.lower()) in names else event.data
            for event in self.feed(chunk)
        ]

    def _between_events(self) -> bool:
        """Whether nothing of an event is pending, so that the next byte begins one."""
        pending = self._pending or self._data or self._name
        return not (self.closed or self._start_of_stream or self._after_cr or pending)

    def _may_be_plain(self, events: bytes) -> bool:
        if b"\r" in events or b"\0" in events:
            return False
        # Ids and names count, too, where an event may be smaller than they.
        return self._limit >= _PLAIN_FIELD_BYTES or max(map(len, events.split(b"\n"))) <= self._limit

    def _plain_named(self, events: bytes) -> Sequence[Frame] | None:
        """Whole events with names and ids when all of them are plain; None, and no change, otherwise."""
        if not self._may_be_plain(events):
            return None
        rows = _NAMED_EVENT.findall(events)
        if rows[-1][4] or (len(events) > self._limit and max(len(row[3]) for row in rows) > self._limit):
            return None
        frames: list[Frame] = []
        last_id = self._id_buffer
        names: dict[bytes, str] = {b"": "message"}
        for first, name, second, data, _ in rows:
            if id_line := second or first:
                last_id = id_line[len(b"id:") : -1].removeprefix(b" ").decode("utf-8", "replace")
            if (text := names.get(name)) is None:
                text = names[name] = name.decode("utf-8", "replace")
            frames.append(NamedEvent(text, data, last_id))
        self.last_event_id = self._id_buffer = last_id
        return frames

    def _plain_data(self, events: bytes) -> Sequence[bytes] | None:
        """The data of whole events when all of them are plain; None, and no change, otherwise."""
        if not self._may_be_plain(events):
            return None
        if len(events) >= _COLUMNS_BYTES and (columns := columns_of(events, self._limit)) is not None:
            if not self._event_names.isdisjoint(columns.names):
                return None
            data, id_line = columns.data, columns.id_line
        else:
            data = self._plain_event.findall(events)
            # An empty last one may be the rest that is not plain. Only in more than the limit can an event be over it.
            if not data[-1] or (len(events) > self._limit and max(map(len, data)) > self._limit):
                return None
            # No line of a plain event but its id line begins like that.
            line = events.rfind(b"\nid:") + 1
            id_line = events[line : events.index(b"\n", line)]
        if id_line.startswith(b"id:"):
            self._field(id_line)
        self.last_event_id = self._id_buffer
        return data

    def _consume(self, buffer: bytes, events: list[SseEvent]) -> int:
        """Take every complete line; return where the first incomplete one begins."""
        find_line_end = _LINE_END.search
        position = 0
        end = len(buffer)
        while position < end and not self.closed:
            line_end = find_line_end(buffer, position)
            if line_end is None:
                break
            line = buffer[position : line_end.start()]
            position = line_end.end()
            # The same rule as for an incomplete line: what is refused in pieces is refused in one piece too.
            if len(line) + self._data_bytes > self._limit + len(b"data: "):
                self._close()
            elif line:
                self._field(line)
            else:
                self._dispatch(events)
                # More blank lines say nothing; a server that sends nothing else must not cost a step for each.
                position = _BLANK_LINES.match(buffer, position).end()  # type: ignore[union-attr]  # matches always
            self._after_cr = position == end and buffer[position - 1] == 0x0D
        return position

    def _close(self) -> None:
        self.closed = True
        self._pending.clear()
        self._data.clear()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
            if self._data_bytes - 1 > self._limit:
                self._close()
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id_buffer = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():  # bytes.isdigit takes ASCII digits alone
            # Nobody waits 10**12 ms; more digits than that would only make the conversion slow.
            self.retry_milliseconds = int(value) if len(value) <= 12 else 10**12
        # An empty name is a comment; any other field is ignored.

    def _dispatch(self, events: list[SseEvent]) -> None:
        self.last_event_id = self._id_buffer
        if self._data:
            events.append(SseEvent(self._name or "message", b"\n".join(self._data), self._id_buffer))
            self._data.clear()
            self._data_bytes = 0
        self._name = ""
