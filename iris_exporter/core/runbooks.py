"""Which runbook helps with what is wrong now: the alert that would be raised for it, by name.

The alerts themselves are outside of this package; a test holds these names to them. Pure.
"""

from iris_exporter.core.reasons import AUTH_REASONS, RATE_REASONS
from iris_exporter.core.status import State

BY_PART: dict[str, str] = {
    "config": "IrisExporterReloadFailed",
    "web_config": "IrisExporterWebConfigBroken",
    "state": "IrisExporterStateNotSaved",
    "otlp_traces": "IrisExporterTelemetryDropped",
    "otlp_logs": "IrisExporterTelemetryDropped",
    "discovery_files": "IrisExporterDiscoveryFailing",
    "discovery_http": "IrisExporterDiscoveryFailing",
    "discovery_kubernetes": "IrisExporterDiscoveryFailing",
    "election": "IrisExporterNoLeader",
}
"""For what of the exporter itself fails (`core.own_failures.PARTS`); the other parts have no alert of their own."""


def for_stream(state: State, reason: str | None, *, is_silent: bool) -> str | None:
    """The alert for a stream; None where nothing is wrong.

    Args:
        reason: Of its failure, None where there is none now.
        is_silent: Whether it is connected and has brought no data for too long.
    """
    if state is State.DISCONNECTED:
        return "IrisStreamDisconnected"
    if state is not State.LIVE and reason in RATE_REASONS:
        return "IrisUpstreamRateLimiting"
    if state is State.ERROR:
        return "IrisStreamUnauthorized" if reason in AUTH_REASONS else "IrisStreamError"
    if state is State.CONNECTING:
        return None if reason is None else "IrisStreamDown"
    if is_silent:
        return "IrisStreamDataStale"
    return "IrisStreamPolling" if state is State.POLLING and reason is not None else None


def anchor(alert: str) -> str:
    """The heading of an alert in the page with the runbooks."""
    return alert.lower()
