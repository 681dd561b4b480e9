"""How bad an event is: the words for it, and what they are in OpenTelemetry."""

SEVERITIES = {
    "trace": 1,
    "debug": 5,
    "low": 9,
    "info": 9,
    "medium": 13,
    "warning": 13,
    "error": 17,
    "high": 17,
    "critical": 21,
    "fatal": 21,
}
"""A severity as OTLP's number; the text of a record is the source's own word. What is not here is 0, unspecified."""
