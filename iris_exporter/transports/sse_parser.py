"""Server-sent events, as the WHATWG text has them: bytes in, events out.

Theory of operation. Bytes are buffered until a line is complete; a line ends with LF, CRLF or a lone CR. A CR at the
very end of the buffer may be half of a CRLF, but the line it ends is complete either way, so it is processed at once
and a following LF is swallowed: an event that a server ends with CR CR must not wait for the next byte to arrive.
Lines are split on bytes, never on decoded text, because U+2028 and its kin are line ends to Python and not to the
standard.

Nearly every real stream sends whole events of one data line each with LF ends, many of them in one piece, and whoever
reads a telemetry stream wants their data alone. `feed_data` takes those with one search of a regular expression that
matches either a plain event or all the rest; if there is a rest, the whole piece goes line by line, and so does what
begins or ends in the middle of an event. Both ways bring the same data, last event id and end.

The `data` of an event is given as bytes: JSON decoders want bytes, and an invalid UTF-8 sequence is theirs to report.

Some servers say that they live by an event that is named so (`ping`, `heartbeat`, ...) and has no message in its data.
That is no data; whoever wants to know looks at what `feed` returns, or that bytes came at all.

Source: WHATWG HTML, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event stream".
"""

import re
from typing import NamedTuple

from iris_exporter.errors import LimitExceededError

_BOM = b"\xef\xbb\xbf"
_BLANK_LINES = re.compile(rb"[\r\n]*")
_LINE_END = re.compile(rb"\r\n|\n|\r")
# An event in the plain form, whose name does not begin as that of a sign of life, or everything that follows when the
# next one is not; then the group is empty. No CR and no NUL may be in what is searched: `.` takes every byte but LF,
# and is several times faster than a class of bytes.
_PLAIN_FIELD_BYTES = 255
_PLAIN_EVENT = re.compile(
    rb"(?:id:.{0,%(n)d}\n)?(?:event:(?! ?(?i:ping|pong|heart|keep)).{0,%(n)d}\n)?(?:id:.{0,%(n)d}\n)?"
    rb"data: ?(.*)\n\n|(?s:.+)" % {b"n": _PLAIN_FIELD_BYTES}
)


_SIGNS_OF_LIFE = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
_TYPE = b'"type"'  # every message has one


class SseEvent(NamedTuple):
    """One dispatched event. `name` is `message` when the stream gave none; `id` is the last event id in force."""

    name: str
    data: bytes
    id: str


def is_sign_of_life(event: SseEvent) -> bool:
    """Whether an event says by its name that the server lives, and carries no message."""
    return event.name.lower() in _SIGNS_OF_LIFE and _TYPE not in event.data


class SseParser:
    """Feed bytes, take events; then read `closed`, `last_event_id` and `retry_milliseconds`.

    `last_event_id` is what a reconnect sends as `Last-Event-ID`: it moves when an event is dispatched or an empty
    block with an id ends, not when an id line is read. `retry_milliseconds` is None until the stream says so.
    `closed` is True once more than `max_event_bytes` were pending for one event (a line can be as long as an event,
    so one number bounds both): what was complete before has been returned, and the connection should be dropped.
    """

    def __init__(self, max_event_bytes: int, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_milliseconds: int | None = None
        self.closed = False
        self._limit = max_event_bytes
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

    def feed_data(self, chunk: bytes) -> list[bytes]:
        """As `feed`, and return only the data of the events that are more than a sign of life: several times faster
        where they are plain.

        Raises:
            LimitExceededError: The parser was closed by an earlier feed.
        """
        start = 0
        found: list[bytes] = []
        if not self._between_events():
            start = chunk.find(b"\n\n") + 2
            if start < 2:
                return self._data_of(chunk)
            found = self._data_of(chunk[:start])
            if self.closed or start == len(chunk):
                return found
        end = chunk.rfind(b"\n\n", start) + 2
        if end >= 2 and (plain := self._plain_data(chunk, start, end)) is not None:
            found += plain
            start = end
        if start < len(chunk):
            found += self._data_of(chunk[start:])
        return found

    def _data_of(self, chunk: bytes) -> list[bytes]:
        return [event.data for event in self.feed(chunk) if not is_sign_of_life(event)]

    def _between_events(self) -> bool:
        """Whether nothing of an event is kept, so that the next byte begins one."""
        kept = self._pending or self._data or self._name
        return not (self.closed or self._start_of_stream or self._after_cr or kept)

    def _plain_data(self, chunk: bytes, start: int, end: int) -> list[bytes] | None:
        """The data of the events in `chunk[start:end]` when all of them are plain; None, and no change, otherwise."""
        if b"\r" in chunk or b"\0" in chunk or self._limit < _PLAIN_FIELD_BYTES:
            return None
        found: list[bytes] = _PLAIN_EVENT.findall(chunk, start, end)
        # An empty last one may be the rest that is not plain. Only in a piece over the limit can an event be over it.
        if not found[-1] or (end - start > self._limit and max(map(len, found)) > self._limit):
            return None
        # No line of a plain event but its id line begins like that.
        line = chunk.rfind(b"\nid:", start, end) + 1
        if line or chunk.startswith(b"id:", start):
            self._field(chunk[line or start : chunk.index(b"\n", line or start)])
        self.last_event_id = self._id_buffer
        return found

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
