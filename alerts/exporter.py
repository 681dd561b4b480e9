"""Alerts about the exporter itself."""

from alerts import thresholds as t
from alerts.model import Alert, Cause, Concern, Dashboard, Group, Record, Severity
from alerts.promql import of_the_alert, series
from iris_exporter.instruments import catalog

_TARGET = ("job", "instance")
_UP = f'up{{job=~"{t.JOB}"}}'
_SAME_TARGET = f"on ({', '.join(_TARGET)})"
_VERSION_LABELS = ", ".join(catalog.BUILD_INFO.label_names)
_KNOWN_NAME = f"instance:{catalog.BUILD_INFO.name}:known{t.KNOWN_BRIDGE}"


def part_fails(part: str, *labels: str) -> Cause:
    """Why a part of the exporter fails; `part` may have %s, for the last of the alert's labels."""
    target = of_the_alert(catalog.EXPORTER_FAILURE_INFO.name, _TARGET).removesuffix("}")
    return Cause("It fails now:", f'{target},part="{part}"}}', labels)


# An exporter that is down has no series but `up`, whose job anybody may have renamed: so it is remembered which targets
# were exporters when they last answered. What answers and is none is forgotten in time, and what is no target at once.
KNOWN = Record(
    _KNOWN_NAME,
    f"max without ({_VERSION_LABELS}) ({series(catalog.BUILD_INFO)})\n"
    f"or {_SAME_TARGET}\n(\n"
    f"  max_over_time({_KNOWN_NAME}[{t.KNOWN_BRIDGE}])\n  and {_SAME_TARGET}\n  (up == 0)\n)",
)
DOWN = Alert(
    "IrisExporterDown",
    # A target that has never answered can be told by its job alone; one that has answered, whatever its job is.
    f"{_UP} == 0\nor\n(up == 0 and {_SAME_TARGET} {KNOWN.name})\nor\nabsent({_UP} or {KNOWN.name})",
    Severity.CRITICAL,
    Concern.EXPORTER,
    "The IRIS exporter cannot be scraped.",
    "{{ if $labels.instance }}Exporter {{ $labels.instance }} has not answered Prometheus{{ else }}Prometheus has had "
    f"no target that is an exporter, and none whose job is {t.JOB},{{{{ end }}}} for {t.EXPORTER_DOWN_FOR}. "
    "Nothing is known about its streams.",
    Dashboard.EXPORTER,
    "Scraped",
    hold=t.EXPORTER_DOWN_FOR,
    variables=(),
)
CAPPED = Alert(
    "IrisExporterSeriesCapped",
    # Not a rate: what was left out once stays left out until the exporter restarts.
    f"{series(catalog.SERIES_DROPPED)} > 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "The IRIS exporter leaves out series because there are too many.",
    'Stream {{ $labels.stream }} of {{ $labels.instance }}: {{ $value | printf "%.0f" }} label sets of '
    f"{{{{ $labels.metric }}}} are beyond the limit since the exporter started, and seen for {t.CAPPED_FOR}.",
    Dashboard.EXPORTER,
    "Series dropped, scrapes refused",
    hold=t.CAPPED_FOR,
)
OTLP = Alert(
    "IrisExporterTelemetryDropped",
    f"increase({series(catalog.OTLP_DROPPED)}[{t.OTLP_WINDOW}]) + "
    f"increase({series(catalog.OTLP_FAILED)}[{t.OTLP_WINDOW}]) > 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "The IRIS exporter loses traces or logs.",
    'Exporter {{ $labels.instance }} lost about {{ $value | printf "%.0f" }} {{ $labels.signal }} within '
    f"{t.OTLP_WINDOW}: the collector refused them, could not be reached, or was too slow.",
    Dashboard.EXPORTER,
    "OTLP lost",
    hold=t.OTLP_FOR,
    variables=_TARGET,
    cause=part_fails("otlp_%s", *_TARGET, "signal"),
)
RELOAD = Alert(
    "IrisExporterReloadFailed",
    f"{series(catalog.RELOAD_SUCCESSFUL)} == 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "The configuration of an IRIS exporter is broken.",
    f"Exporter {{{{ $labels.instance }}}} could not load its configuration, for {t.RELOAD_FAILED_FOR}. It runs on with "
    "the one before, and would not start again.",
    Dashboard.EXPORTER,
    "Configuration in force",
    hold=t.RELOAD_FAILED_FOR,
    variables=_TARGET,
)
WEB_CONFIG = Alert(
    "IrisExporterWebConfigBroken",
    f"{series(catalog.WEB_CONFIG_SUCCESSFUL)} == 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "The web configuration of an IRIS exporter is broken.",
    f"Exporter {{{{ $labels.instance }}}} could not read the file of --web.config.file, for {t.RELOAD_FAILED_FOR}. "
    "Certificates and passwords of the one before are in force, and it would not start again.",
    Dashboard.EXPORTER,
    "Configuration in force",
    hold=t.RELOAD_FAILED_FOR,
    variables=_TARGET,
)
COMMIT = Alert(
    "IrisExporterStateNotSaved",
    f"increase({series(catalog.STATE_COMMIT_FAILURES)}[{t.COMMIT_WINDOW}]) > 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "An IRIS exporter cannot save its cursors.",
    'Exporter {{ $labels.instance }} failed {{ $value | printf "%.0f" }} times within '
    f"{t.COMMIT_WINDOW} to write to --state.dir. After a restart events would be counted again.",
    Dashboard.EXPORTER,
    "Internal errors",
    hold=t.COMMIT_FOR,
    variables=_TARGET,
    cause=part_fails("state", *_TARGET),
)

GROUP = Group("iris-exporter", (KNOWN, DOWN, CAPPED, OTLP, RELOAD, WEB_CONFIG, COMMIT))
