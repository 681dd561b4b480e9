"""What is said to a source with a mapping on one connection: the steps of `open`, the resume, heartbeats and replies.

Pure: what is to be sent is returned. It may hold secrets, and nothing else here does.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from typing_extensions import override

from iris_exporter.core.failures import Failure
from iris_exporter.decoding.dialect import Frame, Opening, Outgoing
from iris_exporter.decoding.json_text import parse
from iris_exporter.decoding.mapped.patient import EntryReader, all_hold
from iris_exporter.decoding.mapped.pieces import Piece, pieces_of
from iris_exporter.decoding.mapped.places import Scope
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.paths import MISSING
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.mapping.spec import Role, Template

_NONE: Mapping[str, str] = MappingProxyType({})


class Conversation(Opening):
    """One connection. `begin` first; then `take` what arrives until `timeout_seconds` is None.

    `parameters` are those of the stream, `origin` is scheme and host of its address, `cursor` is as it is sent, empty
    where the connection begins now.
    """

    def __init__(
        self,
        mapping: SourceMapping,
        *,
        stream: str = "",
        parameters: Mapping[str, str] = _NONE,
        secrets: Mapping[str, str] = _NONE,
        origin: str = "",
        cursor: str = "",
    ) -> None:
        self.step = 0
        self._format = mapping.format
        self._steps = list(mapping.open)
        self._errors = [EntryReader(entry, ()) for entry in mapping.entries if entry.role is Role.ERROR]
        # Of these the first that takes a message decides; those behind the last one with a reply do not matter.
        entries = mapping.entries
        most = max((number for number, entry in enumerate(entries, 1) if entry.reply is not None), default=0)
        self._replying = [EntryReader(entry, ()) for entry in entries[:most]]
        self._stream = stream
        self._number = 0
        self._values = {"cursor": cursor, "origin": origin}
        self._values |= {f"param.{name}": value for name, value in parameters.items()}
        self._values |= {f"secret.{name}" if name else "secret": value for name, value in secrets.items()}
        resume = None if mapping.cursor is None else mapping.cursor.resume
        self._resume = resume.message if resume is not None and cursor else None  # until it is sent

    def say(self, template: Template) -> Outgoing:
        """What is sent for a template. A name that stands for nothing is an empty text."""
        return self.text(template).encode("utf-8", "replace")

    def text(self, template: Template) -> str:
        """The same as text."""
        return template.render(self._value)

    def begin(self) -> Sequence[Outgoing]:
        """What to send at once."""
        messages: list[Outgoing] = []
        while self._steps and (template := self._steps[0].send) is not None:
            messages.append(self.say(template))
            self._steps.pop(0)
        if not self._steps and self._resume is not None:
            messages.append(self.say(self._resume))
            self._resume = None
        return messages

    @property
    @override
    def timeout_seconds(self) -> float | None:
        return self._steps[0].timeout_seconds if self._steps else None

    @override
    def take(self, frames: Sequence[Frame]) -> tuple[Sequence[Outgoing], Failure | None]:
        messages: list[Outgoing] = []
        for piece in (piece for frame in frames for piece in pieces_of(frame, self._format)):
            if not self._steps:
                break
            scope, awaited = self._scope(piece), self._steps[0]
            # `fail` before entries of role error: it is about this very step, and an error may be about anything.
            for fail in awaited.fail if scope.message is not MISSING else ():
                if all_hold(fail.when, scope):
                    return messages, Failure(fail.reason, "the source has refused what it was sent after connecting")
            if any(reader.taken(scope, piece.text) is not None for reader in self._errors):
                # What it says is decoded when the link has ended, and then counts as the cause.
                return messages, Failure("handshake", "the source has answered with an error")
            if scope.message is MISSING:
                continue
            if awaited.await_ is not None and all_hold(awaited.await_, scope):
                self.step += 1
                self._steps.pop(0)
                messages += self.begin()
        return messages, None

    def replies_to(self, frames: Sequence[Frame]) -> Sequence[Outgoing]:
        """What the messages in these frames are answered by."""
        if not self._replying:
            return ()
        return [
            self.say(reader.entry.reply)
            for frame in frames
            for piece in pieces_of(frame, self._format)
            if (reader := self._reader_of(piece)) is not None and reader.entry.reply is not None
        ]

    def _reader_of(self, piece: Piece) -> EntryReader | None:
        """The entry that takes a message, where one that wants a reply may."""
        scope = self._scope(piece)
        return next((reader for reader in self._replying if reader.taken(scope, piece.text) is not None), None)

    def _scope(self, piece: Piece) -> Scope:
        scope = Scope(MISSING, piece.event, piece.id, self._stream)
        with suppress(DecodeError):  # it is counted when it is decoded
            scope.message = parse(piece.json)
        return scope

    def _value(self, name: str) -> object:
        if name != "next":
            return self._values.get(name, "")
        self._number += 1
        return self._number
