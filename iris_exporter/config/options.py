"""Every option once: its name in three spellings, kind, default with the reason for it, and help.

Flags, environment variables, YAML keys, `--help` and docs/configuration.md are made from `OPTIONS`. Defaults are
written as an operator would write them, so that they are read, shown and documented by the same code as any value.
"""

from dataclasses import dataclass

from iris_exporter import logs
from iris_exporter.config import kinds
from iris_exporter.config.kinds import Kind

PREFIX = "IRIS_EXPORTER_"

GROUPS = {
    "config": "Configuration",
    "stream": "Stream",
    "web": "Web",
    "log": "Logging",
    "state": "State",
    "fleet": "Fleet",
    "discovery": "Discovery",
    "live": "Grafana Live",
}
"""Headings by the first part of a key, in the order in which options are listed."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting.

    `default` None means that the option is not set. `reason` says why the default is what it is. `in_file` is false
    for what only makes sense outside a file. `restart` is true where a reload cannot apply a change.
    """

    key: str
    kind: Kind
    default: str | None
    help: str
    reason: str
    in_file: bool = True
    restart: bool = False

    @property
    def flag(self) -> str:
        """The command line's spelling."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """The environment's spelling."""
        return PREFIX + self.key.replace(".", "_").replace("-", "_").upper()

    @property
    def group(self) -> str:
        """The first part of the key; a key of `GROUPS`. An option of one word belongs to the fleet."""
        return self.key.partition(".")[0] if "." in self.key else "fleet"

    @property
    def name(self) -> str:
        """The key without its group: how it is written within its section of a file."""
        return self.key.partition(".")[2] or self.key

    @property
    def field(self) -> str:
        """The attribute of `StreamSettings` that holds the value of a `stream.` option."""
        return self.name.replace("-", "_") + self.kind.field_suffix


