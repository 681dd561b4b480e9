"""A subscription over GraphQL: one subscriber of `/api/stream`, whose messages are executed instead of encoded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from iris_exporter.backend.graphql import protocol
from iris_exporter.backend.graphql.operations import Operation
from iris_exporter.backend.send_queue import Outgoing, Say, SendBatch, SendDropped, SendEvent, SendState
from iris_exporter.backend.subscriber import Subscriber
from iris_exporter.backend.wire import HEARTBEATS, Frame, encode

COMMENT = b":\n\n"
"""What keeps an idle event stream alive: a comment, which no client takes for a result."""


class CommentFrame(Frame):
    """A comment on an event stream."""

    @property
    @override
    def sse(self) -> bytes:
        return COMMENT


def next_frame(operation_id: str | None, result: Any, position: str | None = None) -> Frame:
    """A result, for a WebSocket where the operation has an id, else for an event stream."""
    body = encode(result if operation_id is None else protocol.next_message(operation_id, result))
    return Frame("next", body, position=position)


@dataclass(eq=False, kw_only=True)
class Subscription(Subscriber):
    """A running subscription. On a WebSocket it has an id, and others beside it; `socket` sends what it takes."""

    operation: Operation
    operation_id: str | None = None

    @override
    def frames(self, item: Outgoing, timestamp: str) -> Iterable[Frame]:
        for each in item.items if isinstance(item, SendBatch) else (item,):
            if isinstance(each, Say) and each.message["type"] in HEARTBEATS:
                if self.operation_id is None:
                    yield CommentFrame("heartbeat", b"", heartbeat=True)
                continue
            position = None
            message = message_of(each, timestamp, self.feed.history.epoch)
            if isinstance(each, SendEvent) and not each.advance:
                position = message["position"]
            yield next_frame(self.operation_id, self.operation.result(message), position)


def message_of(item: Say | SendState | SendEvent | SendDropped, timestamp: str, epoch: str) -> Mapping[str, Any]:
    """A message of a subscriber as a value of the type Message."""
    match item:
        case SendEvent(entry, replay, advance):
            return {
                "__typename": "EventMessage",
                "timestamp": timestamp,
                "position": None if advance else f"{epoch}-{entry.offset}",
                "replay": replay,
                "advance": advance,
                "event": entry.event,
            }
        case SendState(payload, _, _):
            return {"__typename": "Update", "timestamp": timestamp, **payload.data}
        case SendDropped(count, after, last):
            lost = {"count": count, "from": f"{epoch}-{after}", "to": f"{epoch}-{last}"}
            return {"__typename": "Dropped", "timestamp": timestamp, **lost}
        case Say(message) if message["type"] == "subscribed":
            data = message["data"]
            granted = {name: value for name, value in data.items() if name not in ("encoding", "position", "resume")}
            return {
                "__typename": "Subscribed",
                "timestamp": timestamp,
                "position": data["position"],
                "granted": granted,
                "resume": data.get("resume"),
            }
        case Say(message):
            return {"__typename": "ErrorMessage", **message["error"]}
