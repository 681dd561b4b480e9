"""One connection to a stream that takes subscriptions: what was granted, and what its envelopes mean with that.

Envelopes are plain values, as JSON has them, whatever the encoding was. What a subscription changes is undone here:
batches are taken apart, and changes become whole objects.

Source: docs/protocol.md, section 6.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from iris_exporter.decoding import values
from iris_exporter.decoding.dialect import NOTHING_NOTED, Noted
from iris_exporter.decoding.iris_json.decoder import message_from
from iris_exporter.decoding.iris_json.objects import converted, fields_of, read_fields
from iris_exporter.decoding.iris_stream.deltas import Deltas, OutOfSyncError
from iris_exporter.decoding.iris_stream.options import Asked, extensions_of, subscribe
from iris_exporter.decoding.messages import Message, Resumed, Subscribed, Update, UpstreamError
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError

MAX_MESSAGES = 10_000
"""Messages in a batch: more than fit into one with events in them, and ten times what sources grant."""
MAX_LOSSES = 3
"""How often a source may lose us before its changes are no longer asked for."""
_FINE_AFTER = 1000
"""Changes that were applied since, after which that counts from 0 again."""
_INVALID = "INVALID_REQUEST"
_RESUMED = fields_of(Resumed)


class Session:
    """The subscription of one stream; `begin` with each connection. What a source fails at outlasts connections."""

    def __init__(self, asked: Asked, problems: Problems) -> None:
        self.asked = asked
        self.extensions: frozenset[str] = frozenset()
        self._problems = problems
        self._deltas = Deltas()
        self._losses = 0  # in a row, over all connections
        self._applied = 0  # changes since the last one
        self._refused_fields = False
        self._batches: list[int] = []
        self._noted_losses = 0
        self._request: bytes | None = None
        self.begin()

    def begin(self) -> None:
        """A connection begins: nothing is granted yet."""
        self.extensions = frozenset()
        self._is_waiting = True  # for the answer to a subscription
        self._is_whole = False
        """Whether the next update has all that is granted."""
        self._deltas.begin()

    def options(self) -> dict[str, Any]:
        """What to ask for."""
        return self.asked.options(delta=self._losses < MAX_LOSSES, fields=not self._refused_fields)

    def noted(self) -> Noted:
        """See `Dialect.noted`."""
        if not self._batches and not self._noted_losses and self._request is None:
            return NOTHING_NOTED
        noted = Noted(self._batches, self._noted_losses, self._request)
        self._batches, self._noted_losses, self._request = [], 0, None
        return noted

    def note_batch(self, messages: int) -> None:
        """A batch of so many messages has been taken apart."""
        self._batches.append(messages)

    def messages(self, envelope: Any) -> Iterator[Message | DecodeError]:
        """The messages that an envelope stands for, in order."""
        if not isinstance(envelope, dict) or envelope.get("type") != "batch":
            yield from self._one(envelope)
            return
        found = envelope.get("messages")
        if not isinstance(found, list):
            yield DecodeError("wrong_type", "$.messages", "a batch must have a list of messages")
            return
        self.note_batch(len(found))
        for each in found[:MAX_MESSAGES]:
            yield from self._one(each)
        if len(found) > MAX_MESSAGES:
            yield DecodeError("too_long", f"$.messages[{MAX_MESSAGES}]", "more messages in a batch than are read")

    def _one(self, envelope: Any) -> Iterator[Message | DecodeError]:
        kind = envelope.get("type") if isinstance(envelope, dict) else None
        read = _READERS.get(kind) if isinstance(kind, str) else None
        try:
            message = message_from(envelope, self._problems) if read is None else read(self, envelope)
        except DecodeError as error:
            yield error
        else:
            if message is not None:
                yield message
        finally:
            self._problems.base = "$"

    def _subscribed(self, envelope: dict[str, Any]) -> Message:
        data = envelope.get("data")
        if not isinstance(data, dict):
            raise DecodeError("no_data", "$.data", "the answer to a subscription has no data")
        self._problems.base = "$.data"
        self._is_waiting = False
        self._is_whole = True
        self._deltas.begin()
        self.extensions = extensions_of(data)
        if "events" not in self.asked.channels:
            return Subscribed(None, self.extensions)  # positions are those of events: none is missing, or to be resumed
        position = converted(data, ("position",), values.position, self._problems)
        answer = data.get("resume")
        if not isinstance(answer, dict):
            return Subscribed(position, self.extensions)
        self._problems.base = "$.data.resume"
        return Subscribed(position, self.extensions, Resumed(**read_fields(answer, _RESUMED, self._problems)))

    def _update(self, envelope: dict[str, Any]) -> Message | None:
        """Whole objects, which can be used even where one before them is missing."""
        data = envelope.get("data")
        if "delta" in self.extensions and not self._is_waiting and isinstance(data, dict) and not _is_replay(envelope):
            try:
                self._deltas.follow(envelope.get("seq"))
                self._deltas.replace(data)
            except OutOfSyncError:
                self._lose()
        message = message_from(envelope, self._problems)
        if not self._is_whole or not isinstance(message, Update) or message.replay:
            return message
        self._is_whole = False
        return msgspec.structs.replace(message, is_whole=True)

    def _delta(self, envelope: dict[str, Any]) -> Message | None:
        data = envelope.get("data")
        if not isinstance(data, dict):
            raise DecodeError("no_data", "$.data", "the message has no data")
        if self._is_waiting and self._noted_losses + self._losses:
            return None  # one of the old subscription, until the new one has been answered
        if "delta" not in self.extensions:
            self._lose()
            return None
        try:
            self._deltas.follow(envelope.get("seq"))
            whole = self._deltas.apply(data)
        except OutOfSyncError:
            self._lose()
            return None
        self._applied += 1
        if self._applied >= _FINE_AFTER:
            self._losses = 0
        found = message_from({**envelope, "type": "update", "data": whole}, self._problems)
        return msgspec.structs.replace(found, message_type="delta") if isinstance(found, Update) else found

    def _lose(self) -> None:
        """Ask for everything anew; without changes if that has not helped."""
        self._losses += 1
        self._applied = 0
        self._noted_losses += 1
        self._is_waiting = True
        self._request = subscribe(self.options())

    def _error(self, envelope: dict[str, Any]) -> Message:
        message = message_from(envelope, self._problems)
        is_refusal = isinstance(message, UpstreamError) and message.code == _INVALID
        if is_refusal and self._is_waiting and self.asked.fields and not self._refused_fields:
            # It may not know one of the fields, which say least of what is asked for.
            self._refused_fields = True
            self._request = subscribe(self.options())
        return message


def _is_replay(envelope: dict[str, Any]) -> bool:
    """Replays repeat events, and say nothing of the state."""
    return bool(envelope.get("replay"))


_READERS = {
    "subscribed": Session._subscribed,  # noqa: SLF001
    "update": Session._update,  # noqa: SLF001
    "delta": Session._delta,  # noqa: SLF001
    "error": Session._error,  # noqa: SLF001
}
