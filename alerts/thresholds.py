"""Every number of an alert, with its reason: the one file to change for an installation of your own.

Change it, run `make generate`, and `make test ARGS=tests/contract/test_alerts.py`: the cases in alerts/tests say which
alert behaves in another way now. Durations are those of PromQL (`5m`, `1h`, `1d`), ratios go from 0 to 1.
"""

# Where things are.

JOB = "(.*[-/])?iris-exporter"
"""The `job` of the exporter's targets, a regular expression: `iris-exporter` as in every example, `NAME-iris-exporter`,
and `NAMESPACE/iris-exporter` of a PodMonitor or of OTLP. It matters only for a target that has never answered: every
rule goes by metric names, which are ours alone, and so follows a job of any other name. The chart puts in its own."""
RUNBOOKS = "https://example.com/iris-exporter/docs/runbooks.md"
"""What every link to a runbook begins with, in rules of each form and on the dashboards; `#` and an alert's anchor are
added. The page in the project's documentation, below `home` of the chart; put in the address of your own copy, if your
people read one. The chart's value for it is `alerts.runbookBaseUrl`, the exporter's option `--web.runbook-base-url`."""
DASHBOARDS = "/d"
"""What `dashboard_url` begins with; a dashboard's uid is added. Relative to Grafana, whose address only you know: put
it in front. The chart's value for it is `alerts.grafanaUrl`, the exporter's option `--web.grafana-url`."""
GRAFANA_DATASOURCE = "iris-prometheus"
"""The uid of the Prometheus data source that Grafana-managed rules query, as in deploy/grafana/provisioning."""

# The link.

DOWN_FOR = "5m"
"""A restart of the source, or a failover, is over in a minute or two and heals by itself: nobody has to get up."""
REFUSED_WINDOW = "15m"
"""In the error state the link is tried every `--stream.live-retry-interval` (5 minutes): three tries."""
UNAUTHORIZED_FOR = "1m"
"""A refused key does not heal by waiting; less than DOWN_FOR, so that it is known before the general alert."""
ERROR_FOR = "2m"
"""As with the key; long enough for a refusal that a restarting gateway gave once."""
STALE_FOR = "2m"
"""Comes after `--stream.stale-after` (5 minutes), which waits already; less than DOWN_FOR, as it says more."""
DISCONNECTED_FOR = "12h"
"""Somebody disconnected it: longer than a maintenance window, short enough to be found the next day."""
FLAPS = 6
FLAP_WINDOW = "30m"
"""One disconnection each five minutes. Gateways that cut idle or long connections do so hourly or at the minute: the
former is harmless, since the link resumes, and the latter is meant here."""
FLAPPING_FOR = "5m"
POLLING_FOR = "30m"
"""Polling works and is only slower; the live link is tried six times in that time."""

# Traffic.

DELAY_QUANTILE = 0.9
DELAY_SECONDS = 5
"""The wire promises 50 to 200 ms. Above five seconds it is a queue, or two clocks that disagree."""
DELAY_WINDOW = "10m"
DELAY_FOR = "10m"
DECODE_ERROR_RATIO = 0.01
DECODE_ERRORS_AT_LEAST = 5
"""One message in a hundred is more than an accident, and five of them more than one bad object."""
DECODE_WINDOW = "10m"
DECODE_FOR = "10m"
GAP_WINDOW = "15m"
"""Any lost event counts: the promise is none. The window keeps the alert up long enough to be read."""
DUPLICATES_PER_SECOND = 10
DUPLICATES_PER_EVENT = 3
"""Each reconnect, and each snapshot while polling, repeats the last fifty events: expected. A storm goes on while live,
at a rate that costs something, and beyond what two or three channels with the same events would bring."""
DUPLICATES_WINDOW = "10m"
DUPLICATES_FOR = "15m"
RATE_LIMITS = 2
RATE_LIMIT_WINDOW = "30m"
"""Being told to wait once or twice is how the protocol works; every few minutes, somebody asks too often."""
RATE_LIMIT_FOR = "5m"
MESSAGE_RATE_LOW = 0.3
MESSAGE_RATE_HIGH = 3
MESSAGE_RATE_AT_LEAST = 1 / 60
"""Against the same hour yesterday. Work follows the hour of day, and a factor of three is more than one weekday differs
from another; below a message a minute a ratio is noise."""
MESSAGE_RATE_FOR = "30m"

