"""JSON Schemas of what an IRIS backend sends and takes, for docs/openapi.yaml and docs/asyncapi.yaml.

Names of fields are those of the backend's own objects, types and descriptions those of iris.proto.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor

from iris_exporter.backend import options
from iris_exporter.backend.objects import Anomaly, Event, Metrics, Project
from iris_exporter.backend.wire import CHANGE_TYPES, ERROR_MESSAGES
from iris_exporter.wire.iris.v1 import iris_pb2

Schema = dict[str, Any]

PROTO = Path(__file__).resolve().parent.parent / "iris_exporter/wire/iris/v1/iris.proto"
OBJECTS: tuple[type[msgspec.Struct], ...] = (Metrics, Project, Event, Anomaly)
CHANGED = ("Metrics", "Project", "Anomaly")
"""What comes as changes where deltas are granted."""
NOT_MEMBERS = {"cleared", "other"}
"""Fields of the schema of protobuf that JSON needs no member for."""
DEPLOYED: dict[str, dict[str, str]] = {
    "Project": {
        "project": "id",
        "overallHealth": "status",
        "latestHealthScore": "health_score",
        "lastReportDate": "last_run",
        "totalRuns": "total_runs",
        "avgSuccessRate": "success_rate",
        "activeExperts": "active_experts",
        "totalReflexions": "reflexions_count",
    },
    "Event": {
        **{name: name for name in ("id", "timestamp", "project", "event_type", "severity", "message")},
        "details": "metadata",
    },
}
"""Members of the deployed shape, and the field that each one shows."""
LISTS = {"projects": "Project", "events": "Event", "anomalies": "Anomaly"}
OUTCOMES = ("full", "partial", "none", "restarted")

POSITION: Schema = {
    "type": "string",
    "description": "A position: epoch, dash, offset.",
    "pattern": "^[A-Za-z0-9_.~]{1,64}-(0|[1-9][0-9]*)$",
}
TIME: Schema = {"type": "string", "format": "date-time", "description": "ISO 8601 in UTC."}
COUNT: Schema = {"type": "integer", "minimum": 0}

_TYPES = {
    FieldDescriptor.TYPE_INT64: "integer",
    FieldDescriptor.TYPE_DOUBLE: "number",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
}


def ref(name: str) -> Schema:
    """A schema of the document by its name; both kinds of documents keep them in the same place."""
    return {"$ref": f"#/components/schemas/{name}"}


def members(properties: Mapping[str, Any], required: Iterable[str] = (), description: str = "") -> Schema:
    """An object with these members."""
    found: Schema = {"type": "object"}
    if description:
        found["description"] = description
    found["properties"] = dict(properties)
    if required:
        found["required"] = list(required)
    return found


def list_of(items: Schema, description: str = "") -> Schema:
    """An array."""
    return {"type": "array", **({"description": description} if description else {}), "items": items}


def comments() -> dict[str, str]:
    """The comments of iris.proto by `Message` and `Message.field`."""
    found: dict[str, str] = {}
    message, waiting = "", []
    for line in PROTO.read_text().splitlines():
        if match := re.match(r"\s*// ?(.*)", line):
            waiting.append(match[1])
            continue
        if match := re.match(r"(?:message|enum) (\w+)", line):
            message = match[1]
            found[message] = " ".join(waiting)
        elif match := re.match(r"\s+(?:optional |repeated )?[\w.]+ (\w+) = \d+", line):
            found[f"{message}.{match[1]}"] = " ".join(waiting)
        waiting = []
    return found


_COMMENTS = comments()


def _field(message: str, name: str, *, nullable: bool = False) -> Schema:
    field = iris_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name[name]
    description = _COMMENTS[f"{message}.{name}"]
    found: Schema
    if name == "timestamp":
        found = {**TIME, "description": description.replace("in milliseconds since the Unix epoch", "in UTC")}
    elif name == "last_run":
        found = {"type": "string", "description": "When it last ran: ISO 8601 in UTC, or free text."}
    elif name == "metadata":
        found = {"type": "object", "description": "Anything."}
    elif field.enum_type is not None:
        prefix = f"{field.enum_type.name.upper()}_"
        words = [value.name.removeprefix(prefix).lower() for value in field.enum_type.values if value.number]
        found = {"type": "string", "description": description, "enum": words}
    else:
        found = {"type": _TYPES[field.type], "description": description}
    if nullable and name != "id":
        found["type"] = [found["type"], "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return found


def object_schema(kind: type[msgspec.Struct], *, change: bool = False) -> Schema:
    """An object of the stream, or a change of one, in which null removes a member."""
    name = kind.__name__
    known = [field.name for field in iris_pb2.DESCRIPTOR.message_types_by_name[name].fields]
    if set(known) - NOT_MEMBERS != set(kind.__struct_fields__):
        raise ValueError(f"{name} has other fields in iris.proto than in backend/objects.py")
    properties = {field: _field(name, field, nullable=change) for field in kind.__struct_fields__}
    about = "A change (RFC 7396); null removes a member. " if change else ""
    return members(properties, ["id"] if "id" in properties else [], f"{about}{_COMMENTS[name]}")


def deployed_schema(name: str) -> Schema:
    """The same in the deployed shape of REST."""
    properties = {member: _field(name, field) for member, field in DEPLOYED[name].items()}
    if name == "Project":
        properties["avgSuccessRate"]["description"] = "Share of runs that succeeded, 0 to 100."
    return members(properties, list(properties)[:1], f"{_COMMENTS[name]} In the deployed shape.")


def objects() -> dict[str, Schema]:
    """What both documents share."""
    error = {
        "code": {"type": "string", "enum": list(ERROR_MESSAGES)},
        "message": {"type": "string", "description": "For people."},
        "retryAfter": {"type": "number", "minimum": 0, "description": "Seconds to wait."},
    }
    envelope = {
        "type": {"const": "error"},
        "timestamp": TIME,
        "priority": {"const": "high", "description": "It has overtaken other messages."},
        "error": members(error, ["code", "message"]),
    }
    return {
        **{kind.__name__: object_schema(kind) for kind in OBJECTS},
        "Position": POSITION,
        "Error": members(envelope, ["type", "error"], "A failure. It does not end a stream."),
    }


def _message(kind: str, data: Schema, about: str, *, position: bool = False, **more: Schema) -> Schema:
    properties: Schema = {"type": {"const": kind}}
    if position:
        properties["id"] = ref("Position")
        properties["replay"] = {"const": True, "description": "It repeats old events after a resume."}
    properties |= more
    return members({**properties, "timestamp": TIME, "data": data}, ["type", "timestamp", "data"], about)


def _options() -> dict[str, Schema]:
    channels = list_of({"type": "string", "enum": list(options.FIELDS)}) | {"minItems": 1}
    projects = list_of({"type": "string", "maxLength": options.MAX_ID_CHARS}) | {
        "minItems": 1,
        "maxItems": options.MAX_PROJECTS,
    }
    fields = {
        channel: list_of({"type": "string", "enum": list(names)}) | {"minItems": 1}
        for channel, names in options.FIELDS.items()
    }
    batch = {
        "maxMessages": {
            "type": "integer",
            "minimum": options.BATCH_MESSAGES[0],
            "default": options.DEFAULT_BATCH_MESSAGES,
        },
        "maxDelayMs": {
            "type": "integer",
            "minimum": options.BATCH_DELAY_MS[0],
            "default": options.DEFAULT_BATCH_DELAY_MS,
        },
    }
    return {
        "channels": channels,
        "projects": projects,
        "severities": list_of({"type": "string", "enum": list(options.SEVERITIES)}) | {"minItems": 1},
        "fields": members(fields),
        "delta": {"type": "boolean", "default": False},
        "batch": members(batch),
        "debounceMs": {"type": "integer", "minimum": options.DEBOUNCE_MS[0], "default": 0},
        "priority": {"type": "boolean", "default": False},
    }


def _subscribed() -> Schema:
    # What is granted is within the backend's bounds.
    granted = {name: dict(schema) for name, schema in _options().items()}
    granted["debounceMs"]["maximum"] = options.DEBOUNCE_MS[1]
    bounds = {"maxMessages": options.BATCH_MESSAGES[1], "maxDelayMs": options.BATCH_DELAY_MS[1]}
    batch = {name: {"type": "integer", "maximum": bound} for name, bound in bounds.items()}
    granted["batch"] = members(batch, batch)
    more = {"encoding": {"enum": ["json", "protobuf"]}, "position": ref("Position"), "resume": _resumption()}
    about = "The options in force; one that is not here has its default."
    # A backend that grants nothing may answer with `channels` alone.
    return members(granted | more, ["channels"], about)


def _resumption() -> Schema:
    properties = {
        "outcome": {"enum": list(OUTCOMES)},
        "replayed": {**COUNT, "description": "Events that are replayed."},
        "missed": {**COUNT, "description": "Events that are lost."},
        "epoch": {"type": "string"},
        "lastEventId": ref("Position"),
    }
    return members(properties, properties)


def server_messages() -> dict[str, Schema]:
    """What a backend sends on streams, by the name of the schema."""
    sequence = {"type": "integer", "minimum": 1, "description": "Where deltas are granted: the number of this state."}
    gone = members({"projects": list_of({"type": "string"}, "Ids.")}, (), "What the installation has no longer.")
    state = {"metrics": ref("Metrics"), **{name: list_of(ref(kind)) for name, kind in LISTS.items()}, "removed": gone}
    changes = {"metrics": ref("MetricsChange"), "removed": gone} | {
        name: list_of(ref(f"{kind}Change")) for name, kind in LISTS.items() if kind in CHANGED
    }
    telemetry = {"metrics": ref("Metrics"), "recentEvents": list_of(ref("Event"), "The newest first.")}
    lost = {"events": {"type": "integer", "minimum": 1}, "from": ref("Position"), "to": ref("Position")}
    urgent = {"const": "high", "description": "An advance copy, which has no position."}
    heartbeats = {
        kind.title(): members({"type": {"const": kind}, "timestamp": TIME}, ["type", "timestamp"], about)
        for kind, about in (("ping", "Asks for a sign of life."), ("pong", "The answer to a ping."))
    }
    in_batches = [ref(name) for name in ("Update", "EventMessage", "Delta", "Dropped", "Error", "Ping", "Pong")]
    batch = {"type": {"const": "batch"}, "messages": list_of({"anyOf": in_batches}, "In order.") | {"minItems": 2}}
    older = sorted({*CHANGE_TYPES.values(), "system_alert"})
    return {
        "Update": _message("update", members(state), "State, whole.", position=True, seq=sequence),
        "EventMessage": _message("event", ref("Event"), "One event.", position=True, priority=urgent),
        "Telemetry": _message(
            "telemetry", members(telemetry), "Figures, and the events since the message before.", position=True
        ),
        "Resumed": _message("resumed", _resumption(), "The answer to a resume on an old path."),
        **heartbeats,
        "Subscribed": _message("subscribed", _subscribed(), "The answer to a subscribe."),
        "Delta": _message("delta", members(changes), "State as changes.", seq=sequence)
        | {"required": ["type", "seq", "timestamp", "data"]},
        "Batch": members(batch, batch, "Several messages in one."),
        "Dropped": _message("dropped", members(lost, lost), "Events that a slow reader has lost."),
        "ProjectUpdate": _message("project_update", ref("Project"), "A project has changed."),
        "OlderEvent": _message("", ref("Event"), "One event, under the type of its kind.", position=True)
        | {"properties": _message("", ref("Event"), "", position=True)["properties"] | {"type": {"enum": older}}},
    }


def client_messages() -> dict[str, Schema]:
    """What a client sends on a WebSocket, by the name of the schema."""
    after = {"after": {**POSITION, "description": "Resume after this position."}}
    wanted = members(_options() | after, (), "Unknown options are ignored.")
    resume = {"type": {"const": "resume"}, "lastEventId": ref("Position")}
    heartbeats = {
        f"Client{kind.title()}": members({"type": {"const": kind}}, ["type"], about)
        for kind, about in (("ping", "Asks for a sign of life."), ("pong", "The answer to a ping."))
    }
    return {
        "Subscribe": members({"type": {"const": "subscribe"}, "data": wanted}, ["type"], "What the client wants."),
        "Resume": members(resume, resume, "Where the client was."),
        **heartbeats,
    }


def changes() -> dict[str, Schema]:
    """Changes of objects."""
    return {f"{kind.__name__}Change": object_schema(kind, change=True) for kind in OBJECTS if kind.__name__ in CHANGED}


def query_parameters() -> dict[str, Schema]:
    """The options as parameters of the query of a request for server-sent events."""
    found: dict[str, Schema] = {}
    for name, schema in _options().items():
        parts = {f"{name}.{member}": part for member, part in schema.get("properties", {}).items()}
        found |= parts or {name: schema}
    return found | {"after": POSITION}
