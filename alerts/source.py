"""Alerts about the IRIS installation itself, as its own figures tell.

The indicator of the success objective is a gauge that the source computes, and its value is all that the wire has: no
counter of runs and failures. So the share of success over a window is the mean of that gauge over time. A minute with
one run weighs as much as a minute with a thousand; time without data weighs nothing; and a source whose figure is an
average over a day or longer is slow to fall and slow to recover, and so are the alerts.
"""

from alerts import thresholds as t
from alerts.model import Alert, Concern, Dashboard, Group, Record, Severity
from alerts.promql import TARGET_LABELS, series
from iris_exporter.instruments import catalog

_DROPPED = ", ".join(TARGET_LABELS)
_PROJECT = "Project {{ $labels.project }} (stream {{ $labels.stream }})"
_PROJECT_VARIABLES = ("job", "instance", "stream", "project")
_RUNS = series(catalog.RUNS_TODAY)


def _mean(window: str) -> str:
    """The name of the recorded mean over a window."""
    return f"stream:{catalog.SUCCESS_RATIO.name}:avg{window}"


_WINDOWS = tuple(dict.fromkeys(window for long, short, *_ in t.SUCCESS_BURN for window in (short, long)))
MEANS = tuple(
    Record(_mean(window), f"avg without ({_DROPPED}) (avg_over_time({series(catalog.SUCCESS_RATIO)}[{window}]))")
    for window in _WINDOWS
)

PROJECT_CRITICAL = Alert(
    "IrisProjectCritical",
    f"max without (status) ({series(catalog.PROJECT_STATUS, status='critical')}) == 1",
    Severity.CRITICAL,
    Concern.SOURCE,
    "An IRIS project is critical.",
    f"{_PROJECT} is reported critical for {t.PROJECT_CRITICAL_FOR}.",
    Dashboard.PROJECT,
    "Status over time",
    hold=t.PROJECT_CRITICAL_FOR,
    variables=_PROJECT_VARIABLES,
)


def _burn(long: str, short: str, rate: float, hold: str, severity: str) -> Alert:
    budget = f"{1 - t.SUCCESS_OBJECTIVE:.4g}"
    return Alert(
        "IrisSuccessRatioBurn",
        f"1 - {_mean(long)} > {rate:g} * {budget}\nand\n1 - {_mean(short)} > {rate:g} * {budget}\n"
        f"unless\nmax without ({_DROPPED}) ({_RUNS}) < {t.SUCCESS_RUNS_AT_LEAST}",
        Severity(severity),
        Concern.SOURCE,
        "Too many runs of an IRIS installation fail.",
        f"Stream {{{{ $labels.stream }}}}: {{{{ $value | humanizePercentage }}}} of runs failed over {long}, and the "
        f"last {short} were over the limit, too: {rate * (1 - t.SUCCESS_OBJECTIVE):.0%}, burn rate {rate:g} for an "
        f"objective of {t.SUCCESS_OBJECTIVE:.4g}.",
        Dashboard.OVERVIEW,
        "Success Rate",
        hold=hold,
        variables=("job", "stream"),
        labels={"window": long},
    )


BURN = tuple(_burn(*row) for row in t.SUCCESS_BURN)

_ERRORS = (
    "sum without (event_type, severity) (increase("
    f"{series(catalog.EVENTS, severity=('error', 'critical'))}[{t.ERROR_EVENTS_WINDOW}]))"
)
_ALL_EVENTS = f"sum without (event_type, severity) (increase({series(catalog.EVENTS)}[{t.ERROR_EVENTS_WINDOW}]))"
ERROR_BURST = Alert(
    "IrisErrorEventsBurst",
    f"{_ERRORS} > {t.ERROR_EVENTS}\nand\n{_ERRORS} > {t.ERROR_EVENTS_RATIO:g} * {_ALL_EVENTS}",
    Severity.WARNING,
    Concern.SOURCE,
    "An IRIS project reports many errors.",
    f'{_PROJECT} had {{{{ $value | printf "%.0f" }}}} events of severity error or critical within '
    f"{t.ERROR_EVENTS_WINDOW}, which is more than {t.ERROR_EVENTS} and more than {t.ERROR_EVENTS_RATIO:.0%} of its "
    "events.",
    Dashboard.PROJECT,
    "Events by severity",
    hold=t.ERROR_EVENTS_FOR,
    variables=_PROJECT_VARIABLES,
)
NO_RUNS = Alert(
    "IrisNoRunsToday",
    f"max without ({_DROPPED}) ({_RUNS}) == 0\n"
    f"and\nmax without ({_DROPPED}) ({_RUNS} offset 1d) >= {t.RUNS_USUAL}\n"
    f"unless\nmax without ({_DROPPED}) ({_RUNS} offset 7d) < {t.RUNS_USUAL}",
    Severity.WARNING,
    Concern.SOURCE,
    "An IRIS installation has had no runs today, and should have.",
    f"Stream {{{{ $labels.stream }}}}: no run since midnight (by the source's clock). Yesterday at this hour, and on "
    f"this day a week ago, there had been {t.RUNS_USUAL} or more; it is {t.NO_RUNS_FOR} later than usual.",
    Dashboard.OVERVIEW,
    "Active Runs",
    hold=t.NO_RUNS_FOR,
    variables=("job", "stream"),
)
ANOMALY_OPEN = Alert(
    "IrisAnomalyOpenLong",
    f"min_over_time({series(catalog.ANOMALIES, severity=('critical', 'warning'))}[{t.ANOMALY_BRIDGE}]) > 0",
    Severity.WARNING,
    Concern.SOURCE,
    "Anomalies of an IRIS project stay open.",
    f'{_PROJECT} has had unresolved anomalies for {t.ANOMALY_OPEN_FOR}, now {{{{ $value | printf "%.0f" }}}}.',
    Dashboard.PROJECT,
    "Open anomalies by severity",
    hold=t.ANOMALY_OPEN_FOR,
    variables=_PROJECT_VARIABLES,
)

GROUP = Group("iris-source", (*MEANS, PROJECT_CRITICAL, *BURN, ERROR_BURST, NO_RUNS, ANOMALY_OPEN))
