"""JSON texts one after another in a body, cut at what separates them; pure.

Newline-delimited JSON has a line feed after each text, a JSON text sequence a record separator before each. Bytes are
cut and never decoded text, because U+2028 and its kin are line ends to Python and not to JSON. Blank lines are signs of
life (CouchDB sends them as heartbeats) and no messages.

Source: the NDJSON specification 1.0.0; RFC 7464, section 2.
"""

from iris_exporter.errors import LimitExceededError

LINE_FEED = b"\n"
RECORD_SEPARATOR = b"\x1e"


class LineParser:
    """Feed bytes, take whole messages. `separator` is one byte.

    `closed` is True once more than `max_message_bytes` were pending, or came, for one message: what was complete before
    it has been returned, and the connection should be dropped.
    """

    def __init__(self, max_message_bytes: int, separator: bytes = LINE_FEED) -> None:
        self.closed = False
        self._limit = max_message_bytes
        self._separator = separator
        self._pending: list[bytes] = []  # pieces of the last message, joined only when its end has come
        self._pending_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Consume a piece of the body, cut anywhere, and return the messages that it completes, in order.

        Raises:
            LimitExceededError: The parser was closed by an earlier feed.
        """
        if self.closed:
            raise LimitExceededError("message", self._limit)
        first, *others = chunk.split(self._separator)
        if not self._add(first) or not others:
            return []
        messages = [b"".join(self._pending), *others[:-1]]
        self._pending.clear()
        self._pending_bytes = 0
        whole = messages
        if len(chunk) > self._limit:
            messages = self._within_limit(messages)
        if len(messages) == len(whole):
            self._add(others[-1])
        return [message for message in messages if message and not message.isspace()]

    def rest(self) -> list[bytes]:
        """The message without an end that the body has ended in, which may be a whole one; call it once."""
        last = b"".join(self._pending)
        self._pending.clear()
        return [last] if last and not last.isspace() else []

    def _add(self, piece: bytes) -> bool:
        """Add to the last message; False, and closed, where it is too large now."""
        if piece:
            self._pending.append(piece)
            self._pending_bytes += len(piece)
            if self._pending_bytes > self._limit:
                self._close()
                return False
        return True

    def _within_limit(self, messages: list[bytes]) -> list[bytes]:
        """The messages before the first one that is too large."""
        for index, message in enumerate(messages):
            if len(message) > self._limit:
                self._close()
                return messages[:index]
        return messages

    def _close(self) -> None:
        self.closed = True
        self._pending.clear()
        self._pending_bytes = 0
