"""The dialect of IRIS over GraphQL: the frames of `graphql-transport-ws` to messages.

Theory. A connection begins with `connection_init`; the subscription follows once the source has acknowledged that, for
an earlier one is a violation. Each result is turned into the envelope that `/api/stream` would have sent, and
from there on everything is as in `iris_stream`. Pings and pongs have the same form as those of IRIS. When the operation
ends and the socket stays open, the link is ended: it would bring nothing more.

Source: the "GraphQL over WebSocket Protocol" of graphql-ws; docs/protocol.md, section 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import override

from iris_exporter.core import negotiation
from iris_exporter.core.failures import Failure, from_error_code
from iris_exporter.core.limits import DEFAULT_LIMITS, Limits
from iris_exporter.core.subscriptions import CHANNELS
from iris_exporter.decoding import values
from iris_exporter.decoding.dialect import Binary, Frame, NamedEvent, Noted, Outgoing
from iris_exporter.decoding.iris_graphql import operation
from iris_exporter.decoding.iris_stream.dialect import IrisStream
from iris_exporter.decoding.iris_stream.options import Asked
from iris_exporter.decoding.iris_stream.session import Session
from iris_exporter.decoding.json_text import parse
from iris_exporter.decoding.messages import EventBatch, Message, Ping, Pong, UpstreamError
from iris_exporter.errors import DecodeError
from iris_exporter.settings import StreamSettings

_ACK = b'"connection_ack"'
_ACK_BYTES = 64 * 1024  # an acknowledgement may have a payload, which says nothing to us
_HINT = "an IRIS without GraphQL has /api/stream instead"
_CODES = {"UNAUTHENTICATED": "AUTH_REQUIRED"}
"""What servers in use write for codes of the protocol."""


class IrisGraphql(IrisStream):
    """IRIS over GraphQL. Until `configure` is given settings that ask for it, it is `IrisStream` and nothing else."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(limits)
        self._graphql: Session | None = None
        self._position = ""
        self._is_subscribed = False
        self._is_older = False
        """Whether the source has refused a field that its schema does not have yet."""
        self._request: Outgoing | None = None
        self._end: Failure | None = None

    @override
    def configure(self, settings: StreamSettings) -> None:
        super().configure(settings)
        self._graphql = None
        self._is_older = False
        if negotiation.is_graphql(settings.protocol, settings.url):
            asked = Asked(
                channels=CHANNELS if "auto" in settings.channels else settings.channels,
                fields=False,
                delta=False,
                batch_seconds=0.0,
                debounce_seconds=settings.debounce_seconds,
                subprotocols=(negotiation.GRAPHQL_SUBPROTOCOL,),
                compression=settings.compression == "auto",
            )
            self._session = self._graphql = Session(asked, self.problems)
            self.subprotocols, self.compresses, self.missing_hint = asked.subprotocols, asked.compression, _HINT

    @override
    def reset(self, subprotocol: str = "") -> None:
        super().reset(subprotocol)
        self._is_subscribed = False
        self._request = self._end = None

    @override
    def on_open(self, position: str) -> Sequence[Outgoing]:
        if self._graphql is None:
            return super().on_open(position)
        self._position = position
        return (operation.INIT,)

    @override
    def request_for(self, frames: Sequence[Frame]) -> Outgoing | None:
        """The subscription, as soon as the source has acknowledged the connection; once."""
        if self._graphql is None or self._is_subscribed:
            return None
        for frame in frames:
            if isinstance(frame, bytes) and len(frame) <= _ACK_BYTES and _ACK in frame and _type_of(frame) == "ack":
                return self._subscribe(self._graphql)
        return None

    def _subscribe(self, session: Session) -> Outgoing:
        self._is_subscribed = True
        return operation.subscribe(session.options(), self._position, older=self._is_older)

    @override
    def noted(self) -> Noted:
        if self._request is None and self._end is None:
            return super().noted()
        noted = Noted(request=self._request, end=self._end)
        self._request = self._end = None
        return noted

    @override
    def urgent(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Advance copies wait with the rest: they look like every other result."""
        return super().urgent(frames) if self._graphql is None else ()

    @override
    def decode(self, frames: Sequence[Frame]) -> Iterator[EventBatch | Message | DecodeError]:
        return super().decode(frames) if self._graphql is None else self._decode_each(frames, self._graphql)

    @override
    def _envelope_in(self, message: Any) -> Any:
        if self._graphql is None:
            return message
        try:
            return operation.envelope_of(message["payload"]["data"]["stream"])
        except (KeyError, TypeError, AttributeError):
            return None

    def _decode_each(self, frames: Sequence[Frame], session: Session) -> Iterator[Message | DecodeError]:
        for frame in frames:
            try:
                yield from self._messages_in(_object_of(frame), session)
            except DecodeError as error:
                yield error

    def _messages_in(self, message: Mapping[str, Any], session: Session) -> Iterator[Message | DecodeError]:
        kind, payload = message.get("type"), message.get("payload")
        is_known = message.get("id") == operation.ID
        if kind == "ping":
            yield Ping()
        elif kind == "pong":
            yield Pong()
        elif kind == "connection_ack":
            if not self._is_subscribed:
                self._request = self._subscribe(session)
        elif kind == "next" and is_known:
            yield from _results(payload, session)
        elif kind == "error" and is_known:
            found = _upstream_error(payload)
            if not self._is_older and operation.NEWEST in found.message:
                self._is_older = True
                self._request = self._subscribe(session)
                return
            yield found
            self._end = _failure_of(found)
        elif kind == "complete" and is_known:
            self._end = Failure("closed", "the source has completed the subscription")
        elif not isinstance(kind, str):
            raise DecodeError("no_type", "$.type", "the message has no type")
        else:
            # One for another operation, or of a type that nobody knows.
            yield from session.messages({"type": kind if kind not in ("next", "error", "complete") else "unknown"})


def _object_of(frame: Frame) -> Mapping[str, Any]:
    if isinstance(frame, Binary | NamedEvent):
        raise DecodeError("binary", "$", "")
    message = parse(frame)
    if not isinstance(message, dict):
        raise DecodeError("not_an_object", "$", "the message must be an object")
    return message


def _type_of(frame: bytes) -> str:
    try:
        found = parse(frame)
    except DecodeError:
        return ""
    return "ack" if isinstance(found, dict) and found.get("type") == "connection_ack" else ""


def _results(payload: object, session: Session) -> Iterator[Message | DecodeError]:
    """The message in a result; errors beside it are reports of the source, which says them of single fields."""
    if not isinstance(payload, dict):
        raise DecodeError("not_an_object", "$.payload", "the result must be an object")
    if payload.get("errors"):
        yield _upstream_error(payload["errors"])
    data = payload.get("data")
    if data is None and payload.get("errors"):
        return
    message = data.get("stream") if isinstance(data, dict) else None
    if not isinstance(message, dict):
        raise DecodeError("no_data", "$.payload.data.stream", "the result has no message")
    yield from session.messages(operation.envelope_of(message))


def _upstream_error(errors: object) -> UpstreamError:
    """The first of the errors that a source reports."""
    first = errors[0] if isinstance(errors, list) and errors else errors
    found = first if isinstance(first, dict) else {}
    extensions = found.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    text = found.get("message")
    code = code if isinstance(code, str) else ""
    return UpstreamError(
        _CODES.get(code, code)[: values.MAX_CODE_CHARS],
        text[: values.MAX_REPORT_CHARS] if isinstance(text, str) else "",
    )


def _failure_of(error: UpstreamError) -> Failure:
    """Why the source does not run the subscription. The message is in the log already."""
    known = from_error_code(error.code)
    if known is not None:
        return known
    if error.code == "FORBIDDEN":
        return Failure("forbidden", "the source refuses the subscription")
    return Failure("http_client_error", "the source does not run the subscription")
