"""What can be promised of the counters of a source: how often an event is counted over drops and restarts.

Two things decide. An identity, by which an event that comes twice is counted once; and a way to resume, by which what
passed while there was no connection comes again. What a mapping does not name is not there: a source of server-sent
events may send ids, and nothing but the mapping says so.
"""

from dataclasses import dataclass

from iris_exporter.core.status import Counted
from iris_exporter.mapping.paths import Root
from iris_exporter.mapping.spec import Mapping, Order


@dataclass(frozen=True, slots=True)
class Guarantee:
    """How often each event is counted, and a sentence that says why."""

    counted: Counted
    why: str


def guarantee(mapping: Mapping, protocol: str) -> Guarantee:
    """Return what can be promised over a protocol (`websocket`, `sse`, `poll`, `ndjson`, or `auto` while unknown)."""
    parts = [(entry.kind, part) for entry in mapping.all_entries for part in entry.parts]
    counting = [(kind, part) for kind, part in parts if part.counts_events]
    if not counting:
        return Guarantee(Counted.NONE, "no metric counts events; values are the last ones that arrived")
    nameless = next((kind for kind, part in counting if not part.id), None)
    resumes, how = _resume(mapping, protocol)
    if nameless is not None:
        named = f"messages of kind {nameless} have no id"
        if resumes:
            return Guarantee(Counted.AT_LEAST_ONCE, f"{how}, but {named}: what is sent again is counted again")
        return Guarantee(Counted.NONE, f"{named}, and {how}")
    if not resumes:
        why = f"events have ids, of which the last {mapping.limits.ids} are known, but {how}"
        return Guarantee(Counted.AT_MOST_ONCE, f"{why}: what passes without a connection is lost")
    cursor = mapping.cursor
    if cursor is not None and cursor.order is Order.NUMBER and cursor.rewind is None:
        why = "events have ids, but cursor has no rewind: of events with the same number some may be lost"
        return Guarantee(Counted.AT_MOST_ONCE, why)
    if (
        cursor is not None
        and cursor.order is not Order.POSITION
        and cursor.resume
        and cursor.resume.message is not None
    ):
        why = "what comes before the source has read the message with the cursor moves it past what was missed"
        return Guarantee(Counted.AT_MOST_ONCE, f"events have ids, but {why}")
    return Guarantee(Counted.EXACTLY_ONCE, f"events have ids, and {how}, {_reach(mapping)}")


def _reach(mapping: Mapping) -> str:
    """What a source has to keep to."""
    reach = f"as far as the source's history and the last {mapping.limits.ids} ids reach"
    cursor = mapping.cursor
    if cursor is None or cursor.order is Order.POSITION or cursor.path.root is Root.META:
        return reach
    if cursor.rewind is None:
        return f"{reach} and no two messages have the same cursor"
    return f"{reach} and no event comes later than rewind allows for"


def _resume(mapping: Mapping, protocol: str) -> tuple[bool, str]:
    """Whether the source can be asked for what was missed, and a half sentence that says so."""
    cursor = mapping.cursor
    if cursor is None:
        return False, "the mapping has no cursor"
    if cursor.by is not None:
        return False, "a cursor for each key finds gaps and cannot be resumed from"
    if cursor.resume is None:
        return False, "cursor has no resume"
    if cursor.path.root is Root.META and protocol not in ("sse", "auto"):
        return False, f"the cursor is the id of a server-sent event, which {protocol} does not have"
    if cursor.resume.message is not None and protocol not in ("websocket", "auto"):
        return False, f"the cursor is sent in a message, which {protocol} has no way for"
    if protocol == "poll" and not cursor.resume.query and cursor.resume.header is None:
        return False, "polling begins anew each time"
    rewind = "" if cursor.rewind is None else ", from a little earlier"
    return True, f"the source sends what follows the cursor{rewind}"