OPTIONS: tuple[Option, ...] = (
    Option(
        "config.file",
        kinds.FILE,
        None,
        "YAML file to read; read again on SIGHUP and on POST /-/reload",
        "one stream needs no file",
        in_file=False,
    ),
    Option(
        "config.check",
        kinds.SWITCH,
        "false",
        "check the configuration, say what is wrong with it, and stop",
        "for deployment pipelines; exit code 0 or 2",
        in_file=False,
    ),
    Option(
        "stream.name",
        kinds.NAME,
        "default",
        "value of the label `stream` on all metrics of this stream",
        "needs a choice only where there are several",
    ),
    Option(
        "stream.url",
        kinds.STREAM_URL,
        None,
        "address of the stream, such as https://iris.example.com/api/stream/overview",
        "only you know it; it is the one thing that has to be given",
    ),
    Option(
        "stream.protocol",
        kinds.PROTOCOL,
        "auto",
        "how to receive; auto asks the server",
        "the URL and the server's answer say it reliably",
    ),
    Option(
        "stream.snapshot-url",
        kinds.SNAPSHOT_URL,
        None,
        "REST address of the overview, for the first load and for polling",
        "then derived from the stream's URL",
    ),
    Option(
        "stream.api-key-file",
        kinds.KEY_FILE,
        None,
        "file with the key that is sent as `Authorization: Bearer`; read again at each connection",
        "a key on a command line or in an environment can be seen by others",
    ),
    Option(
        "stream.headers",
        kinds.HEADERS,
        None,
        "header sent with every request, as `Name: value`; can be given several times; in a file a mapping",
        "for gateways that route by them; what is secret belongs into headers-file",
    ),
    Option(
        "stream.headers-file",
        kinds.HEADERS_FILE,
        None,
        "file with such headers, one in each line; read again at each connection",
        "then only those of stream.headers, over which the file goes",
    ),
    Option(
        "stream.tls-ca-file",
        kinds.FILE,
        None,
        "file with the authorities (PEM) that may have issued the source's certificate; read again when it changes",
        "then those that this machine trusts",
    ),
    Option(
        "stream.tls-cert-file",
        kinds.FILE,
        None,
        "file with our certificate (PEM) for a source that asks for one; read again when it changes",
        "few sources ask",
    ),
    Option(
        "stream.tls-key-file",
        kinds.FILE,
        None,
        "file with the private key (PEM, not encrypted) of tls-cert-file",
        "then the key is in tls-cert-file, too",
    ),
    Option(
        "stream.tls-server-name",
        kinds.SERVER_NAME,
        None,
        "name that the source's certificate has to be for, and that is sent as SNI",
        "then the host of the URL",
    ),
    Option(
        "stream.tls-insecure-skip-verify",
        kinds.SWITCH,
        "false",
        "accept any certificate: anybody on the way can read the key and invent data",
        "for a first try alone; tls-ca-file is the answer to a certificate of one's own",
    ),
    Option(
        "stream.proxy",
        kinds.choice("environment", "none"),
        "environment",
        "HTTP proxy: that of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or none",
        "what other programs on the machine do",
    ),
    Option(
        "stream.connect-timeout",
        kinds.duration(0.001, 3600),
        "10s",
        "longest wait for a connection, and for the head of an answer",
        "covers three lost SYN packets (1 s, 2 s and 4 s apart) and a slow handshake",
    ),
    Option(
        "stream.reconnect-initial",
        kinds.duration(0.001, 3600),
        "3s",
        "delay before the first reconnection; doubles with each failure",
        "what IRIS asks of its clients",
    ),
    Option(
        "stream.reconnect-max",
        kinds.duration(0.001, 86400),
        "60s",
        "longest delay between reconnections, before jitter",
        "what IRIS asks of its clients; 60 attempts an hour stay below its limit of 100",
    ),
    Option(
        "stream.reconnect-jitter",
        kinds.RATIO,
        "0.2",
        "share by which each delay varies at random, up or down",
        "keeps clients of a restarted server from returning in step",
    ),
    Option(
        "stream.reconnect-attempts",
        kinds.integer(1, 1_000_000),
        "10",
        "failed attempts in a row after which polling begins",
        "what IRIS asks of its clients; about six minutes with the default delays",
    ),
    Option(
        "stream.stable-after",
        kinds.duration(0, 86400),
        "30s",
        "time a connection has to last before failed attempts are forgotten",
        "a server that accepts and closes at once must not be hammered",
    ),
    Option(
        "stream.live-retry-interval",
        kinds.duration(0.001, 86400),
        "5m",
        "time between attempts to leave polling and errors for the live stream",
        "twelve attempts an hour, well below IRIS's limit of 100 connections",
    ),
    Option(
        "stream.heartbeat-interval",
        kinds.duration(0.001, 86400),
        "30s",
        "time between pings",
        "what IRIS asks of its clients",
    ),
    Option(
        "stream.heartbeat-timeout",
        kinds.duration(0.001, 86400),
        "60s",
        "silence after which a connection is dead; longer than the interval",
        "two heartbeats missed in a row",
    ),
    Option(
        "stream.poll-interval",
        kinds.duration(0.001, 86400),
        "30s",
        "time between two polls while the stream is not live",
        "what IRIS asks of its clients",
    ),
    Option(
        "stream.stale-after",
        kinds.duration(0.001, 31 * 86400),
        "5m",
        "age of the last data at which mirrored gauges leave /metrics",
        "how long Prometheus itself goes on showing a series that is gone",
    ),
    Option(
        "stream.max-message-bytes",
        kinds.size(1 << 10, 1 << 30),
        "1MiB",
        "largest message of a stream that is accepted: a WebSocket message, an SSE event or line",
        "ten times what IRIS promises not to exceed (100 KB)",
    ),
    Option(
        "stream.max-body-bytes",
        kinds.size(1 << 10, 1 << 30),
        "16MiB",
        "largest REST answer that is accepted, after decompression",
        "an overview of ten thousand projects takes some 3 MB",
    ),
    Option(
        "stream.max-event-bytes",
        kinds.size(256, 1 << 20),
        "16KiB",
        "largest message text, and largest metadata, of one event; text beyond is cut, metadata left out",
        "a screen of text, or a traceback",
    ),
    Option(
        "stream.max-json-depth",
        kinds.integer(1, 200),
        "64",
        "objects and lists within each other in the metadata of an event; deeper ones are left out",
        "far more than anybody writes, far less than a JSON reader takes",
    ),
    Option(
        "stream.max-events",
        kinds.integer(1, 10_000),
        "100",
        "newest events kept for the activity feed",
        "what IRIS asks of its clients; the feed shows 50",
    ),
    Option(
        "stream.max-event-ids",
        kinds.integer(100, 100_000),
        "10000",
        "event ids remembered at least, so that no event counts twice",
        "ten minutes at the thousand messages a minute that IRIS promises not to exceed",
    ),
    Option(
        "stream.max-projects",
        kinds.integer(1, 100_000),
        "10000",
        "projects kept and shown; others are left out, and in labels of events called `other`",
        "each has 15 series, and 150,000 is where a scrape begins to hurt Prometheus",
    ),
    Option(
        "stream.max-anomalies",
        kinds.integer(1, 100_000),
        "10000",
        "open anomalies kept and shown",
        "one for each project that is kept",
    ),
    Option(
        "stream.max-event-series",
        kinds.integer(1, 100_000),
        "10000",
        "label sets that events are counted by; further ones are counted as `other`",
        "a thousand projects with ten kinds of events each",
    ),
    Option(
        "stream.max-label-values",
        kinds.integer(16, 1000),
        "64",
        "event types, and severities, with a label value of their own; further ones are called `other`",
        "IRIS knows nine types and seven severities; a careless source invents more",
    ),
    Option(
        "stream.max-label-length",
        kinds.integer(32, 200),
        "200",
        "characters of a label value; a longer one is cut and ends in a hash",
        "identifiers are shorter; for a Prometheus with a label_value_length_limit below it",
    ),
    Option(
        "stream.max-connections-per-hour",
        kinds.integer(0, 1_000_000),
        "100",
        "stream connections to one host in any hour, over all streams; half of them at once; 0 is no limit",
        "what IRIS allows each client address",
    ),
    Option(
        "web.listen-address",
        kinds.ADDRESSES,
        ":14747",
        "address to serve on; can be given several times",
        "all interfaces, as Prometheus exporters do",
        restart=True,
    ),
    Option(
        "web.telemetry-path",
        kinds.TELEMETRY_PATH,
        "/metrics",
        "path of the metrics",
        "where Prometheus looks for them",
        restart=True,
    ),
    Option(
        "web.config.file",
        kinds.FILE,
        None,
        "file that switches on TLS or passwords, in the format of Prometheus's exporters",
        "then plain HTTP without passwords",
        restart=True,
    ),
    Option(
        "web.max-requests",
        kinds.integer(0, 100_000),
        "40",
        "scrapes answered at the same time; 0 is no limit",
        "the value of Prometheus's exporters",
        restart=True,
    ),
    Option(
        "web.max-connections",
        kinds.integer(1, 100_000),
        "512",
        "open connections at the same time; one client address gets a fourth of them",
        "dozens of scrapers and people; streams need open files, too",
        restart=True,
    ),
    Option(
        "web.enable-control",
        kinds.choice("auto", "always", "never"),
        "auto",
        "who may connect, disconnect, reset and reload over HTTP; auto: anybody on a loopback address, elsewhere "
        "those who have to give a password or a client certificate",
        "what other machines can reach is read-only until somebody secures it",
        restart=True,
    ),
    Option(
        "web.disable-exporter-metrics",
        kinds.SWITCH,
        "false",
        "leave process_* and python_* out of /metrics",
        "they show the exporter's own memory and CPU time",
        restart=True,
    ),
    Option(
        "log.level",
        kinds.choice(*logs.LEVELS),
        "info",
        "least severity that is logged; debug adds tracebacks",
        "one line for each change of state",
    ),
    Option(
        "log.format",
        kinds.choice(*logs.FORMATS),
        "logfmt",
        "form of the log lines on stderr",
        "the form of Prometheus's exporters",
    ),
    Option(
        "state.dir",
        kinds.DIRECTORY,
        None,
        "directory for what should survive a restart",
        "then all is kept in memory only",
        restart=True,
    ),
    Option(
        "shard",
        kinds.SHARD,
        "0",
        "ordinal of this process among --total-shards, or auto for the number at the end of the host name",
        "one process receives everything",
    ),
    Option(
        "total-shards",
        kinds.integer(1, 1024),
        "1",
        "processes that divide the streams among them by rendezvous hashing of their names",
        "one process receives everything",
    ),
    Option(
        "leader-election",
        kinds.SWITCH,
        "false",
        "of the replicas of one shard only the holder of a Kubernetes Lease connects; the others stand by",
        "needs Kubernetes, and a second replica",
        restart=True,
    ),
    Option(
        "fleet.lease-name",
        kinds.NAME,
        "iris-exporter",
        "name of the Lease; with several shards the ordinal is added",
        "the name of the program",
        restart=True,
    ),
    Option(
        "fleet.lease-namespace",
        kinds.NAME,
        None,
        "namespace of the Lease",
        "then the pod's own",
        restart=True,
    ),
    Option(
        "fleet.lease-duration",
        kinds.duration(3, 300),
        "15s",
        "how long a leader that has gone is waited for",
        "the custom of Kubernetes: renewed every 2/15 of it, given up by its holder after 2/3 of it",
        restart=True,
    ),
    Option(
        "fleet.kubernetes-url",
        kinds.SNAPSHOT_URL,
        None,
        "address of the Kubernetes API, for a process outside of the cluster",
        "a pod finds it by itself",
        restart=True,
    ),
    Option(
        "fleet.kubernetes-token-file",
        kinds.FILE,
        None,
        "file with the token for --fleet.kubernetes-url; read for each request",
        "a pod finds its service account by itself",
        restart=True,
    ),
    Option(
        "fleet.kubernetes-ca-file",
        kinds.FILE,
        None,
        "certificate authority of --fleet.kubernetes-url",
        "a pod finds it by itself",
        restart=True,
    ),
    Option(
        "discovery.files",
        kinds.GLOBS,
        None,
        "YAML or JSON files with lists of streams, as paths or globs; watched (also written as streams_files:)",
        "most people list their streams in one file",
    ),
    Option(
        "discovery.files-interval",
        kinds.duration(0.05, 3600),
        "5s",
        "how often those files are looked at",
        "a change of a ConfigMap takes longer to arrive anyway",
    ),
    Option(
        "discovery.http-url",
        kinds.SNAPSHOT_URL,
        None,
        "endpoint that lists streams in the form of Prometheus's http_sd",
        "needs such an endpoint",
    ),
    Option(
        "discovery.http-interval",
        kinds.duration(0.05, 86400),
        "30s",
        "how often it is asked",
        "less than a minute until a new stream is received",
    ),
    Option(
        "discovery.kubernetes",
        kinds.choice("none", "services", "pods"),
        "none",
        "which annotated Kubernetes objects are streams",
        "needs Kubernetes, and permission to list them",
    ),
    Option(
        "discovery.namespace",
        kinds.NAME,
        None,
        "namespace of those objects",
        "then the pod's own",
    ),
    Option(
        "discovery.secrets-dir",
        kinds.DIRECTORY,
        None,
        "directory in which the Secrets that annotations name are mounted, each in a directory of its name",
        "then an annotation with a secret is refused",
    ),
    Option(
        "live.url",
        kinds.SNAPSHOT_URL,
        None,
        "address of a Grafana to which state, cards and events are pushed as they change",
        "then nothing is pushed; panels on Prometheus move with each scrape",
        restart=True,
    ),
    Option(
        "live.token-file",
        kinds.FILE,
        None,
        "file with a service account token that may push to Grafana Live; read for each request",
        "a Grafana without authentication needs none",
        restart=True,
    ),
    Option(
        "live.channel",
        kinds.NAME,
        "iris",
        "stream id in Grafana Live: panels read stream/<channel>/iris_state, iris_cards and iris_event",
        "what the live dashboard reads",
        restart=True,
    ),
    Option(
        "live.interval",
        kinds.duration(0.01, 60),
        "100ms",
        "how often changes are looked for and pushed together",
        "well below the 200 ms that a person takes for at once",
        restart=True,
    ),
)

BY_KEY = {option.key: option for option in OPTIONS}
STREAM_OPTIONS = {option.name: option for option in OPTIONS if option.group == "stream"}
"""The options of one stream, by their name within `streams:`."""
