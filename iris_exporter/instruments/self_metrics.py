"""Counters and gauges about the exporter itself, by the metrics of the catalogue."""

from collections.abc import Callable, Mapping
from functools import partial

from iris_exporter.core.own_failures import ALL_REASONS, PARTS
from iris_exporter.instruments import catalog
from iris_exporter.instruments.metric import Kind, Metric, Subject, Value
from iris_exporter.instruments.signals import ExportCounts
from iris_exporter.process.blocking import POOLS

_EXPORT_COUNTS = (
    (catalog.OTLP_EXPORTED, "exported"),
    (catalog.OTLP_FAILED, "failed"),
    (catalog.OTLP_DROPPED, "dropped"),
    (catalog.OTLP_QUEUED, "queued"),
)


class SelfMetrics:
    """The numbers of the metrics without the label `stream`.

    A metric is counted (`add`), set (`set`), or read at each scrape (`watch`). Counters start at 0, for those values of
    their label that the catalogue names; a gauge has no series before it is known. `version`, `revision` and
    `python_version` are what `--version` prints.
    """

    def __init__(self, version: str, revision: str, python_version: str) -> None:
        self._numbers: dict[Metric, dict[str, float]] = {}  # by metric, by the value of its label, "" without one
        for metric in catalog.CATALOG:
            if metric.subject is Subject.EXPORTER:
                self._numbers[metric] = dict.fromkeys(_from_the_start(metric), 0)
        self._watched: dict[Metric, Callable[[], Value]] = {}
        self._failures: dict[str, str] = {}
        self.watch(catalog.EXPORTER_FAILURE_INFO, lambda: dict.fromkeys(self.failures().items(), 1))
        self.watch(catalog.BUILD_INFO, lambda: (version, revision, python_version))
        self.set(catalog.CONNECTIONS, 0)
        before = {pool: pool.timeouts for pool in POOLS}  # pools are the process's
        self.watch(catalog.BLOCKING_STUCK, lambda: {pool.name: pool.stuck for pool in POOLS})
        self.watch(catalog.BLOCKING_TIMEOUTS, lambda: {pool.name: pool.timeouts - before[pool] for pool in POOLS})

    def add(self, metric: Metric, amount: float = 1, label: str = "") -> None:
        """Add to a counter or gauge; `label` is the value of its label. KeyError for one that the catalogue lacks."""
        numbers = self._numbers[metric]
        if label not in numbers:
            self.set(metric, 0, label)
        numbers[label] += amount  # one operation, since threads count too

    def set(self, metric: Metric, number: float, label: str = "") -> None:
        """Set a gauge; `label` is the value of its label. KeyError for one that the catalogue lacks."""
        if label not in (metric.labels[0].values if metric.labels else ("",)):
            raise KeyError(label)
        self._numbers[metric][label] = number

    def watch(self, metric: Metric, read: Callable[[], Value]) -> None:
        """From now on call `read` at each scrape; a number that it has for a label value replaces the counted one."""
        self._watched[metric] = read

    def config_reloaded(self, ok: bool, at: float) -> None:
        """The configuration was loaded, or (not `ok`) could not be; `at` is Unix time. Call it at the start too."""
        self.set(catalog.RELOAD_SUCCESSFUL, ok)
        self.report("config", None if ok else "invalid")
        if ok:
            self.set(catalog.RELOAD_TIMESTAMP, at)

    def web_config_checked(self, reason: str | None) -> None:
        """The file of `--web.config.file` is in force (None), or cannot be used for a reason of `core.own_failures`."""
        self.set(catalog.WEB_CONFIG_SUCCESSFUL, reason is None)
        self.report("web_config", reason)

    def report(self, part: str, reason: str | None) -> None:
        """A part of the exporter fails for a reason, or (None) works; both are from `core.own_failures`.

        Threads may call it.
        """
        if reason is None:
            self._failures.pop(part, None)
        else:
            self._failures[part] = reason if reason in ALL_REASONS else "other"

    def failures(self) -> dict[str, str]:
        """What fails now, and why, in the order of `PARTS`."""
        now = self._failures.copy()
        return {part: now[part] for part in PARTS if part in now}

    def watch_exports(self, counts: Callable[[], Mapping[str, ExportCounts]]) -> None:
        """From now on call `counts` for what became of the records of each exported signal."""

        def read(field: str) -> Value:
            return {signal: getattr(found, field) for signal, found in counts().items()}

        for metric, field in _EXPORT_COUNTS:
            self.watch(metric, partial(read, field))

    def shown(self, metric: Metric) -> Value:
        """What a metric shows now; None for what is not known yet."""
        read, numbers = self._watched.get(metric), self._numbers[metric]
        value: Value = numbers if metric.labels else numbers.get("")
        if read is not None:
            found = read()
            value = {**numbers, **found} if isinstance(found, Mapping) else found
        return value


def _from_the_start(metric: Metric) -> tuple[str, ...]:
    """The label values that exist at 0."""
    if metric.labels:
        return metric.labels[0].zero
    return ("",) if metric.kind is Kind.COUNTER else ()
