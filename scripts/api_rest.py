"""The OpenAPI document: what an IRIS backend answers over HTTP."""

from typing import Any

import api_schemas as schemas
from api_schemas import list_of, members, ref

from iris_exporter.backend.rest import DEFAULT_EVENTS, MAX_EVENTS

Json = dict[str, Any]

STREAMS = {
    "/api/stream": "A stream of what the client asks for.",
    "/api/stream/overview": "A stream of updates.",
    "/api/stream/events": "A stream of events.",
    "/api/stream/telemetry": "A stream of telemetry.",
    "/api/iris/ws": "The older socket: WebSocket only.",
}
REFUSALS = ("401", "403", "404", "429", "503")
"""What any endpoint may answer."""


def document() -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IRIS",
            "version": "1.0.0",
            "description": "What an IRIS backend answers over HTTP. What it means is in protocol.md; the messages of "
            "streams are in asyncapi.yaml. /api/graphql is in neither: its description is a schema of its own, "
            "iris_exporter/backend/graphql/schema.graphql. A client ignores members and headers that it does not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:14748"}],
        # A backend may be open to all.
        "security": [{"key": []}, {"ticket": []}, {}],
        "paths": {**_rest(), **{path: {"get": _stream(path, about)} for path, about in STREAMS.items()}},
        "components": {
            "schemas": _schemas(),
            "headers": _headers(),
            "responses": _refusals(),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "ticket": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "ticket",
                    "description": "For browsers, which cannot send a header there. It opens one connection.",
                },
            },
        },
    }


def _overview(deployed: str) -> Json:
    return members(
        {
            "metrics": ref("Metrics"),
            "projects": list_of(ref(f"{deployed}Project")),
            "events": list_of(ref(f"{deployed}Event"), "The newest first."),
            "anomalies": list_of(ref("Anomaly")),
            "cursor": ref("Position"),
        },
        (),
        "The whole state. What a backend does not know is absent.",
    )


def _schemas() -> Json:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    text = {"type": "string"}
    anomalies = {
        "success": {"type": "boolean"},
        "data": list_of(ref("Anomaly")),
        "count": schemas.COUNT,
        "projectId": {"type": ["string", "null"]},
        "timestamp": schemas.TIME,
    }
    pattern = {"id": text, "name": text, "project": text, "occurrences": schemas.COUNT, "success_rate": share}
    pattern["last_seen"] = text
    expert = {"expert": text, "evaluations": schemas.COUNT, "success_rate": share, "avg_latency": {"type": "number"}}
    details = {
        "project": ref("Project"),
        "recent_errors": list_of(ref("Event")),
        "expert_performance": list_of(members(expert, expert)),
        "recent_reflexions": list_of(ref("Event")),
        "consensus_history": list_of(ref("Event")),
    }
    return schemas.objects() | {
        "DeployedProject": schemas.deployed_schema("Project"),
        "DeployedEvent": schemas.deployed_schema("Event"),
        "Overview": _overview(""),
        "DeployedOverview": _overview("Deployed"),
        "DeployedAnomalies": members(anomalies, ["success", "data"]),
        "Pattern": members(pattern, ["id"], "A combination of expert and task that keeps working."),
        "ProjectDetails": members(details, ["project"]),
        "Ticket": members({"ticket": text, "expiresAt": schemas.TIME}, ["ticket", "expiresAt"]),
        "Healthy": members({"ok": {"const": True}, "message": text}, ["ok"]),
        "Unhealthy": members({"ok": {"const": False}, "error": text}, ["ok", "error"]),
    }


def _header(description: str, schema: Json, *, always: bool = True) -> Json:
    return {"description": description, "required": always, "schema": schema}


def _headers() -> Json:
    text = {"type": "string"}
    number = {"type": "string", "pattern": "^[0-9]+$"}
    return {
        "ETag": _header("Compared weakly by If-None-Match.", text),
        "Retry-After": _header("Seconds to wait.", number),
        "WWW-Authenticate": _header("How to present the key.", text),
        "Allow": _header("The methods that there are.", text),
        "Upgrade": _header("The protocol to ask for.", {"const": "websocket"}),
        "Iris-Cursor": _header("The position to be used as the next `after`.", schemas.POSITION),
        "Iris-Resume": _header("With `after`: the outcome.", {"enum": list(schemas.OUTCOMES)}, always=False),
        "Iris-Missed": _header("With `after`: events lost before the first of this page.", number, always=False),
        "Iris-More": _header("With `after`: whether another page waits.", {"enum": ["true", "false"]}, always=False),
    }


def _with_headers(answer: Json, *names: str) -> Json:
    return answer | {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}}


