"""The AsyncAPI document: what goes over the streams of an IRIS backend."""

from typing import Any

import api_schemas as schemas

Json = dict[str, Any]

HEARTBEATS = ("Ping", "Pong", "Error")
PATHS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "/api/stream": (
        "What the client asks for. On server-sent events the options are parameters of the query.",
        ("Subscribed", "Update", "EventMessage", "Delta", "Batch", "Dropped"),
        ("Subscribe", "Resume"),
    ),
    "/api/stream/overview": ("Metrics, projects, events and anomalies.", ("Update", "Resumed"), ("Resume",)),
    "/api/stream/events": ("Events.", ("EventMessage", "Resumed"), ("Resume",)),
    "/api/stream/telemetry": ("Metrics and recent events.", ("Telemetry", "Resumed"), ("Resume",)),
    "/api/iris/ws": ("The older socket.", ("ProjectUpdate", "OlderEvent", "Resumed"), ("Resume",)),
}
"""What each path is for, what a backend sends there beside heartbeats and errors, and what a client may send."""


_SECURITY = [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("key", "ticket")]


def sent(path: str) -> tuple[str, ...]:
    """Names of the schemas of what a backend sends on a path."""
    return (*PATHS[path][1], *HEARTBEATS)


def document() -> Json:
    """The whole document."""
    server = schemas.server_messages()
    client = schemas.client_messages()
    names = {*schemas.server_messages(), *client, "Error"}
    known = {**schemas.objects(), **schemas.changes(), **server, **client}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "IRIS streams",
            "version": "1.0.0",
            "description": "Messages of the streams of an IRIS backend. What they mean is in protocol.md; a receiver "
            "ignores members and messages that it does not know. Subscriptions over GraphQL have a schema of their "
            "own, iris_exporter/backend/graphql/schema.graphql.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": {
            "websocket": {
                "host": "127.0.0.1:14748",
                "protocol": "ws",
                "description": "Subprotocols at /api/stream: iris.v1+json, iris.v1+protobuf. Without one, JSON text.",
                "security": _SECURITY,
            },
            "events": {
                "host": "127.0.0.1:14748",
                "protocol": "http",
                "description": "Server-sent events: GET with Accept text/event-stream. The client sends nothing.",
                "security": _SECURITY,
            },
        },
        "defaultContentType": "application/json",
        "channels": {_name(path): _channel(path) for path in PATHS},
        "operations": {name: part for path in PATHS for name, part in _operations(path).items()},
        "components": {
            "messages": {name: _message(name, known[name]) for name in sorted(names)},
            "schemas": known,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "ticket": {
                    "type": "httpApiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "For browsers, which cannot send a header there. It opens one connection.",
                },
            },
        },
    }


def _name(path: str) -> str:
    return path.removeprefix("/api/").replace("/", "-")


def _message(name: str, schema: Json) -> Json:
    return {"name": name, "summary": schema["description"], "payload": schemas.ref(name)}


def _channel(path: str) -> Json:
    about, _, received = PATHS[path]
    messages = (*sent(path), *received, "ClientPing", "ClientPong")
    where = ["websocket"] if path == "/api/iris/ws" else ["websocket", "events"]
    binding: Json = {"method": "GET", "bindingVersion": "0.1.0"}
    if path == "/api/stream":
        binding["query"] = schemas.members(schemas.query_parameters(), (), "Read on server-sent events alone.")
    return {
        "address": path,
        "description": about,
        "servers": [{"$ref": f"#/servers/{each}"} for each in where],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": binding},
    }


def _operations(path: str) -> Json:
    name = _name(path)
    received = (*PATHS[path][2], "ClientPing", "ClientPong")
    return {
        f"send-{name}": _operation("send", name, sent(path)),
        f"receive-{name}": _operation("receive", name, received),
    }


def _operation(action: str, channel: str, messages: tuple[str, ...]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{each}"} for each in messages],
    }
