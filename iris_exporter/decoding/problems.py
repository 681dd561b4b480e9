"""What can be wrong with a message or with one field of it, and where it was.

A message that is lost raises `DecodeError`. A field that is left out of its object, and an element that is left out of
its list, are noted here and taken by the caller. Both use the same closed list of reasons.
"""

from typing import NamedTuple

from iris_exporter.core.limits import DEFAULT_LIMITS, Limits

REASONS: dict[str, str] = {
    "binary": "a binary frame, where JSON travels as text",
    "not_protobuf": "the bytes are no message of the schema `iris.v1`",
    "not_utf8": "the bytes are not UTF-8",
    "not_json": "the text is not JSON",
    "not_an_object": "something else stands where an object must",
    "no_type": "the envelope has no `type`",
    "no_data": "the envelope of an event has no `data`",
    "no_id": "an object that is merged by its id has none",
    "wrong_type": "a value of another JSON type than the field can have",
    "not_a_number": "text that is not a number",
    "not_finite": "NaN, an infinity or a number too large to hold",
    "not_a_timestamp": "neither ISO 8601 nor a Unix time",
    "out_of_range": "a share outside 0 to 100 %, a negative count, a time before 1970",
    "too_deep": "nested deeper than is read",
    "too_long": "text or an open object over the limit; cut, or left out",
    "unknown_shape": "a document or an element that is no overview, project, event or anomaly",
    "upstream_error": "the document reports that the request failed",
}
"""Every reason a message or a field can be refused for; a label value, so renaming one is a breaking change."""

MAPPING_REASONS: dict[str, str] = {
    "wrong_type": "a value of another JSON type than can be read as the mapping says",
    "not_a_number": "text that is not a number",
    "not_finite": "NaN, an infinity or a number too large to hold",
    "not_a_timestamp": "not written as the format says",
    "out_of_range": "a time before 1970 or after the year 9999",
    "not_json": "no JSON in a text that should hold some",
    "not_in_map": "a text that `map` does not have, without `other`",
    "no_match": "a text in which `pattern` is not found",
    "division_by_zero": "`per` is 0",
    "negative": "a counter that would fall",
    "not_a_state": "a text that is none of the states",
    "missing": "a `required` value, or the first part of `id`, that is not there",
    "not_a_traceparent": "text that is no trace context of W3C",
    "too_deep": "nested deeper than can be sent in a log record",
    "cursor": "no number where the cursor is one, or nothing that can be a cursor",
}
"""Why a sample, an id or a time is left out of a message of a mapping; a label value, as above."""

MAX_PATHS = 100
"""Paths remembered between two calls of `take`. More come from one huge broken document, whose log nobody reads."""


class FieldProblem(NamedTuple):
    """One thing that was left out of an otherwise good message; `path` is its JSON path, `times` how often."""

    reason: str
    path: str
    times: int


class Problems:
    """Collects problems of fields until they are taken; falsy without any. Counts stay exact when paths no longer fit.

    `base` is the JSON path of the object that is being read; `limits` say what is too long or too deep.
    """

    __slots__ = ("_counts", "base", "limits")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.base = "$"
        self.limits = limits
        self._counts: dict[tuple[str, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, reason: str, field: str = "") -> None:
        """Note what could not be used: a field of the object at `base`, `[index]` of a list, or `base` when empty."""
        key = (reason, f"{self.base}.{field}" if field and field[0] != "[" else self.base + field)
        if key not in self._counts and len(self._counts) >= MAX_PATHS:
            key = (reason, "$")
        self._counts[key] = self._counts.get(key, 0) + 1

    def take(self) -> list[FieldProblem]:
        """Return what was noted since the last call, in the order of first sight, and forget it."""
        taken = [FieldProblem(reason, path, times) for (reason, path), times in self._counts.items()]
        self._counts.clear()
        return taken