# The source.

PROJECT_CRITICAL_FOR = "10m"
"""The source already smooths health over runs; ten minutes are a few runs more."""
SUCCESS_OBJECTIVE = 0.95
"""Of runs succeed, over 30 days; put in what yours promises. The budget is the rest, 5 %. For the fastest burn rate
below to be possible at all, it must be over 1 - 1/14.4, which is 0.931."""
SUCCESS_RUNS_AT_LEAST = 10
"""Runs today below which a share of successful ones says nothing: after midnight, or on a quiet day."""
# (long window, short window, burn rate, for, severity): the short one, a twelfth of the long one, ends the alert soon
# after the trouble. 14.4 spends 2 % of the month's budget in an hour, 6 spends 5 % in six hours, 3 spends 10 % in a
# day, and 1 spends 10 % in three days: Google's SRE workbook, chapter 5.
SUCCESS_BURN = (
    ("1h", "5m", 14.4, "2m", "critical"),
    ("6h", "30m", 6.0, "15m", "critical"),
    ("1d", "2h", 3.0, "1h", "warning"),
    ("3d", "6h", 1.0, "3h", "warning"),
)
ERROR_EVENTS = 20
ERROR_EVENTS_RATIO = 0.2
ERROR_EVENTS_WINDOW = "10m"
ERROR_EVENTS_FOR = "2m"
"""Of one project: two a minute and a fifth of all its events, so that a busy project may have its usual errors."""
RUNS_USUAL = 5
"""Runs by this hour yesterday, and a week ago, for which none today is remarkable."""
NO_RUNS_FOR = "30m"
"""So long later than usual."""
ANOMALY_OPEN_FOR = "4h"
"""Half a working day: somebody has had the time to look and has not."""
ANOMALY_BRIDGE = "10m"
"""A gap in the data of this length (a restart, a reconnect) does not start the time anew."""

# The exporter.

KNOWN_BRIDGE = "1h"
"""How long Prometheus itself may be down without forgetting which of the targets that do not answer are exporters."""
EXPORTER_DOWN_FOR = "5m"
"""A rolling update, or an eviction with a new image to pull."""
CAPPED_FOR = "10m"
RELOAD_FAILED_FOR = "5m"
"""Somebody who edits the file by hand gets to try again first."""
OTLP_WINDOW = "15m"
OTLP_FOR = "10m"
"""A queue bridges a collector's restart; what is lost for longer than that is a collector that is down or too small."""
COMMIT_WINDOW = "15m"
COMMIT_FOR = "10m"
"""A disk that is full for a moment costs nothing as long as the exporter does not restart in it."""

# The fleet.

NO_LEADER_FOR = "2m"
"""A takeover lasts `--fleet.lease-duration` (15 s) and a scrape."""
TWO_LEADERS_FOR = "2m"
"""One scrape may still show the old leader beside the new one; the lease itself forbids two."""
STANDBY_WINDOW = "1d"
"""Where a replica stood by within this time there is an election, and two leaders are a mistake."""
SHARD_MISSING_FOR = "5m"
"""As EXPORTER_DOWN_FOR: a process is moved to another node, or the number of shards is being changed."""
WAITING_FOR = "15m"
"""While a fleet is changed over, one pod after another, new members wait for old ones: ten pods, a minute each."""
DISCOVERY_WINDOW = "1h"
"""A mistake in a file is counted once, when the file is read: long enough to be seen."""
DISCOVERY_HTTP_FAILURES = 5
"""An endpoint that restarts is missed once or twice at an interval of 30 s; the list before stays in force."""
