"""The subscription that is asked for, and what its results are as envelopes of the IRIS wire. Pure.

Source: iris_exporter/backend/graphql/schema.graphql and docs/protocol.md, section 6.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from iris_exporter.decoding.iris_stream.options import FIELDS

ID = "1"
"""There is one operation on each connection."""
INIT = b'{"type":"connection_init"}'

_OPTIONS = {"channels": "[Channel!]", "debounceMs": "Int", "priority": "Boolean", "after": "String"}
_OBJECTS = {channel: f"{{ {' '.join(names)} }}" for channel, names in FIELDS.items()}
_STATE = " ".join(f"{channel} {fields}" for channel, fields in _OBJECTS.items())
NEWEST = "removed"
"""The field of an update that the schema had last: an older source refuses a document with it."""
_NEWEST = f" {NEWEST} {{ projects }}"
DOCUMENT = (
    f"subscription Iris({', '.join(f'${name}: {kind}' for name, kind in _OPTIONS.items())}) "
    f"{{ stream({', '.join(f'{name}: ${name}' for name in _OPTIONS)}) {{ __typename "
    "... on Subscribed { timestamp position granted resume { outcome replayed missed epoch lastEventId } } "
    f"... on Update {{ timestamp {_STATE}{_NEWEST} }} "
    f"... on EventMessage {{ timestamp position replay advance event {_OBJECTS['events']} }} "
    "... on Dropped { timestamp count from to } "
    "... on ErrorMessage { code message retryAfter } } }"
)
OLDER_DOCUMENT = DOCUMENT.replace(_NEWEST, "")


def subscribe(options: Mapping[str, Any], after: str, *, older: bool = False) -> bytes:
    """The message that asks for these options, where there are arguments for them, and to go on after a position."""
    variables = {name: value for name, value in {**options, "after": after or None}.items() if name in _OPTIONS}
    payload = {"operationName": "Iris", "query": OLDER_DOCUMENT if older else DOCUMENT, "variables": variables}
    return msgspec.json.encode({"id": ID, "type": "subscribe", "payload": payload})


def envelope_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """A value of the type Message as the envelope that `/api/stream` would have sent."""
    kind = message.get("__typename")
    make = _ENVELOPES.get(kind) if isinstance(kind, str) else None
    if make is None:
        return {"type": kind}
    return {"timestamp": message.get("timestamp"), **make(message)}


def _subscribed(message: Mapping[str, Any]) -> dict[str, Any]:
    granted = message.get("granted")
    data = {**granted} if isinstance(granted, dict) else {}
    data |= {"position": message.get("position"), "resume": message.get("resume")}
    return {"type": "subscribed", "data": data}


def _update(message: Mapping[str, Any]) -> dict[str, Any]:
    names = (*FIELDS, NEWEST)
    return {"type": "update", "data": {name: message[name] for name in names if message.get(name) is not None}}


def _event(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "event",
        "id": message.get("position"),
        "replay": message.get("replay"),
        "priority": "high" if message.get("advance") is True else None,
        "data": message.get("event"),
    }


def _dropped(message: Mapping[str, Any]) -> dict[str, Any]:
    lost = {"events": message.get("count"), "from": message.get("from"), "to": message.get("to")}
    return {"type": "dropped", "data": lost}


def _error(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "error", "error": {name: message.get(name) for name in ("code", "message", "retryAfter")}}


_ENVELOPES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "Subscribed": _subscribed,
    "Update": _update,
    "EventMessage": _event,
    "Dropped": _dropped,
    "ErrorMessage": _error,
}
