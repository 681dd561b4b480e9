"""What was measured of one stream, as rows of a name and a text. Pure."""

from collections.abc import Iterator

from iris_exporter.check.diagnosis import clock_difference
from iris_exporter.check.fit import Fit
from iris_exporter.check.observations import Heard, Messages, Observation
from iris_exporter.check.usage import limits_used
from iris_exporter.settings import StreamSettings

_MAX_LISTED = 10
"""Unknown fields in the text; JSON has all that were noted."""

_REFUSALS = ("unauthorized", "forbidden", "handshake", "misconfigured")
"""Ends of a link after which nobody knows whether a key that goes into a message was accepted."""

Row = tuple[str, str]


def measured(seen: Observation, settings: StreamSettings) -> Iterator[Row]:
    """The rows, in the order of the way."""
    yield from _of_the_way(seen)
    yield from _of_the_messages(seen.messages)
    yield from _of_the_fit(seen.messages.fit)
    if seen.heard is not None and seen.heard.seconds:
        yield from _of_the_link(seen.heard, seen.messages, settings)
    if seen.heard is not None or seen.has_snapshot:
        yield "limits", ", ".join(map(str, limits_used(seen, settings)))


def _of_the_way(seen: Observation) -> Iterator[Row]:
    difference = clock_difference(seen)
    if difference is not None:
        yield "clock", f"{difference:+.0f} s against the source (to the second)"
    ended = None if seen.heard is None else seen.heard.ended
    if seen.failure is None and seen.heads and (ended is None or ended.reason not in _REFUSALS):
        yield "authentication", "the key was accepted" if seen.has_key else "no key was sent, and none was asked for"
    if seen.heads:
        between = next((head.between for head in reversed(seen.heads) if head.between), "")
        yield "in between", between or "nothing that names itself"
    yield from _of_what_is_offered(seen)
    if seen.has_snapshot:
        yield "snapshot", f"read from {seen.snapshot_url}" if seen.snapshot_url else "read"
    elif seen.snapshot is not None:
        yield "snapshot", str(seen.snapshot)
    if seen.mapping:
        yield "mapping", seen.mapping
        yield "guarantee", seen.guarantee


def _of_what_is_offered(seen: Observation) -> Iterator[Row]:
    """Protocols and extensions, and whether the source can go on from a position."""
    if seen.heard is None:
        return
    asked = f", chosen of {', '.join(seen.offered)}" if seen.offered else ""
    chosen = f", subprotocol {seen.subprotocol or 'none'}{asked}" if seen.subprotocol or seen.offered else ""
    yield "protocol", f"{seen.heard.protocol}, encoding {seen.encoding or 'json'}{chosen}"
    if seen.extensions is not None:
        yield "extensions", " ".join(sorted(seen.extensions)) or "none"
    if seen.has_positions:
        tried = "not tried" if seen.resumed is None else f"tried, with the outcome {seen.resumed}"
        yield "resume", f"offered: events are numbered; {tried}"
    elif seen.messages.events:
        yield "resume", "not offered: events are not numbered"


def _of_the_messages(messages: Messages) -> Iterator[Row]:
    if messages.kinds:
        yield "messages by type", ", ".join(f"{kind} {count}" for kind, count in messages.kinds.most_common())
    if messages.unknown_types:
        yield "unknown types", ", ".join(f"{name} {count}" for name, count in messages.unknown_types.most_common())
    if messages.usable or messages.broken_messages:
        yield "unusable", f"{messages.broken_messages} of {messages.usable + messages.broken_messages} messages"
    if messages.fields:
        yield "figures", ", ".join(sorted(messages.fields))
    for name, share in messages.shares.items():
        yield f"{name} share", f"read as {share * 100:g} %"
    if messages.delays:
        middle = sorted(messages.delays)[len(messages.delays) // 2]
        yield "delay", f"{middle:.3f} s in the middle, by the source's clock"


def _of_the_fit(fit: Fit) -> Iterator[Row]:
    if not fit.messages:
        return
    shapes = ", ".join(f"{shape} {count}" for shape, count in fit.shapes.most_common())
    yield "shape", f"{shapes}; names in {fit.spelling()}"
    counts = (f"{place} {len(fit.read[place])} of {len(set(fit.known[place].values()))}" for place in fit.places())
    yield "fields known", ", ".join(counts)
    listed = [f"{place}.{name} ({_messages(count)})" for (place, name), count in fit.unread.most_common(_MAX_LISTED)]
    if len(fit.unread) > _MAX_LISTED:
        listed.append(f"and {len(fit.unread) - _MAX_LISTED} others")
    if fit.unlisted:
        listed.append(f"and more than are noted ({fit.unlisted} times)")
    yield "fields unknown", ", ".join(listed) or "none"
    if fit.left_out:
        yield "examined", f"the fields of the first {fit.messages} messages"
    if fit.scales:
        shares = []
        for (place, name), scale in sorted(fit.scales.items()):
            read = "0 to 100" if scale.percentages else "0 to 1"
            mixed = " in some messages and as 0 to 1 in others" if scale.is_mixed else ""
            shares.append(f"{place}.{name} {scale.lowest:g} to {scale.highest:g}, read as {read}{mixed}")
        yield "scale of shares", "; ".join(shares)


def _messages(count: int) -> str:
    return f"{count} message" if count == 1 else f"{count} messages"


def _of_the_link(heard: Heard, messages: Messages, settings: StreamSettings) -> Iterator[Row]:
    if heard.first_after is not None:
        yield "first byte", f"after {heard.first_after:.3f} s"
    if messages.first_at is not None:
        yield "first message", f"{messages.first}, after {max(0.0, messages.first_at - heard.opened_at):.3f} s"
    rate = f"{messages.usable / heard.seconds:.1f} messages/s, {heard.wire_bytes / heard.seconds:.0f} bytes/s"
    yield "rate", f"{rate} over {heard.seconds:.0f} s"
    pause = max(heard.longest_pause, heard.silent_at_end)
    heartbeat = f"longest pause {pause:.1f} s, given up after {settings.heartbeat_timeout_seconds:g} s"
    answered = f"; {heard.pongs} of {heard.pings} pings answered by a pong" if heard.pings else ""
    yield "heartbeat", f"{heartbeat}{answered}"