def _json(schema: Json, description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refusals() -> Json:
    error = ref("Error")
    return {
        "400": _json(error, "A parameter has a value that it cannot have (`INVALID_REQUEST`)."),
        "401": _with_headers(_json(error, "A valid key is required (`AUTH_REQUIRED`)."), "WWW-Authenticate"),
        "403": _json(error, "This key may not read this (`FORBIDDEN`)."),
        "404": _json(error, "There is nothing at this address (`INVALID_ENDPOINT`), or no such project."),
        "405": _with_headers(_json(error, "Another method is needed (`INVALID_REQUEST`)."), "Allow"),
        "406": _json(error, "The answer would be text/event-stream (`NOT_ACCEPTABLE`)."),
        "413": _json(error, "The body is too large (`MESSAGE_TOO_LARGE`)."),
        "426": _with_headers(_json(error, "A WebSocket is needed (`UPGRADE_REQUIRED`)."), "Upgrade"),
        "429": _with_headers(_json(error, "Too many requests (`RATE_LIMIT_EXCEEDED`)."), "Retry-After"),
        "503": _json(error, "Not available now: of a stream `STREAM_UNAVAILABLE`, else `SERVICE_UNAVAILABLE`."),
    }


def _refused(*statuses: str) -> Json:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}


def _parameter(name: str, schema: Json, description: str, where: str = "query", *, needed: bool = False) -> Json:
    return {"name": name, "in": where, "required": needed, "description": description, "schema": schema}


def _operation(identifier: str, summary: str, answers: Json, *parameters: Json, refusals: tuple[str, ...] = ()) -> Json:
    responses = dict(sorted((_refused(*REFUSALS, *refusals) | answers).items()))
    return {"operationId": identifier, "summary": summary, "parameters": list(parameters), "responses": responses}


def _get(identifier: str, summary: str, answers: Json, *parameters: Json, refusals: tuple[str, ...] = ()) -> Json:
    return {"get": _operation(identifier, summary, answers, *parameters, refusals=refusals)}


def _rest() -> Json:
    return {
        f"/api/{prefix}{path}": operation
        for prefix, shape in (("", ""), ("iris/", "Deployed"))
        for path, operation in _both(shape).items()
    } | {
        "/api/patterns": _get("patterns", "Patterns.", {"200": _json(list_of(ref("Pattern")), "All of them.")}),
        "/api/project-details": _get(
            "projectDetails",
            "One project and its recent history.",
            {"200": _json(ref("ProjectDetails"), "Lists have the newest first.")},
            _parameter("id", {"type": "string"}, "The project.", needed=True),
            refusals=("400",),
        ),
        "/api/ticket": {
            "post": {
                **_operation(
                    "ticket",
                    "A ticket, to be used once in the address of a stream.",
                    {"200": _json(ref("Ticket"), "It is not to be kept.")},
                    refusals=("413",),
                ),
                "security": [{"key": []}, {}],
            }
        },
        "/api/telemetry/health": _get(
            "health",
            "Whether telemetry is there.",
            {
                "200": _json(ref("Healthy"), "It is."),
                "503": _json({"anyOf": [ref("Unhealthy"), ref("Error")]}, "It is not."),
            },
        ),
    }


def _both(shape: str) -> Json:
    """Endpoints that there are in both shapes."""
    limit = {"type": "integer", "minimum": 0, "default": DEFAULT_EVENTS, "description": f"At most {MAX_EVENTS}."}
    found = "The whole state."
    anomalies = ref("DeployedAnomalies") if shape else list_of(ref("Anomaly"))
    cursor = ("Iris-Cursor", "Iris-Resume", "Iris-Missed", "Iris-More")
    return {
        "overview": _get(
            f"overview{shape}",
            found,
            {
                "200": _with_headers(_json(ref(f"{shape}Overview"), found), "ETag"),
                "304": _with_headers({"description": "The client has it already."}, "ETag"),
            },
            _parameter("If-None-Match", {"type": "string"}, "The ETag of what the client has.", "header"),
        ),
        "events": _get(
            f"events{shape}",
            "Events: the newest first, or with `after` the oldest after that position, oldest first.",
            {"200": _with_headers(_json(list_of(ref(f"{shape}Event")), "A page of events."), *cursor)},
            _parameter("limit", limit, "The size of the page."),
            _parameter("after", {"type": "string"}, "A position."),
            refusals=("400",),
        ),
        "anomalies": _get(
            f"anomalies{shape}",
            "Anomalies.",
            {"200": _json(anomalies, "Those that are open, and the latest that closed.")},
            _parameter("projectId", {"type": "string"}, "Only those of this project."),
        ),
    }


def _stream(path: str, about: str) -> Json:
    answers: Json = {"101": {"description": "A WebSocket, where the request asks for one."}}
    parameters = [_parameter("Last-Event-ID", {"type": "string"}, "Resume after this position.", "header")]
    refusals = [*REFUSALS]
    if path == "/api/iris/ws":
        refusals.append("426")
        parameters = []
    else:
        answers["200"] = {
            "description": "Server-sent events; asyncapi.yaml has the messages.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
        refusals.append("406")
    if path == "/api/stream":
        refusals.append("400")
        parameters += [
            _parameter(name, schema, "See protocol.md, section 6.")
            for name, schema in schemas.query_parameters().items()
        ]
    responses = dict(sorted((_refused(*refusals) | answers).items()))
    identifier = path.removeprefix("/api/").title().replace("/", "")
    return {"operationId": f"get{identifier}", "summary": about, "parameters": parameters, "responses": responses}
