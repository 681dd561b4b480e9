"""IRIS exporter: the sidecar itself."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, table, timeseries

from dashboards import base, common, tables
from dashboards.tables import Column
from iris_exporter.grafana.queries import (
    CPU,
    MAX_FILES,
    MEMORY,
    OPEN_FILES,
    START_TIME,
    TARGET_DURATION,
    TARGET_SAMPLES,
    TARGET_UP,
    age,
    counted,
    named,
    rate,
    select,
    total,
)
from iris_exporter.instruments import catalog

NO_EXPORTER = "No exporter is scraped"
NO_PROCESS = "Needs process metrics: the exporter runs with --web.disable-exporter-metrics, or not on Linux"
OF_INTERVAL: tuple[common.Step, ...] = ((None, "text"), (0.5, common.ORANGE), (1, common.RED))
"""Of a scrape interval: from half of it on a scrape is slow, and at all of it the next one has begun."""
THIRD, HALF = (8, 8), (12, 8)


def board() -> build.Dashboard:
    """The whole dashboard."""
    found = base.dashboard(
        "exporter",
        "IRIS exporter",
        "The exporters themselves: resources, scrapes, series, OTLP export, the HTTP server and configuration.",
        loki_used=False,
        tempo_used=False,
    )
    for panel in figures():
        found.with_panel(panel)
    found.with_panel(failing())
    found.with_panel(versions())
    for title, graphs in (
        ("Resources", resources()),
        ("Scrapes and series", scrapes()),
        ("Export", exports()),
        ("HTTP server and state", http_servers()),
        ("Fleet", fleet()),
    ):
        found.with_row(build.Row(title))
        for graph in graphs:
            found.with_panel(graph)
    return base.closed_rows(found, ("Grafana Live, and what waits or hangs", inside()))


def failing() -> table.Panel:
    """Parts of the exporter that do not work."""
    return tables.grid(
        "What fails",
        "Each part of an exporter that fails now, and why; what to do about a reason is in failures.md. Streams are on "
        "the connection dashboard.",
        common.rows(f"max by (job, instance, part, reason) ({select(catalog.EXPORTER_FAILURE_INFO)})", "A"),
        empty="No part of an exporter fails",
        size=(24, 4),
        columns={
            "instance": Column("Instance", 180, grows=True),
            "part": Column("Part", 250),
            "reason": Column("Reason", 250, tables.reasons()),
        },
        sort=[("Instance", False)],
    )


def figures() -> list[stat.Panel]:
    """The line of big values."""
    yes = {"0": ("No", common.RED), "1": ("Yes", common.GREEN)}

    reloaded, web = (f"min({select(metric)})" for metric in (catalog.RELOAD_SUCCESSFUL, catalog.WEB_CONFIG_SUCCESSFUL))
    return [
        common.card(
            "Scraped", "Whether the last scrape of all of them worked.",
            common.metrics(f"min({select(TARGET_UP)})", "all of them", instant=True),
            unit="bool_yes_no", empty=NO_EXPORTER, size=(8, 4), background=True, mappings=[common.values(yes)],
        ),
        common.card(
            "Configuration in force",
            "Whether every chosen exporter runs with what its files say now: the configuration, and the file of "
            "--web.config.file where there is one.",
            common.metrics(named(configuration=reloaded, web_configuration=web), "{{series}}", instant=True),
            unit="bool_yes_no", empty=NO_EXPORTER, size=(8, 4), background=True, names=True,
            mappings=[common.values(yes)],
        ),
        common.card(
            "Running for", "Time since the last start of an exporter; a blue line in the graphs is a restart.",
            common.metrics(f"min({age(START_TIME)})", "since the last start", instant=True), unit="s",
            empty="No process metrics", size=(4, 4),
        ),
        common.card(
            "Last loaded", "When a configuration was last loaded, at the start or anew.",
            common.metrics(f"1000 * max({select(catalog.RELOAD_TIMESTAMP)})", "loaded", instant=True),
            unit="dateTimeFromNow", empty=NO_EXPORTER, size=(4, 4),
        ),
    ]  # fmt: skip


def versions() -> table.Panel:
    """Which version runs where."""
    return tables.grid(
        "Versions",
        "Version, revision and Python of each chosen exporter.",
        common.rows(select(catalog.BUILD_INFO), "A"),
        empty=NO_EXPORTER,
        size=(24, 5),
        columns={
            "job": Column("Job", 180),
            "instance": Column("Instance", 180, grows=True),
            "version": Column("Version", 140),
            "revision": Column("Revision", 330),
            "pythonversion": Column("Python", 120),
        },
        sort=[("Instance", False)],
    )


def resources() -> list[timeseries.Panel]:
    """CPU, memory, the event loop, files."""
    return [
        common.lines(
            "CPU", "Cores in use; one process uses one core at most.",
            common.metrics(rate(CPU), "{{instance}}"), unit="percentunit", empty=NO_PROCESS, size=HALF,
            steps=((None, common.GREEN), (0.8, common.ORANGE)),
        ),
        common.lines(
            "Memory", "Resident memory.", common.metrics(select(MEMORY), "{{instance}}"), unit="bytes",
            empty=NO_PROCESS, size=HALF,
        ),
        common.lines(
            "Event loop delay", "Longest delay of the event loop in the last minute: how late everything else is.",
            common.metrics(select(catalog.LOOP_DELAY), "{{instance}}"), unit="s", empty=NO_EXPORTER, size=HALF,
            steps=((None, common.GREEN), (0.1, common.ORANGE)),
        ),
        common.lines(
            "Open files", "Open file descriptors as a share of what is allowed; each stream and each client needs one.",
            common.metrics(f"{select(OPEN_FILES)} / ({select(MAX_FILES)} > 0)", "{{instance}}"), unit="percentunit",
            empty=NO_PROCESS, size=HALF, steps=((None, common.GREEN), (0.8, common.ORANGE)),
        ),
    ]  # fmt: skip


def scrapes() -> list[timeseries.Panel]:
    """What a scrape is like."""
    return [
        common.lines(
            "Scrape time",
            "Time to write the whole page, by the exporter, and to fetch it, by Prometheus. What that is of the scrape "
            "interval is in the table of exporters.",
            common.metrics(
                named(written=select(catalog.SCRAPE_DURATION), fetched=select(TARGET_DURATION)),
                "{{series}} {{instance}}",
            ),
            unit="s", empty=NO_EXPORTER, size=THIRD,
        ),
        common.lines(
            "Scrape size", "Samples of each scrape, counted by Prometheus, and series as the exporter counts them.",
            common.metrics(
                named(samples=select(TARGET_SAMPLES), series=select(catalog.SERIES)), "{{series}} {{instance}}"
            ),
            unit="short", empty=NO_EXPORTER, size=THIRD,
        ),
        common.bars(
            "Series dropped, scrapes refused",
            "Label sets beyond the limit of a metric, by metric and stream, and scrapes refused because too many were "
            "under way.",
            common.metrics(
                named(
                    series_dropped=counted(catalog.SERIES_DROPPED, "stream, metric"),
                    scrapes_refused=counted(catalog.SCRAPES_REFUSED, ""),
                ),
                "{{series}} {{stream}} {{metric}}",
            ),
            empty="None in this time", size=THIRD,
        ),
    ]  # fmt: skip


def exports() -> list[timeseries.Panel]:
    """What becomes of spans and log records."""
    by = "signal"
    exported = total(rate(catalog.OTLP_EXPORTED), by)
    lost = named(failed=total(rate(catalog.OTLP_FAILED), by), dropped=total(rate(catalog.OTLP_DROPPED), by))
    return [
        common.lines(
            "OTLP exported",
            "Spans and log records a second that the collector took. Flat at 0 where OTLP is not configured.",
            common.metrics(exported, "{{signal}}"), unit="cps", empty=NO_EXPORTER, size=HALF,
        ),
        common.lines(
            "OTLP lost",
            "Spans and log records a second that the collector refused or that could not be sent (failed), and that "
            "were thrown away because the queue was full (dropped).",
            common.metrics(lost, "{{series}} {{signal}}"), unit="cps", empty=NO_EXPORTER, size=HALF,
        ),
    ]  # fmt: skip


def inside() -> list[timeseries.Panel]:
    """What is 0 nearly always, or of no use to most."""
    live = named(pushed=total(rate(catalog.LIVE_PUSHED), ""), dropped=total(rate(catalog.LIVE_DROPPED), ""))
    return [
        common.lines(
            "Grafana Live", "Lines a second that Grafana Live took, and that were left out. Flat at 0 where it is off.",
            common.metrics(live, "{{series}}"), unit="cps", empty=NO_EXPORTER, size=HALF,
        ),
        common.lines(
            "OTLP waiting", "Spans and log records that wait to be sent, or were sent and have no answer yet.",
            common.metrics(f"sum by (signal) ({select(catalog.OTLP_QUEUED)})", "{{signal}}"), unit="short",
            empty=NO_EXPORTER, size=HALF,
        ),
        common.lines(
            "Threads that hang",
            "Threads held by a file, disk or look-up that has not answered in time, by kind of work.",
            common.metrics(f"sum by (pool) ({select(catalog.BLOCKING_STUCK)})", "{{pool}}"), unit="short",
            empty=NO_EXPORTER, size=HALF,
        ),
        common.bars(
            "Messages of libraries", "Messages that libraries logged, by library.",
            common.metrics(counted(catalog.LIBRARY_MESSAGES, "library"), "{{library}}"),
            empty="No library said anything in this time", size=HALF,
        ),
    ]  # fmt: skip


def http_servers() -> list[timeseries.Panel]:
    """Connections, what is refused, and what followers miss."""
    open_ = named(open=select(catalog.CONNECTIONS), following=select(catalog.FOLLOW_CLIENTS))
    return [
        common.lines(
            "HTTP connections",
            "Open connections to the exporter, and those of them that follow the streams: pages and other clients of "
            "/api/v1/follow.",
            common.metrics(open_, "{{series}} {{instance}}"),
            unit="short", empty=NO_EXPORTER, size=HALF,
        ),
        common.bars(
            "Refused and cut", "Requests refused and connections cut by the HTTP server, by reason.",
            common.metrics(
                named(
                    refused=counted(catalog.REQUESTS_REFUSED, "reason"), cut=counted(catalog.CONNECTIONS_CUT, "reason")
                ),
                "{{series}}: {{reason}}",
            ),
            empty="Nothing was refused or cut in this time", size=HALF,
        ),
        common.bars(
            "Internal errors",
            "Requests that ended in status 500, cursors that --state.dir could not take, tasks of the exporter that "
            "failed and were started again, accesses to files, disks and names that were given up, lines of its log "
            "that nobody read.",
            common.metrics(
                named(
                    internal_errors=counted(catalog.HTTP_ERRORS, ""),
                    cursor_not_written=counted(catalog.STATE_COMMIT_FAILURES, ""),
                    task_failed=counted(catalog.TASK_FAILURES, "task"),
                    given_up=counted(catalog.BLOCKING_TIMEOUTS, "pool"),
                    log_lines_dropped=counted(catalog.LOG_DROPPED, ""),
                ),
                "{{series}} {{task}}{{pool}}",
            ),
            empty="No error in this time", size=HALF,
        ),
        common.bars(
            "Events missed by followers",
            "Events that clients of /api/v1/follow were too slow, or away too long, to get; they are told how many.",
            common.metrics(counted(catalog.FOLLOW_DROPPED, "instance"), "{{instance}}"),
            empty="No follower missed an event in this time", size=HALF,
        ),
    ]  # fmt: skip


def fleet() -> list[table.Panel | timeseries.Panel]:
    """How the streams are divided, who leads, and what discovery brings."""
    return [
        shards(),
        common.lines(
            "Streams by exporter", "Streams that each exporter receives: its shard's part, none while it stands by.",
            common.metrics(f"count by (instance) ({select(catalog.UP)})", "{{instance}}"), unit="short",
            empty="No exporter receives a stream", size=THIRD,
        ),
        common.lines(
            "Discovered streams", "Streams that each source of discovery names, of all shards.",
            common.metrics(f"max by (source) ({select(catalog.DISCOVERED)})", "{{source}}"), unit="short",
            empty="No source of discovery is configured", size=THIRD,
        ),
        common.bars(
            "Discovery failures", "Entries, files and requests of discovery that could not be used, by source.",
            common.metrics(counted(catalog.DISCOVERY_FAILURES, "source"), "{{source}}"),
            empty="Discovery failed nowhere in this time", size=THIRD,
        ),
    ]  # fmt: skip


def shards() -> table.Panel:
    """One row for each exporter."""
    by = "job, instance"
    queries = {
        "A": f"max by ({by}) ({select(catalog.SHARD_ORDINAL)})",
        "B": f"max by ({by}) ({select(catalog.SHARDS)})",
        "C": f"max by ({by}) ({select(catalog.LEADER)})",
        "D": f"count by ({by}) ({select(catalog.UP)})",
        "E": f"sum by ({by}) ({select(catalog.UP)})",
        "F": f"max by ({by}) ({select(catalog.WAITING)})",
        "G": f"max by ({by}) ({select(catalog.SERIES)})",
        "H": f"max by ({by}) ({select(MEMORY)})",
        "I": f"max by ({by}) ({select(TARGET_DURATION)} * count_over_time({select(TARGET_UP)}[5m])) / 300",
    }
    leads = common.values({"0": ("Stands by", common.GREY), "1": ("Leads", common.GREEN)})
    return tables.grid(
        "Exporters",
        "Each chosen exporter: its shard of how many, whether it leads, its streams, those of them with data, and "
        "those that another process still has; and how much of the scrape interval a scrape takes.",
        *(common.rows(expr, ref) for ref, expr in queries.items()),
        empty=NO_EXPORTER,
        size=(24, 6),
        columns={
            "job": Column("Job", 150),
            "instance": Column("Instance", 160, grows=True),
            "Value #A": Column("Shard", 80),
            "Value #B": Column("Of", 60),
            "Value #C": Column("Leads", 100, tables.word([leads])),
            "Value #D": Column("Streams", 95),
            "Value #E": Column("Up", 60),
            "Value #F": Column("Waits for", 105),
            "Value #G": Column("Series", 95),
            "Value #H": Column("Memory", 100, tables.number("bytes")),
            "Value #I": Column("Scrape", 90, [*tables.number("percentunit", 1), *tables.graded(OF_INTERVAL)]),
        },
        sort=[("Shard", False)],
    )
