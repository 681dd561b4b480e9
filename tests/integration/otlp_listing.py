"""A listing of what a collector received: names, kinds, relations and attributes, without what differs each time."""

from collections import defaultdict
from collections.abc import Iterable

from iris_exporter.instruments import signals
from tests.integration.collector import Record

KINDS = {1: "INTERNAL", 3: "CLIENT", 5: "CONSUMER"}
"""OTLP's `Span.SpanKind`, those that the exporter uses."""
ERROR = 2
"""OTLP's status code of a span that failed."""
NOT_MODIFIED = 304
SHOWN = {
    signals.METHOD.name,
    signals.STATUS_CODE.name,
    signals.NETWORK_PROTOCOL.name,
    signals.NETWORK_VERSION.name,
    signals.PROTOCOL.name,
    signals.REQUEST.name,
}
"""Attributes that are listed with their values; the others with their types."""
OPEN_ENDED = tuple(
    attribute.name.partition("<")[0] for attribute in (signals.METADATA, signals.MESSAGES_BY_TYPE, signals.RESUMES)
)

Heading = tuple[str, ...]


def listing(spans: Iterable[Record], logs: Iterable[Record]) -> str:
    """One block for each kind of span and log record, with all attributes that at least one of them has."""
    spans = list(spans)
    names = {span.body["spanId"]: span.body["name"] for span in spans}
    blocks: dict[Heading, set[str]] = defaultdict(set)
    for span in spans:
        if not _depends_on_the_moment(span):
            blocks[_span_heading(span, names)].update(_attributes(span))
    for log in logs:
        blocks[_log_heading(log, names)].update(_attributes(log))
    text = ""
    for heading, attributes in sorted(blocks.items()):
        text += "".join([" ".join(filter(None, heading)), "\n", *(f"  {line}\n" for line in sorted(attributes))])
    return text


def _depends_on_the_moment(span: Record) -> bool:
    """Whether what happened first decides that there is such a span.

    It was called off, nothing had changed between two polls, or a minute ended between two links.
    """
    attributes = span.attributes
    return (
        attributes.get(signals.ERROR_TYPE.name) == "requested"
        or attributes.get(signals.STATUS_CODE.name) == NOT_MODIFIED
        or (span.body["name"] == signals.SUMMARY.name and not span.body.get("links"))
    )


def _span_heading(span: Record, names: dict[str, str]) -> Heading:
    body, attributes = span.body, span.attributes
    parent = body.get("parentSpanId", "")
    linked = {names.get(link["spanId"], "a span of the source") for link in body.get("links", [])}
    failed = body.get("status", {}).get("code") == ERROR
    return (
        "span",
        body["name"],
        KINDS[body["kind"]],
        f"below {names[parent]}" if parent else "",
        f"linked to {', '.join(sorted(linked))}" if linked else "",
        f"failed with {attributes[signals.ERROR_TYPE.name]}" if failed else "",
        str(attributes.get(signals.REQUEST.name, "")),
    )


def _log_heading(log: Record, names: dict[str, str]) -> Heading:
    body = log.body
    is_event = body["eventName"] == signals.EVENT_LOG.name
    span = body.get("spanId", "")
    return (
        "log",
        body["eventName"],
        # An event's severity is its own: see the test that compares each of them.
        "" if is_event else body["severityText"],
        f"of {names[span]}" if span else "",
    )


def _attributes(record: Record) -> Iterable[str]:
    for name, value in record.attributes.items():
        kind = record.types[name]
        if name in SHOWN:
            yield f"{name}: {kind} {value}"
        elif name.startswith(OPEN_ENDED):
            prefix = next(prefix for prefix in OPEN_ENDED if name.startswith(prefix))
            yield f"{prefix}<...>" if prefix == OPEN_ENDED[0] else f"{prefix}<...>: {kind}"
        else:
            yield f"{name}: {kind}"
