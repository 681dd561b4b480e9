"""Alerts about processes that share streams: shards, leaders and discovery.

`without` in place of `by` keeps whatever else tells two fleets apart, such as a namespace. A process without leader
election always leads, so that one rule fits both. A standby has no series of streams, and fires nothing elsewhere.
"""

from alerts import thresholds as t
from alerts.exporter import part_fails
from alerts.model import Alert, Concern, Dashboard, Group, Severity
from alerts.promql import TARGET_LABELS, grew, series
from iris_exporter.instruments import catalog

_DROPPED = ", ".join(TARGET_LABELS)
_ORDINAL, _LEADER = series(catalog.SHARD_ORDINAL), series(catalog.LEADER)


def _by_shard(ordinals: str) -> str:
    """How many processes there are for each shard, which becomes a label."""
    return f'count_values without ({_DROPPED}) ("shard", {ordinals})'


_LEADERS = _by_shard(f"{_ORDINAL} and {_LEADER} == 1")

NO_LEADER = Alert(
    "IrisExporterNoLeader",
    f"{_by_shard(_ORDINAL)}\nunless\n{_LEADERS}",
    Severity.CRITICAL,
    Concern.EXPORTER,
    "No replica of an IRIS exporter receives its streams.",
    'Shard {{ $labels.shard }} of {{ $labels.job }}: none of its replicas ({{ $value | printf "%.0f" }} up) has led '
    f"for {t.NO_LEADER_FOR}. Its streams are not received.",
    Dashboard.EXPORTER,
    "Exporters",
    hold=t.NO_LEADER_FOR,
    variables=("job",),
)
TWO_LEADERS = Alert(
    "IrisExporterTwoLeaders",
    # Only where somebody stands by at times: exporters that know nothing of each other all lead, and rightly.
    f"{_LEADERS} > 1\nand ignoring (shard)\n"
    f"min without ({_DROPPED}) (min_over_time({_LEADER}[{t.STANDBY_WINDOW}])) == 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "Several replicas of an IRIS exporter receive the same streams.",
    'Shard {{ $labels.shard }} of {{ $labels.job }}: {{ $value | printf "%.0f" }} replicas lead at the same time, for '
    f"{t.TWO_LEADERS_FOR}. Sums over replicas count their events more than once.",
    Dashboard.EXPORTER,
    "Exporters",
    hold=t.TWO_LEADERS_FOR,
    variables=("job",),
)
SHARD_MISSING = Alert(
    "IrisExporterShardMissing",
    f"max without ({_DROPPED}) ({series(catalog.SHARDS)}) - count without (shard) ({_by_shard(_ORDINAL)}) > 0",
    Severity.CRITICAL,
    Concern.EXPORTER,
    "A shard of the IRIS exporters is missing.",
    'Shards of {{ $labels.job }} without a process that answers Prometheus: {{ $value | printf "%.0f" }}, for '
    f"{t.SHARD_MISSING_FOR}. Their streams are not received.",
    Dashboard.EXPORTER,
    "Exporters",
    hold=t.SHARD_MISSING_FOR,
    variables=("job",),
)
WAITING = Alert(
    "IrisExporterStreamsWaiting",
    f"{series(catalog.WAITING)} > 0",
    Severity.WARNING,
    Concern.EXPORTER,
    "An IRIS exporter waits for streams that another process still receives.",
    'Exporter {{ $labels.instance }} has waited for other processes to give up {{ $value | printf "%.0f" }} of its '
    f"streams for {t.WAITING_FOR}. They are received, but not where they should be.",
    Dashboard.EXPORTER,
    "Exporters",
    hold=t.WAITING_FOR,
    variables=("job", "instance"),
)
_FAILURES = catalog.DISCOVERY_FAILURES
DISCOVERY = Alert(
    "IrisExporterDiscoveryFailing",
    # An endpoint is asked again and again, where the other sources complain once about each thing.
    f"{grew(series(_FAILURES, excluding={'source': ('http',)}), t.DISCOVERY_WINDOW)}\nor\n"
    f"increase({series(_FAILURES, source='http')}[{t.DISCOVERY_WINDOW}]) > {t.DISCOVERY_HTTP_FAILURES}",
    Severity.WARNING,
    Concern.EXPORTER,
    "An IRIS exporter cannot use what discovery tells it.",
    'Exporter {{ $labels.instance }} could not use {{ $value | printf "%.0f" }} entries, files or answers from '
    f"{{{{ $labels.source }}}} within {t.DISCOVERY_WINDOW}. Streams may be missing.",
    Dashboard.EXPORTER,
    "Discovery failures",
    variables=("job", "instance"),
    cause=part_fails("discovery_%s", "job", "instance", "source"),
)

GROUP = Group("iris-fleet", (NO_LEADER, TWO_LEADERS, SHARD_MISSING, WAITING, DISCOVERY))
