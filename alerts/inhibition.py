"""Which alert keeps which others quiet, so that one cause pages once.

An alert that is the cause, or says more about it, stands on the left. No pair stands in both directions, since two
alerts that inhibit each other are both never heard of.
"""

from dataclasses import dataclass

from alerts import exporter, fleet, link, source, traffic
from alerts.model import Alert

_TARGET = ("job", "instance")
_STREAM = (*_TARGET, "stream")
_PROJECT = (*_STREAM, "project")


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While `cause` fires, `effects` with the same values of the labels `equal` notify nobody.

    `cause_severity` and `effect_severity` narrow it down where one name stands for several severities.
    """

    cause: Alert
    effects: tuple[Alert, ...]
    equal: tuple[str, ...]
    reason: str
    cause_severity: str = ""
    effect_severity: str = ""


_OF_A_STREAM = (*link.GROUP.alerts, *traffic.GROUP.alerts)
_BURN = source.BURN[0]

INHIBITIONS = (
    Inhibition(
        exporter.DOWN,
        (
            *_OF_A_STREAM,
            *source.GROUP.alerts,
            *(alert for alert in exporter.GROUP.alerts if alert != exporter.DOWN),
            fleet.DISCOVERY,
        ),
        _TARGET,
        "what is not scraped is not known, and what was known before is no news",
    ),
    Inhibition(
        exporter.DOWN,
        (fleet.SHARD_MISSING,),
        ("job",),
        "a process that is gone takes its shard with it",
    ),
    Inhibition(
        link.UNAUTHORIZED,
        (link.DOWN, link.POLLING, link.FLAPPING, traffic.RATE_LIMITED),
        _STREAM,
        "no data because of the key: a task for whoever has keys",
    ),
    Inhibition(
        link.STALE,
        (link.DOWN, traffic.RATE_ANOMALOUS),
        _STREAM,
        "no data because the source is silent: the link is well",
    ),
    Inhibition(
        link.DOWN,
        (
            link.ERROR,
            link.POLLING,
            link.FLAPPING,
            *(alert for alert in traffic.GROUP.alerts if alert != traffic.EVENTS_LOST),
        ),
        _STREAM,
        "how the link is, is no question while there is none; events that were lost stay lost",
    ),
    Inhibition(
        traffic.RATE_LIMITED,
        (link.POLLING, link.FLAPPING, link.ERROR),
        _STREAM,
        "a source that wants fewer requests sends clients away",
    ),
    Inhibition(
        source.PROJECT_CRITICAL,
        (source.ERROR_BURST, source.ANOMALY_OPEN),
        _PROJECT,
        "errors and anomalies are what makes a project critical",
    ),
    Inhibition(
        _BURN,
        (_BURN,),
        ("job", "stream"),
        "a fast burn is a slow one, too",
        cause_severity="critical",
        effect_severity="warning",
    ),
)
