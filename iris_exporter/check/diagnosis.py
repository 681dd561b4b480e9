"""From what was observed to findings and the main one. Pure: no clock, no socket.

The steps of the way come first, since what fails early explains what fails late; of equally bad findings the first one
is the main one. What depends on how long the check has listened is called a problem only when the exporter itself would
call it one in that time, so that a source with little to say passes.
"""

from collections.abc import Iterator

from iris_exporter.check.finding import Severity
from iris_exporter.check.findings import Found
from iris_exporter.check.fit import Fit
from iris_exporter.check.observations import Heard, Observation
from iris_exporter.check.usage import limits_used
from iris_exporter.check.ways import kind_of
from iris_exporter.core.failures import Failure
from iris_exporter.settings import StreamSettings

EXPIRES_SOON_DAYS = 14
CLOCK_SECONDS = 30.0
"""Half of the default heartbeat timeout; the Date header counts whole seconds, and a cached answer may be older."""
HIGH_RATE = 10_000
_AT_ONCE_SECONDS = 1.0
_PONG_SECONDS = 3.0
_NEARLY = 0.95  # the exporter calls a link dead at its timeout, and both begin to count at slightly different moments
_IDLE_SECONDS = 0.5
_MAX_NAMES = 5
_CUTS = frozenset({"connection_reset", "abnormal_closure", "closed", "going_away", "network"})
_SEVERITIES = (Severity.CONFIGURATION, Severity.PROBLEM, Severity.WARNING, Severity.NOTE)


def diagnose(seen: Observation, settings: StreamSettings) -> list[Found]:
    """What was found, the worst first; empty for nothing to say."""
    return worst_first([*_of_the_way(seen), *_of_the_link(seen, settings), *_of_the_messages(seen, settings)])


def worst_first(found: list[Found]) -> list[Found]:
    """The findings by severity; equals stay in their order."""
    return sorted(found, key=lambda each: _SEVERITIES.index(each.finding.severity))


def main_finding(found: list[Found]) -> Found | None:
    """The one thing to act on; None when all is well."""
    first = next(iter(worst_first(found)), None)
    return None if first is None or first.finding.severity is Severity.NOTE else first


def exit_code(found: list[Found]) -> int:
    """0 all well, 1 a problem upstream, 2 a bad configuration."""
    first = main_finding(found)
    if first is None:
        return 0
    return 2 if first.finding.severity is Severity.CONFIGURATION else 1


def _of_the_way(seen: Observation) -> Iterator[Found]:
    if seen.failure is not None:
        yield _of_failure(seen, seen.failure)
    elif seen.way.bad_addresses:
        yield Found("some_addresses_fail", ", ".join(seen.way.bad_addresses))
    if seen.way.certificate_days is not None and seen.way.certificate_days < EXPIRES_SOON_DAYS:
        yield Found("tls_expires_soon", f"in {seen.way.certificate_days:.0f} days")
    difference = clock_difference(seen)
    if difference is not None and abs(difference) > CLOCK_SECONDS:
        side = "behind" if difference > 0 else "ahead of"
        yield Found("clock_difference", f"the source is {abs(difference):.0f} s {side} this machine")


def clock_difference(seen: Observation) -> float | None:
    """Our clock less the source's, in seconds, as the last answer with a Date shows it; None without one."""
    dated = [head for head in seen.heads if head.date is not None]
    return dated[-1].at - (dated[-1].date or 0.0) if dated else None


def _of_failure(seen: Observation, failure: Failure) -> Found:
    """The finding of what ended the way to the first message."""
    reason, detail = failure.listed_reason, failure.detail
    answer = seen.heads[-1] if seen.heads else None
    if (kind := kind_of(failure, seen.failed_step)) is not None:
        return Found(kind, detail)
    if seen.tls_speaks_on_plain_port:
        return Found("tls_expected", str(failure))
    if reason == "timeout" and seen.rest_through:
        return Found("sse_buffered", f"no head within the limit, while REST answers through {seen.rest_through}")
    if reason == "timeout":
        return Found("no_answer", detail)
    is_page = answer is not None and answer.media_type in ("text/html", "application/xhtml+xml")
    if seen.redirected_to and (is_page or reason in ("redirect", "not_a_stream", "not_found")):
        return Found("login_redirect", f"to {seen.redirected_to[-1]}; {failure}")
    if reason in ("not_a_stream", "not_json", "upgrade_refused") and is_page and answer and answer.status == 200:
        return Found("web_page", detail)
    if reason in _CUTS and seen.way.asks_for_certificate and not seen.has_certificate:
        return Found("client_certificate", f"{failure}, after asking for a certificate")
    if seen.sse_works_instead:
        return Found("upgrade_eaten", str(failure))
    return Found(_with_key(seen, reason), detail)


def _with_key(seen: Observation, reason: str) -> str:
    return "key_missing" if reason == "unauthorized" and not seen.has_key else reason


