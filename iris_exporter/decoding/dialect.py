"""The seam between transports and the model: what one kind of source speaks.

A transport moves frames and knows no message; the model takes messages and knows no encoding. A `Dialect` is what lies
between them: what to offer and to send, what frames and documents mean, and where the documents are. `iris_json` is
one; docs/development.md describes how to add another.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from iris_exporter.core import negotiation
from iris_exporter.core.failures import Failure
from iris_exporter.core.negotiation import Probe
from iris_exporter.decoding.fields import MessageFields
from iris_exporter.decoding.messages import EventBatch, Message, Overview, Page, Ping, Pong
from iris_exporter.decoding.problems import Problems
from iris_exporter.errors import DecodeError
from iris_exporter.settings import StreamSettings


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary frame. It is no buffer, so that a parser of text refuses it."""

    data: bytes

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class NamedEvent:
    """A server-sent event that has one of the dialect's `event_names`.

    `id` is the last one in force, where the dialect wants it (`names_events`).
    """

    name: str
    data: bytes
    id: str = ""

    def __len__(self) -> int:
        return len(self.data)


class DocumentFrame(bytes):
    """A document that is one more message (`documents_are_messages`), and none of the stream.

    Several at once are the pages of one poll. `Noted.end` says why they are unusable.
    """

    __slots__ = ()


Outgoing = bytes | Binary
"""A message to send; bytes are text in UTF-8."""
Frame = bytes | Binary | NamedEvent
"""A frame as it arrived; bytes are text, and need not be UTF-8."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What a dialect has noticed beside the messages: the sizes of batches, and how often it lost track of changes.

    `request` is the message that brings it back on track; None where a link that takes messages needs none. A link that
    takes none has to be made anew. `reply` answers one of the messages. `end` is why the source sends nothing more
    although the link is open.

    `messages` counts what was decoded by the values of `message_type`, where the messages do not have them themselves;
    `filtered` counts elements that a mapping leaves out, `nameless` those that count without an id, and `problems` what
    it could not read, by kind of message, metric (empty for none) and reason. `is_cut` says that a poll had more pages
    than are asked for, and that what was left out is the oldest.
    """

    batches: Sequence[int] = ()
    losses: int = 0
    request: Outgoing | None = None
    end: Failure | None = None
    reply: Outgoing | None = None
    messages: Mapping[str, int] | None = None
    filtered: int = 0
    nameless: int = 0
    problems: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    is_cut: bool = False


NOTHING_NOTED = Noted()


