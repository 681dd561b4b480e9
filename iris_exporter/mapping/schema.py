"""JSON Schema of the section `mappings:`, for editors; from the same tables as everything else."""

from typing import Any

from iris_exporter.config.mappings import SECTION
from iris_exporter.mapping.fields import Schema
from iris_exporter.mapping.mapping_language import MAPPING

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> Schema:
    """Return the schema of a file that has mappings, and maybe other sections, which it leaves alone.

    A mapping that extends another one may leave out what is required otherwise.
    """
    definitions: Schema = {}
    mapping = MAPPING.schema(definitions)
    name = mapping["$ref"].rpartition("/")[2]
    whole = definitions[name]
    definitions[name] = {
        **{key: value for key, value in whole.items() if key != "required"},
        "anyOf": [{"required": ["extends"]}, {"required": whole["required"]}],
    }
    for shared in ("message", "metric"):
        # In a mapping that extends another one, a message or a metric has only what is different.
        definitions[shared] = _partial(definitions[shared])
    return {
        "$schema": DIALECT,
        "title": "Mappings of iris-exporter",
        "type": "object",
        "properties": {SECTION: {"type": "object", "additionalProperties": mapping, "description": "mappings by name"}},
        "$defs": dict(sorted(definitions.items())),
    }


def _partial(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition with what identifies the object alone required."""
    return {**definition, "required": definition["required"][:1]}