def _of_the_link(seen: Observation, settings: StreamSettings) -> Iterator[Found]:
    if seen.connect_seconds is not None and seen.connect_seconds > settings.connect_timeout_seconds / 2:
        yield Found("slow_answer", f"{seen.connect_seconds:.1f} s of {settings.connect_timeout_seconds:g} s")
    heard = seen.heard
    if heard is not None:
        failure = heard.ended
        found = _of_silence(seen, heard, settings) if failure is None else _of_the_end(seen, heard, failure, settings)
        if found is not None:
            yield found
    if seen.snapshot is not None and seen.failure is None:
        yield Found("snapshot_failed", str(seen.snapshot))
    if seen.has_positions and seen.resumed in ("none", "restarted"):
        yield Found("resume_failed", f"the outcome is {seen.resumed}")
    elif heard is not None and seen.messages.events and not seen.has_positions:
        yield Found("resume_not_offered")


def _of_the_end(seen: Observation, heard: Heard, failure: Failure, settings: StreamSettings) -> Found:
    """The link ended by itself while the check listened."""
    after = f"after {heard.seconds:.1f} s: {failure}"
    if failure.reason == "heartbeat_timeout":
        silent = None if heard.reads else _of_silence(seen, heard, settings)
        return silent or Found("heartbeat_timeout", after)
    if failure.reason not in _CUTS:
        return Found(_with_key(seen, failure.listed_reason), after)
    if not seen.messages.usable and heard.seconds < _AT_ONCE_SECONDS:
        return Found("closed_at_once", after)
    silence = heard.silent_at_end
    if silence >= max(_IDLE_SECONDS, 1.5 * heard.longest_pause, heard.seconds / 3):
        return Found("idle_cut", f"after {silence:.1f} s without traffic: {failure}")
    return Found("cut_early", after)


def _of_silence(seen: Observation, heard: Heard, settings: StreamSettings) -> Found | None:
    """The link is open, and little or nothing comes over it."""
    messages = seen.messages
    for_long = f"for {heard.seconds:.0f} s"
    if not heard.reads:
        no_pong = heard.pings and heard.seconds >= min(_PONG_SECONDS, settings.heartbeat_timeout_seconds)
        if no_pong:
            return Found("silent_connection", for_long)
        if heard.seconds >= _NEARLY * settings.heartbeat_timeout_seconds:
            between = [head.between for head in seen.heads if head.between]
            return (
                Found("sse_buffered", f"{for_long}; {between[-1]}") if between else Found("silent_connection", for_long)
            )
    without_data = heard.seconds if messages.last_data_at is None else heard.ended_at - messages.last_data_at
    if without_data >= settings.stale_after_seconds and not messages.broken_messages:
        return Found("silent_data", f"for {without_data:.0f} s")
    if not messages.data and not messages.broken_messages:
        return Found("not_heard_long_enough", for_long)
    return None


def _of_the_messages(seen: Observation, settings: StreamSettings) -> Iterator[Found]:
    messages, heard = seen.messages, seen.heard
    strange = "not_mapped" if seen.mapping else "not_iris"
    if messages.broken:
        places = ", ".join(f"{reason} at {path} ({n} times)" for (reason, path), n in messages.broken.most_common(3))
        yield Found("unusable_messages" if messages.data or seen.has_snapshot else strange, places)
    elif messages.kinds and set(messages.kinds) == {"unknown"}:
        yield Found(strange, f"{messages.kinds['unknown']} messages of unknown types")
    if seen.mapping_problems:
        yield Found("mapping_problems", ", ".join(map(_problem, seen.mapping_problems.most_common(3))))
    yield from _of_the_fit(messages.fit)
    if messages.repeated_events >= 2:
        yield Found("duplicate_events", f"{messages.repeated_events} of {messages.events} events")
    if messages.errors:
        yield Found("upstream_error", ", ".join(dict.fromkeys(messages.errors)))
    near = [each for each in limits_used(seen, settings) if each.is_near]
    has_ended = heard is not None and heard.ended is not None
    if sizes := [f"{each}, --stream.{each.option}" for each in near if each.is_size and not has_ended]:
        yield Found("near_message_limit", ", ".join(sizes))
    if entities := [f"{each}, --stream.{each.option}" for each in near if not each.is_size]:
        yield Found("near_entity_limit", ", ".join(entities))
    if heard is not None and heard.seconds >= 1 and messages.usable / heard.seconds > HIGH_RATE:
        yield Found("high_rate", f"{messages.usable / heard.seconds:.0f} a second")


def _problem(counted: tuple[tuple[str, str, str], int]) -> str:
    (kind, metric, reason), times = counted
    return f"{reason} of {metric or kind} ({times} times)"


def _of_the_fit(fit: Fit) -> Iterator[Found]:
    misspelled = list(fit.misspelled())
    if misspelled:
        names = (f"{place}.{name} for {known} ({n} messages)" for place, name, known, n in misspelled[:_MAX_NAMES])
        yield Found("misspelled_field", ", ".join(names))
    mixed = [f"{place}.{name}" for (place, name), scale in fit.scales.items() if scale.is_mixed]
    if mixed:
        yield Found("share_scale", ", ".join(mixed[:_MAX_NAMES]))
