"""What a rule is, whatever program reads it in the end."""

from dataclasses import dataclass, field
from enum import StrEnum

from alerts import thresholds


class Severity(StrEnum):
    """What somebody has to do about it."""

    CRITICAL = "critical"  # get up
    WARNING = "warning"  # look at it in the course of the day
    INFO = "info"  # know it


class Concern(StrEnum):
    """Whose business it is, so that routes can wake the right person."""

    LINK = "link"  # the connection to the source, and what comes over it
    SOURCE = "source"  # the IRIS installation: its projects, runs and events
    EXPORTER = "exporter"  # this program, its configuration and what it exports to


class Dashboard(StrEnum):
    """The dashboards that an alert may point to, by uid."""

    OVERVIEW = "iris-overview"
    PROJECT = "iris-project"
    CONNECTION = "iris-connection"
    EXPORTER = "iris-exporter"


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule; `name` is `level:metric:operation`."""

    name: str
    expr: str


@dataclass(frozen=True, slots=True)
class Cause:
    """What an alert asks, when it fires, for the reason that its own series does not name.

    `expr` is a query with one series at most, whose label `reason` says it, and with `%q`, or `%s` within quotes, for
    the alert's value of each of `labels`. It is no part of the alert's expression: a label for the reason would start
    `hold` anew with each new reason. `words` begin the sentence, which is left out where there is no reason.
    """

    words: str
    expr: str
    labels: tuple[str, ...]

    @property
    def template(self) -> str:
        """The sentence, in Prometheus's template language."""
        values = " ".join(f"$labels.{label}" for label in self.labels)
        return (
            f"{{{{ with query (printf `{self.expr}` {values}) }}}} {self.words} "
            '{{ . | first | label "reason" }}.{{ end }}'
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule.

    `hold` is how long the expression must yield the same series before the alert fires, in PromQL's notation; empty:
    at once. `summary` is the same for all instances of the alert. `panel` is the title of the panel on `dashboard` that
    shows it best, `variables` are labels of the alert that the dashboard has variables for. `labels` come on top of
    severity and concern. `cause` ends the description with the reason.
    """

    name: str
    expr: str
    severity: Severity
    concern: Concern
    summary: str
    description: str
    dashboard: Dashboard
    panel: str
    hold: str = ""
    variables: tuple[str, ...] = ("job", "instance", "stream")
    labels: dict[str, str] = field(default_factory=dict)
    cause: Cause | None = None

    @property
    def anchor(self) -> str:
        """The alert's heading in the runbooks."""
        return self.name.lower()

    @property
    def all_labels(self) -> dict[str, str]:
        """What the rule adds to the labels of the series."""
        return {"severity": self.severity.value, "concern": self.concern.value, **self.labels}

    @property
    def annotations(self) -> dict[str, str]:
        """Texts and links, in Prometheus's template language."""
        query = "&".join(f"var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in self.variables)
        return {
            "summary": self.summary,
            "description": self.description + ("" if self.cause is None else self.cause.template),
            "runbook_url": f"{thresholds.RUNBOOKS}#{self.anchor}",
            "dashboard_url": f"{thresholds.DASHBOARDS}/{self.dashboard}{'?' if query else ''}{query}",
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, one after the other."""

    name: str
    rules: tuple[Record | Alert, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """The recording rules."""
        return tuple(rule for rule in self.rules if isinstance(rule, Record))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The alerting rules."""
        return tuple(rule for rule in self.rules if isinstance(rule, Alert))
