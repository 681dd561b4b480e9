"""Counters and facts about the exporter itself."""

from collections.abc import Callable, Iterator, Mapping

from iris_exporter.core.log_limits import LIBRARIES
from iris_exporter.instruments import catalog
from iris_exporter.instruments.catalog import LOG_WRITER, SIGNALS
from iris_exporter.instruments.http_server import DOOR, DoorMetrics
from iris_exporter.instruments.metric import Metric
from iris_exporter.instruments.signals import NO_RECORDS, ExportCounts
from iris_exporter.instruments.text import Sample, clean_label
from iris_exporter.logs import LogCounts
from iris_exporter.process.blocking import POOLS

_OTLP = {
    catalog.OTLP_EXPORTED.name: "exported",
    catalog.OTLP_FAILED.name: "failed",
    catalog.OTLP_DROPPED.name: "dropped",
    catalog.OTLP_QUEUED.name: "queued",
}


class SelfMetrics:
    """What the composition root, the web server and the OTLP exporters report about themselves.

    `version`, `revision` and `python_version` are what `--version` prints.
    """

    def __init__(self, version: str, revision: str, python_version: str) -> None:
        build = {"version": version, "revision": revision, "pythonversion": python_version}
        self._build = {name: clean_label(value) for name, value in build.items()}
        self._values: dict[str, float] = dict.fromkeys(
            (
                catalog.HTTP_ERRORS.name,
                catalog.SCRAPES_REFUSED.name,
                catalog.STATE_COMMIT_FAILURES.name,
                catalog.LIVE_PUSHED.name,
                catalog.LIVE_DROPPED.name,
            ),
            0,
        )
        self.door = DoorMetrics()
        self._log_counts: Callable[[], LogCounts] = _nothing_logged
        self._discovered: dict[str, int] = {}
        self._task_failures = dict.fromkeys(catalog.TASKS, 0)
        self._timeouts_before = {pool: pool.timeouts for pool in POOLS}  # pools are the process's
        self._discovery_failures = dict.fromkeys(catalog.SOURCES, 0)
        self._export_counts: Callable[[], Mapping[str, ExportCounts]] = dict

    def config_reloaded(self, ok: bool, at: float) -> None:
        """The configuration was loaded, or (not `ok`) could not be; `at` is Unix time. Call it at the start too."""
        self._values[catalog.RELOAD_SUCCESSFUL.name] = 1 if ok else 0
        if ok:
            self._values[catalog.RELOAD_TIMESTAMP.name] = at

    def watch_exports(self, counts: Callable[[], Mapping[str, ExportCounts]]) -> None:
        """From now on ask `counts` what became of the records of each signal that is exported."""
        self._export_counts = counts

    def watch_log(self, counts: Callable[[], LogCounts]) -> None:
        """From now on ask `counts` what became of the log of this process."""
        self._log_counts = counts

    def http_error(self) -> None:
        """A request ended in an internal error."""
        self._values[catalog.HTTP_ERRORS.name] += 1

    def scrape_refused(self) -> None:
        """A scrape found too many others under way."""
        self._values[catalog.SCRAPES_REFUSED.name] += 1

    def scrape_finished(self, seconds: float) -> None:
        """A whole scrape was written."""
        self._values[catalog.SCRAPE_DURATION.name] = seconds

    def state_commit_failed(self) -> None:
        """A cursor could not be written to `--state.dir`."""
        self._values[catalog.STATE_COMMIT_FAILURES.name] += 1

    def shard(self, ordinal: int, total: int) -> None:
        """Which part of a fleet this process is."""
        self._values[catalog.SHARD_ORDINAL.name] = ordinal
        self._values[catalog.SHARDS.name] = total

    def leading(self, leads: bool) -> None:
        """Whether this process receives its streams, or another replica does."""
        self._values[catalog.LEADER.name] = 1 if leads else 0

    def waiting(self, streams: int) -> None:
        """How many streams of this process another process still receives."""
        self._values[catalog.WAITING.name] = streams

    def discovered(self, source: str, streams: int) -> None:
        """A source of discovery names this many streams."""
        self._discovered[source] = streams

    def discovery_failed(self, source: str, count: int = 1) -> None:
        """Something that a source of discovery said could not be used."""
        self._discovery_failures[source] = self._discovery_failures.get(source, 0) + count

    def task_failed(self, task: str) -> None:
        """A long-lived task has failed; KeyError for one that the catalogue does not name."""
        self._task_failures[task] += 1

    def live_pushed(self, lines: int) -> None:
        """Grafana Live has taken lines."""
        self._values[catalog.LIVE_PUSHED.name] += lines

    def live_dropped(self, lines: int) -> None:
        """Grafana Live has not taken lines, or they were left out."""
        self._values[catalog.LIVE_DROPPED.name] += lines

    def samples(self, metric: Metric) -> Iterator[Sample]:
        """The series of one metric of the group; none for what has not happened yet."""
        if metric is catalog.BUILD_INFO:
            yield Sample(metric.name, self._build, 1)
        elif metric.name in _OTLP:
            counts, field = self._export_counts(), _OTLP[metric.name]
            yield from _each(metric, {signal: getattr(counts.get(signal, NO_RECORDS), field) for signal in SIGNALS})
        elif metric in (catalog.DISCOVERED, catalog.DISCOVERY_FAILURES):
            yield from _each(metric, self._discovered if metric is catalog.DISCOVERED else self._discovery_failures)
        elif metric is catalog.TASK_FAILURES:
            yield from _each(metric, {**self._task_failures, LOG_WRITER: self._log_counts().writer_failures})
        elif metric in (catalog.BLOCKING_STUCK, catalog.BLOCKING_TIMEOUTS):
            for pool in POOLS:
                count = pool.stuck if metric is catalog.BLOCKING_STUCK else pool.timeouts - self._timeouts_before[pool]
                yield Sample(metric.name, {"pool": pool.name}, count)
        elif metric is catalog.LIBRARY_MESSAGES:
            yield from _each(metric, self._log_counts().library_messages)
        elif metric is catalog.LOG_DROPPED:
            yield Sample(metric.name, {}, self._log_counts().dropped)
        elif metric.name in self._values:
            yield Sample(metric.name, {}, self._values[metric.name])
        elif metric in DOOR:
            yield from self.door.samples(metric)


def _each(metric: Metric, counts: Mapping[str, float]) -> Iterator[Sample]:
    """One series for each value of the metric's only label."""
    (label,) = metric.labels
    for value, count in counts.items():
        yield Sample(metric.name, {label.name: value}, count)


def _nothing_logged() -> LogCounts:
    """The counts of a process whose log nobody watches, as in a test."""
    return LogCounts(0, 0, dict.fromkeys(LIBRARIES, 0))
