"""Every metric we expose: the one place where a name, a label, a unit, a help text, a bucket or a value is written.

Exposition, metric reference, dashboards, alerts and tests read this table. A `stable` name or label is an API: changing
it is a breaking change. Wire fields are those of the IRIS wire, section 3. "Adding a metric" in docs/development.md
says what else there is to do.
"""

from iris_exporter.instruments.catalog import exporter, iris, link, mapping, traffic
from iris_exporter.instruments.catalog.exporter import *  # noqa: F403
from iris_exporter.instruments.catalog.iris import *  # noqa: F403
from iris_exporter.instruments.catalog.link import *  # noqa: F403
from iris_exporter.instruments.catalog.mapping import *  # noqa: F403
from iris_exporter.instruments.catalog.traffic import *  # noqa: F403
from iris_exporter.instruments.metric import Metric, Subject

CATALOG: tuple[Metric, ...] = tuple(
    metric
    for subject in (link, traffic, mapping, iris, exporter)
    for metric in vars(subject).values()
    if isinstance(metric, Metric)
)
"""All of them, in the order in which they are declared and printed."""

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOG}

PROJECT_METRICS = tuple(metric for metric in CATALOG if metric.subject is Subject.PROJECT)