@dataclass(frozen=True, slots=True)
class Call:
    """Where to ask, and with which headers beside those of every request. Both may hold a key: `repr` has neither."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


_OF_THE_POSITION = frozenset({400, 404, 410, 412, 416, 422})


class Opening(Protocol):
    """What is said and heard before a link counts as live, step by step; one for each connection.

    `step` counts the messages that have been waited for.
    """

    step: int

    @property
    def timeout_seconds(self) -> float | None:
        """How long the message that is waited for may take; None when nothing is left to wait for."""

    def take(self, frames: Sequence[Frame]) -> tuple[Sequence[Outgoing], Failure | None]:
        """What to send after these frames, which are decoded later; a failure when they end it."""


class Dialect(Protocol):
    """What one source speaks. Each stream has its own, which may have a state for each connection.

    `problems` collects what was left out of messages and documents; its `limits` may be replaced.
    """

    subprotocols: Sequence[str] = ()
    """WebSocket subprotocols to offer, the best one first."""
    compresses: bool = False
    """Whether to offer compression of the live stream."""
    encoding: str = "json"
    """How the messages of the connection are written, one of `core.status.ENCODINGS`."""
    extensions: frozenset[str] | None = None
    """What the source has granted on this connection; None where there is no subscription."""
    missing_hint: str = ""
    """What an operator should know when the source has nothing at the address of the stream."""
    accept: str
    """The media type of documents, for an `Accept` header."""
    answer: Outgoing | None
    """The answer to a `Ping` of the source."""
    separator: bytes = b""
    """What separates the messages in a body that looks like a document and does not end; empty where none is one."""
    event_names: frozenset[str]
    """Names of server-sent events (in lower case) that mean something; all other names are dropped."""
    resumes_by_id: bool = False
    """Whether a link that takes messages can go on from any id, and not from a position alone."""
    uses_event_ids: bool = True
    """Whether the id of the last server-sent event is where to go on from."""
    names_events: bool = False
    """Whether every server-sent event is to be a `NamedEvent`, with its name as sent and its id."""
    problems: Problems
    key_header: str | None = "Authorization"
    """The header that the key goes into, in this one as a bearer token, in any other as it is; None for no header."""
    needs_secrets: bool = False
    """Whether `secrets` has to be set before each request."""
    says_secrets: bool = False
    """Whether messages that are sent may hold some of them."""
    secrets: Mapping[str, str] = MappingProxyType({})
    """The content of the stream's files with secrets by name, the key's by no name."""
    heartbeat_interval_seconds: float | None = None
    heartbeat_timeout_seconds: float | None = None
    """What the source wants instead of what the stream's settings say; None where it does not matter to it."""
    documents_are_messages: bool = False
    """Whether a document is one more frame, to be decoded as those of a stream are, and not an `Overview`."""

    def first_probe(self, settings: StreamSettings, remembered: str | None) -> Probe:
        """The first request of a dial; `remembered` is the protocol that worked last, None for none."""
        return negotiation.first_probe(settings.protocol, settings.url, remembered)

    def configure(self, settings: StreamSettings) -> None:
        """Follow the settings of the stream, from its next connection on."""

    def stream_address(self, url: str) -> str:
        """The address of the event stream for that of the stream, with what it takes to be asked for."""
        return url

    def stream_call(self, url: str, position: str, *, two_way: bool) -> Call:
        """The request that dials the stream at `url`, to go on from a position; empty for now."""
        if two_way:
            return Call(url)
        return Call(self.stream_address(url), {"Last-Event-ID": position} if position else {})

    def document_call(self, url: str, position: str = "") -> Call:  # noqa: ARG002 (most have no use for it)
        """The request for the document at `url`; `position` is where a stream that is polled goes on, empty for now."""
        return Call(url)

    def refuses_position(self, status: int) -> bool:
        """Whether a source that was asked to go on from a position refuses the position by this status."""
        return status in _OF_THE_POSITION

    def ends_as_planned(self, failure: Failure, seconds: float) -> bool:  # noqa: ARG002 (most have no such plan)
        """Whether it is no failure that a link which was open for so long has ended like this."""
        return False

    def poll_pause_seconds(self, headers: Mapping[str, str]) -> float | None:  # noqa: ARG002 (most do not say)
        """How long the source wants to be left alone after this answer; None where it does not say."""
        return None

    def next_page(self, url: str, headers: Mapping[str, str], page: int) -> str | None:  # noqa: ARG002 (most have one)
        """Where the page after this answer to `url` is, which was the `page`th, from 1; None without another one."""
        return None

    def reset(self, subprotocol: str = "") -> None:
        """A connection begins, with this subprotocol: forget the state of the one before."""

    def on_open(self, position: str) -> Sequence[Outgoing]:
        """What to send first. `position` is where to resume; empty where there is none."""

    @property
    def heartbeat(self) -> Outgoing | None:
        """The message to send at this heartbeat interval."""

    @property
    def opening(self) -> Opening | None:
        """What has to follow what `on_open` sends, on a link that takes messages; None where nothing has to."""
        return None

    def replies_to(self, frames: Sequence[Frame]) -> Sequence[Outgoing]:  # noqa: ARG002 (most have none)
        """What frames that are decoded later are answered by at once. Changes nothing that decoding needs."""
        return ()

    def request_for(self, frames: Sequence[Frame]) -> Outgoing | None:  # noqa: ARG002 (most have none)
        """What frames that are decoded later need to be sent at once; it is not asked for again."""
        return None

    def noted(self) -> Noted:
        """What was noticed since the last call."""
        return NOTHING_NOTED

    def urgent(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Those of the frames that are not to wait behind others. Changes nothing."""
        return frames[:0]

    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        """The messages in the frames, in order; a frame may have any number. A message that is lost is an error."""

    def peek(self, frames: Sequence[Frame]) -> Iterator[Ping | Pong]:
        """The pings and pongs among frames that are decoded later. Changes nothing."""

    def fields(self, frame: Frame) -> Iterator[MessageFields]:  # noqa: ARG002 (most cannot say)
        """What the messages of a frame are made of, for a diagnosis. Changes nothing; slow."""
        return iter(())

    def document_fields(self, body: bytes) -> MessageFields | None:  # noqa: ARG002 (most cannot say)
        """What a document is made of, for a diagnosis; None for one that is unusable."""
        return None

    def reads(self, media_type: str) -> bool:
        """Whether `decode_document` reads bodies of this type, which is in lower case and without parameters."""

    def decode_document(self, body: bytes) -> Overview:
        """The content of a document. Raises DecodeError when nothing in it could be used."""

    def decode_page(self, body: bytes, headers: Mapping[str, str]) -> Page | None:
        """A page of events; None from a source that cannot page. Raises DecodeError as `decode_document` does."""

    def snapshot_addresses(self, url: str) -> tuple[str, ...]:
        """Where the documents of a stream may be, the likeliest one first; empty for a source that has none."""

    def page_address(self, snapshot_url: str, after: str) -> str | None:
        """Where the events after a position are, beside the document at `snapshot_url`; None when not known."""
