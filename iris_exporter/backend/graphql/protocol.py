"""The protocol `graphql-transport-ws`, the server's side: what a message of a client asks for. Pure.

Feed it the messages in order and carry out the actions in order. It knows which operations run: `started` follows from
`Start`, and `ended` is to be called when one is over. After a `Close` nothing more may be fed.

Source: the "GraphQL over WebSocket Protocol" of graphql-ws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from iris_exporter.core.negotiation import GRAPHQL_SUBPROTOCOL

SUBPROTOCOL = GRAPHQL_SUBPROTOCOL
INIT_SECONDS = 5.0
"""How long a client may take for `connection_init`."""
MAX_OPERATIONS = 20
"""Operations that may run at a time on one socket."""
MAX_ID_CHARS = 200
_SHOWN_CHARS = 40  # of an id in the reason of a close frame, which has at most 123 bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message."""

    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """Run an operation; `request` has the parameters."""

    id: str
    request: Any


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an operation, which sends nothing more."""

    id: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket."""

    code: int
    reason: str


Action = Send | Start | Stop | Close
INVALID = Close(4400, "Invalid message")
UNAUTHORIZED = Close(4401, "Unauthorized")
NO_SUBPROTOCOL = Close(4406, "Subprotocol not acceptable")
INIT_TIMEOUT = Close(4408, "Connection initialisation timeout")
TOO_MANY_INITS = Close(4429, "Too many initialisation requests")


class Machine:
    """The state of one socket."""

    def __init__(self) -> None:
        self.is_acknowledged = False
        self.operations: set[str] = set()

    def feed(self, data: str | bytes) -> Action | None:
        """What a message asks for; None for nothing."""
        try:
            message = msgspec.json.decode(data) if isinstance(data, str) else None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return INVALID
        if not isinstance(message, dict):
            return INVALID
        payload = message.get("payload")
        match message.get("type"):
            case "connection_init" if payload is None or isinstance(payload, dict):
                if self.is_acknowledged:
                    return TOO_MANY_INITS
                self.is_acknowledged = True
                return Send({"type": "connection_ack"})
            case "ping" if payload is None or isinstance(payload, dict):
                return Send({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})
            case "pong" if payload is None or isinstance(payload, dict):
                return None
            case "subscribe":
                return self._subscribe(message.get("id"), payload)
            case "complete" if isinstance(message.get("id"), str):
                return self._complete(message["id"])
        return INVALID

    def _subscribe(self, operation: object, payload: object) -> Action:
        if not isinstance(operation, str) or not 0 < len(operation) <= MAX_ID_CHARS or not isinstance(payload, dict):
            return INVALID
        if not self.is_acknowledged:
            return UNAUTHORIZED
        if operation in self.operations:
            shown = operation if operation.isascii() and len(operation) <= _SHOWN_CHARS else "this id"
            return Close(4409, f"Subscriber for {shown} already exists")
        if len(self.operations) >= MAX_OPERATIONS:
            text = f"at most {MAX_OPERATIONS} operations may run on one connection"
            return Send(error_message(operation, [{"message": text, "extensions": {"code": "RATE_LIMIT_EXCEEDED"}}]))
        self.operations.add(operation)
        return Start(operation, payload)

    def _complete(self, operation: str) -> Action | None:
        """One that is over already is no mistake: its end and this message may have crossed."""
        if operation not in self.operations:
            return None
        self.operations.discard(operation)
        return Stop(operation)

    def ended(self, operation: str) -> None:
        """An operation is over; its id may be used again."""
        self.operations.discard(operation)


def next_message(operation: str, result: Any) -> dict[str, Any]:
    """A result of an operation."""
    return {"id": operation, "type": "next", "payload": result}


def error_message(operation: str, errors: Any) -> dict[str, Any]:
    """An operation that was not executed."""
    return {"id": operation, "type": "error", "payload": errors}


def complete_message(operation: str) -> dict[str, Any]:
    """The end of an operation."""
    return {"id": operation, "type": "complete"}
