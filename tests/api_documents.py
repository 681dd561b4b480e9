"""docs/asyncapi.yaml and docs/openapi.yaml, read and turned into validators."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

DOCS = Path(__file__).resolve().parent.parent / "docs"
WHOLE = ("Metrics", "Project", "Event", "Anomaly", "DeployedProject", "DeployedEvent", "Overview", "DeployedOverview")
"""Objects of which the reference backend knows everything, so that it has to send all of it."""


@cache
def document(name: str) -> Any:
    """The document in a file of docs/."""
    return yaml.load((DOCS / name).read_text(), yaml.CSafeLoader)


def strict(schema: Any) -> Any:
    """The same, but without room for members that it does not name: a backend may send them, ours has none."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found["additionalProperties"] = False
    return found


@cache
def _components(name: str, *, whole: bool) -> dict[str, Any]:
    schemas = strict(document(name)["components"]["schemas"])
    for each in WHOLE if whole else ():
        if each in schemas:
            schemas[each] = schemas[each] | {"required": list(schemas[each]["properties"])}
    return {"schemas": schemas}


def check(name: str, schema: dict[str, Any], value: object, *, whole: bool = True) -> None:
    """Hold a value to a schema of a document; `whole` asks for every member of an object. Raises AssertionError."""
    found = {"allOf": [schema], "components": _components(name, whole=whole)}
    errors = list(Draft202012Validator(found, format_checker=FormatChecker()).iter_errors(value))
    assert not errors, f"{_innermost(errors[0])}\nin {value}"


def _innermost(error: ValidationError) -> str:
    while error.context:
        error = min(error.context, key=lambda each: len(each.path))
    return f"{'/'.join(map(str, error.absolute_path))}: {error.message}"


def message_schema(path: str, kind: str) -> str:
    """The name of the schema of the one message of that type which a backend sends on a path."""
    found = document("asyncapi.yaml")
    (channel,) = [key for key, each in found["channels"].items() if each["address"] == path]
    (operation,) = [
        each
        for each in found["operations"].values()
        if each["action"] == "send" and each["channel"]["$ref"].rpartition("/")[2] == channel
    ]
    names = [each["$ref"].rpartition("/")[2] for each in operation["messages"]]
    types = {name: found["components"]["schemas"][name]["properties"]["type"] for name in names}
    (name,) = [name for name, each in types.items() if kind in (each.get("const"), *each.get("enum", ()))]
    return name


def check_message(path: str, message: dict[str, Any], *, whole: bool = True) -> set[str]:
    """Hold a message of the backend to what is said of its path; names of its schemas, with those in a batch."""
    name = message_schema(path, message["type"])
    check("asyncapi.yaml", {"$ref": f"#/components/schemas/{name}"}, message, whole=whole)
    return {name, *(each for inner in message.get("messages", ()) for each in check_message(path, inner, whole=whole))}
