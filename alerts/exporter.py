"""Alerts about the exporter itself."""

from alerts import thresholds as t
from alerts.model import Alert, Concern, Dashboard, Group, Severity
from alerts.promql import series
from iris_exporter.instruments import catalog
from iris_exporter.instruments.door import WEB_CONFIG_SUCCESSFUL

_TARGET = ("job", "instance")
_UP = f'up{{job=~"{t.JOB}"}}'

DOWN = Alert(
    "IrisExporterDown",
    f"{_UP} == 0\nor\nabsent({_UP})",
    Severity.CRITICAL,
    Concern.EXPORTER,
    "The IRIS exporter cannot be scraped.",
    "{{ if $labels.instance }}Exporter {{ $labels.instance }} has not answered Prometheus{{ else }}Prometheus has had "
    f"no target whose job is {t.JOB}{{{{ end }}}} for {t.EXPORTER_DOWN_FOR}. Nothing is known about its streams.",
    Dashboard.EXPORTER,
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
    hold=t.OTLP_FOR,
    variables=_TARGET,
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
    hold=t.RELOAD_FAILED_FOR,
    variables=_TARGET,
)
WEB_CONFIG = Alert(
    "IrisExporterWebConfigBroken",
    f"{series(WEB_CONFIG_SUCCESSFUL)} == 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "The web configuration of an IRIS exporter is broken.",
    f"Exporter {{{{ $labels.instance }}}} could not read the file of --web.config.file, for {t.RELOAD_FAILED_FOR}. "
    "Certificates and passwords of the one before are in force, and it would not start again.",
    Dashboard.EXPORTER,
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
    hold=t.COMMIT_FOR,
    variables=_TARGET,
)

GROUP = Group("iris-exporter", (DOWN, CAPPED, OTLP, RELOAD, WEB_CONFIG, COMMIT))
