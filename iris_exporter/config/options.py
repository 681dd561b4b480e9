"""Every option once: one name in three spellings, a type, a default with the reason for it, and help.

Flags, environment variables, YAML keys, `--help` and docs/configuration.md are made from `OPTIONS`. Defaults are
written as an operator would write them, so that they are read, shown and documented by the same code as any value.
"""

from dataclasses import dataclass

from iris_exporter import logs
from iris_exporter.config import option_types as types
from iris_exporter.config import values
from iris_exporter.config.values import ValueType
from iris_exporter.core.sharding import MAX_SHARDS
from iris_exporter.core.status import ENCODINGS, PROTOCOLS

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

COMMON = frozenset({
    "config.file", "config.check", "stream.url", "stream.protocol", "stream.api-key-file", "stream.tls-ca-file",
    "web.listen-address", "web.config.file", "log.level", "log.format", "state.dir", "discovery.files",
})  # fmt: skip
"""What most people need: the options that `--help` shows, where `--help-all` shows all of them."""

_GROUPS_OF_WORDS = {"mapping-files": "config"}
"""The groups of options that are written without one, where it is not the fleet."""

_SECTIONS = frozenset({"web", "fleet", "discovery", "live"})
"""Groups whose values have a class of their own in `Settings`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting.

    `default` None means that the option is not set. `reason` says why the default is what it is. `in_file` is false
    for what only makes sense outside a file. `restart` is true where a reload cannot apply a change. `attribute` is the
    `path` of values that `Settings` has elsewhere.
    """

    key: str
    type: ValueType
    default: str | None
    help: str
    reason: str
    in_file: bool = True
    restart: bool = False
    attribute: str = ""

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
        """The first part of the key; a key of `GROUPS`. Most options without a part in front belong to the fleet."""
        return self.key.partition(".")[0] if "." in self.key else _GROUPS_OF_WORDS.get(self.key, "fleet")

    @property
    def name(self) -> str:
        """The key without its group: how it is written within its section of a file."""
        return self.key.partition(".")[2] or self.key

    @property
    def path(self) -> str:
        """Attributes of `Settings`, with dots between them, that lead to the value; of a stream's, of its settings."""
        if self.attribute:
            return self.attribute
        name = self.name if self.group in _SECTIONS or self.group == "stream" else self.key
        field = name.replace("-", "_").replace(".", "_") + self.type.suffix
        return f"{self.group}.{field}" if self.group in _SECTIONS else field


CLIENTS = {"discovery.http-": "discovery.http", "live.": "live.client"}
"""Servers that are no streams: what the keys of their options begin with, and where `Settings` has their values."""


# One option in three lines: what it is, its help, and why its default is what it is.
# fmt: off
def _client_options(prefix: str, server: str, *, restart: bool = False) -> tuple[Option, ...]:
    """What identifies us to a server: the same set for a stream and for each server that is none."""
    owner = CLIENTS.get(prefix)
    options = (
        ("headers", types.HEADERS, None,
         f"header to send to {server}, as `Name: value`; repeat the flag for several, or write a mapping",
         f"for gateways that route by headers; put secret values into {prefix}headers-file"),
        ("headers-file", types.HEADERS_FILE, None,
         "file with headers to send, one `Name: value` a line, as for `Authorization: Basic`; read again each time",
         f"then only {prefix}headers are sent; where both have a name, the file wins"),
        ("tls-ca-file", values.FILE, None,
         f"PEM file with the certificate authorities to trust for {server}; read again when it changes",
         "then the authorities that this machine trusts"),
        ("tls-cert-file", values.FILE, None,
         f"PEM file with the client certificate, if {server} asks for one; read again when it changes",
         "few servers ask"),
        ("tls-key-file", values.FILE, None,
         f"PEM file with the private key (not encrypted) of {prefix}tls-cert-file",
         f"then the key is read from {prefix}tls-cert-file"),
        ("tls-server-name", types.SERVER_NAME, None,
         f"name to expect in the certificate of {server}, and to send as SNI",
         "then the host of the URL"),
        ("tls-insecure-skip-verify", values.SWITCH, "false",
         f"accept any certificate of {server}: anybody on the network path can read the key and forge data",
         f"for a first try only; use {prefix}tls-ca-file for a private authority"),
        ("proxy", values.choice("environment", "none"), "environment",
         "environment: use the HTTP proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name; none: use no proxy",
         "what other programs on the machine do"),
    )
    return tuple(
        Option(f"{prefix}{name}", value_type, default, text, reason, restart=restart,
               attribute="" if owner is None else f"{owner}.{name.replace('-', '_')}")
        for name, value_type, default, text, reason in options
    )


_STREAM: tuple[Option, ...] = (
    Option("stream.name", types.NAME, "default",
           "name of the stream: the value of the label `stream` on all of its metrics",
           "only several streams need names"),
    Option("stream.url", types.STREAM_URL, None,
           "address of the stream, such as https://iris.example.com/api/stream or, of an IRIS without subscriptions, "
           "https://iris.example.com/api/stream/overview; required, unless a file lists streams or they are discovered",
           "only you know it"),
    Option("stream.protocol", values.choice("auto", *PROTOCOLS), "auto",
           "transport to use; auto follows the URL and the server's answer. graphql subscribes at a URL that ends in "
           "/graphql, else at /api/graphql of the same IRIS",
           "both are reliable"),
    Option("stream.mapping", types.MAPPING, "iris",
           "what the messages of the source mean: iris, the name of a mapping below mappings: in the file of "
           "--config.file, or that of a preset (`iris-exporter map --list` shows them)",
           "most sources here are IRIS"),
    Option("stream.parameters", types.PARAMETERS, None,
           "value for `${param.NAME}` in the mapping, as `NAME: VALUE`; repeat the flag for several, or write keys "
           "with values",
           "few mappings have parameters, and a stream is refused where one is missing"),
    Option("stream.secrets", types.SECRETS, None,
           "file with the secret for `${secret.NAME}` in the mapping, as `NAME: FILE`; repeat the flag for several, or "
           "write keys with values; read again for each connection",
           "one key is enough for most sources: `${secret}` is that of stream.api-key-file"),
    Option("stream.encoding", values.choice("auto", *ENCODINGS), "auto",
           "encoding to ask for on a WebSocket, where the URL ends in /api/stream; auto prefers protobuf. At an "
           "http:// URL auto finds server-sent events, which are JSON: ws:// or --stream.protocol=websocket is for "
           "protobuf",
           "a message takes about a third of the bytes; what the source does not speak is JSON"),
    Option("stream.channels", types.CHANNELS, "auto",
           "what to ask for, where the URL ends in /api/stream: metrics, projects, events, anomalies; auto is all",
           "then nothing is missing from /metrics"),
    Option("stream.fields", types.AUTO_OFF, "auto",
           "ask, where the URL ends in /api/stream, for the fields that the exporter reads alone; off is all fields",
           "what a source knows beyond them is nowhere shown; one that has no others sends the same either way"),
    Option("stream.delta", types.AUTO_OFF, "auto",
           "ask, where the URL ends in /api/stream, for what changed of metrics, projects and anomalies alone",
           "few fields change at a time"),
    Option("stream.batch", types.BATCH, "auto",
           "longest time that a source may gather messages to send them as one, where the URL ends in /api/stream; "
           "auto is 100ms",
           "within the 200 ms that IRIS promises, and few messages share much of what they say"),
    Option("stream.debounce", types.DEBOUNCE, "auto",
           "time within which only the newest metrics, projects and anomalies are sent, where the URL ends in "
           "/api/stream; events always are; auto is 200ms",
           "gauges are scraped at longer intervals, and Grafana Live shows what a person can follow"),
    Option("stream.compression", types.AUTO_OFF, "auto",
           "offer compression where the URL ends in /api/stream: permessage-deflate on a WebSocket, gzip on SSE",
           "what is sent again and again takes few bytes"),
    Option("stream.snapshot-url", types.HTTP_URL, None,
           "REST address of the overview, for the first load and for polling",
           "then derived from the stream's URL"),
    Option("stream.api-key-file", types.KEY_FILE, None,
           "file with the key to send as `Authorization: Bearer`; read again for each connection",
           "a key on a command line or in a variable could be seen by others, so it has no option"),
    *_client_options("stream.", "the source"),
    Option("stream.connect-timeout", values.duration(0.001, 3600), "10s",
           "longest wait for a connection, and for the head of an answer",
           "covers three lost SYN packets (1 s, 2 s and 4 s apart) and a slow handshake"),
    Option("stream.reconnect-initial", values.duration(0.001, 3600), "3s",
           "delay before the first reconnection; it doubles with each failure",
           "what IRIS asks of its clients"),
    Option("stream.reconnect-max", values.duration(0.001, 86400), "60s",
           "longest delay between reconnections, before jitter",
           "what IRIS asks of its clients; 60 attempts an hour stay below its limit of 100"),
    Option("stream.reconnect-jitter", types.RATIO, "0.2",
           "share by which each delay varies at random, up or down",
           "clients of a restarted server do not all return at once"),
    Option("stream.reconnect-attempts", values.integer(1, 1_000_000), "10",
           "failed attempts in a row after which the exporter polls",
           "what IRIS asks of its clients; about six minutes with the default delays"),
    Option("stream.stable-after", values.duration(0, 86400), "30s",
           "time that a connection has to last before failed attempts are counted from zero again",
           "a server that accepts and closes at once must not be hammered"),
    Option("stream.live-retry-interval", values.duration(0.001, 86400), "5m",
           "time between attempts to return from polling, or from an error, to the live stream",
           "twelve attempts an hour, well below IRIS's limit of 100 connections"),
    Option("stream.heartbeat-interval", values.duration(0.001, 86400), "30s",
           "time between two pings to the source",
           "what IRIS asks of its clients"),
    Option("stream.heartbeat-timeout", values.duration(0.001, 86400), "60s",
           "silence after which a connection counts as dead; longer than the interval",
           "two heartbeats missed in a row"),
    Option("stream.poll-interval", values.duration(0.001, 86400), "30s",
           "time between two polls while the stream is not live",
           "what IRIS asks of its clients"),
    Option("stream.stale-after", values.duration(0.001, 31 * 86400), "5m",
           "age of the last data at which the gauges of the stream disappear from /metrics",
           "how long Prometheus itself goes on showing a series that is gone"),
    Option("stream.max-message-bytes", values.size(1 << 10, 1 << 30), "1MiB",
           "largest message of a stream to accept: a WebSocket message, an SSE event or line",
           "ten times what IRIS promises not to exceed (100 KB)"),
    Option("stream.max-body-bytes", values.size(1 << 10, 1 << 30), "16MiB",
           "largest REST answer to accept, after decompression",
           "an overview of ten thousand projects takes some 3 MB"),
    Option("stream.max-event-bytes", values.size(256, 1 << 20), "16KiB",
           "largest message text, and largest metadata, of one event; longer text is cut, larger metadata left out",
           "a screen of text, or a traceback"),
    Option("stream.max-json-depth", values.integer(1, 200), "64",
           "levels of objects and lists in the metadata of an event; metadata with more is left out",
           "far more than anybody writes, far less than a JSON reader takes"),
    Option("stream.max-events", values.integer(1, 10_000), "100",
           "newest events to hold for the activity feed",
           "what IRIS asks of its clients; the feed shows 50"),
    Option("stream.max-event-ids", values.integer(100, 100_000), "10000",
           "event ids to remember at least, so that no event is counted twice",
           "ten minutes at the thousand messages a minute that IRIS promises not to exceed"),
    Option("stream.max-projects", values.integer(1, 100_000), "10000",
           "projects to hold and show; further ones are left out, and called `other` in labels of events",
           "each has 15 series, and 150,000 is where a scrape begins to hurt Prometheus"),
    Option("stream.max-anomalies", values.integer(1, 100_000), "10000",
           "open anomalies to hold and show",
           "one for each project"),
    Option("stream.max-event-series", values.integer(1, 100_000), "10000",
           "label sets to count events by; events with further ones are counted as `other`",
           "a thousand projects with ten types of events each"),
    Option("stream.max-label-values", values.integer(16, 1000), "64",
           "event types, and severities, with a label value of their own; further ones are called `other`",
           "IRIS knows nine types and seven severities; a careless source invents more"),
    Option("stream.max-label-length", values.integer(32, 200), "200",
           "characters of a label value; a longer one is cut and ends in a hash",
           "identifiers are shorter; for a Prometheus with a label_value_length_limit below it"),
    Option("stream.max-connections-per-hour", values.integer(0, 1_000_000), "100",
           "stream connections to one host in any hour, over all streams; half of them at once; 0 is no limit",
           "what IRIS allows each client address"),
)

OPTIONS: tuple[Option, ...] = (
    Option("config.file", values.FILE, None,
           "YAML file with options; read again on SIGHUP and on POST /-/reload",
           "one stream needs no file", in_file=False),
    Option("config.watch", values.SWITCH, "false",
           "read the file of --config.file again when its content changes; it is checked every five seconds",
           "whoever changes the file asks for the reload", in_file=False),
    Option("config.check", values.SWITCH, "false",
           "check the configuration, print everything that is wrong with it, and stop",
           "for deployment pipelines; exit code 0 or 2", in_file=False),
    Option("mapping-files", types.GLOBS, None,
           "further YAML files with mappings:, as paths or globs, such as those of a ConfigMap; read again, and "
           "watched, with the file of --config.file",
           "most people write their mappings into one file"),
    *_STREAM,
    Option("web.listen-address", types.ADDRESSES, ":14747",
           "address to serve on; repeat the flag for several",
           "all interfaces, as Prometheus exporters do", restart=True, attribute="web.listen_addresses"),
    Option("web.telemetry-path", types.TELEMETRY_PATH, "/metrics",
           "path of the metrics",
           "where Prometheus looks for them", restart=True),
    Option("web.external-url", types.EXTERNAL_URL, None,
           "address under which browsers reach the exporter, for example behind a proxy",
           "then the address that a browser requests", restart=True),
    Option("web.route-prefix", types.ROUTE_PREFIX, None,
           "path in front of every path served, also of the metrics, probes and API; use / if a proxy strips the path",
           "then the path of web.external-url", restart=True),
    Option("web.grafana-url", types.BASE_URL, None,
           "address of Grafana, as users open it: the page at / links to the dashboards there",
           "then the page has no such links", restart=True),
    Option("web.runbook-base-url", types.BASE_URL, None,
           "address of the page with the runbooks, to which # and an alert's name in lower case are added: the page at "
           "/ links to the one that helps with a failure",
           "then the page has no such links", restart=True),
    Option("web.config.file", values.FILE, None,
           "file that turns on TLS, passwords or a rate limit, in the format of Prometheus's exporter-toolkit",
           "then plain HTTP without passwords", restart=True),
    Option("web.max-requests", values.integer(0, 100_000), "40",
           "scrapes to answer at the same time; 0 is no limit",
           "the value of Prometheus's exporters", restart=True),
    Option("web.max-connections", values.integer(1, 100_000), "512",
           "open connections at the same time; one client address gets a quarter of them",
           "dozens of scrapers and people; streams need open files, too", restart=True),
    Option("web.enable-control", values.choice("auto", "always", "never"), "auto",
           "who may connect, disconnect, reset and reload over HTTP; auto: anybody on a loopback address, elsewhere "
           "clients that have to give a password or a certificate",
           "what other machines can reach is read-only until somebody secures it", restart=True),
    Option("web.disable-exporter-metrics", values.SWITCH, "false",
           "leave process_* and python_* out of /metrics",
           "they show the exporter's own memory and CPU time", restart=True),
    Option("log.level", values.choice(*logs.LEVELS), "info",
           "lowest severity to log; debug adds tracebacks",
           "one line for each change of state"),
    Option("log.format", values.choice(*logs.FORMATS), "logfmt",
           "form of the log lines on stderr",
           "the form of Prometheus's exporters"),
    Option("state.dir", types.DIRECTORY, None,
           "directory for what has to survive a restart: the position in each stream",
           "then memory only, and a restart begins anew", restart=True),
    Option("state.commit", types.COMMIT, "scrape",
           "when to write the position in each stream to --state.dir: with each scrape, or at an interval (10s) if "
           "nobody scrapes, or if events may be counted twice or missed after a restart",
           "what a scrape has shown is not counted again after a restart, and nothing else is forgotten"),
    Option("shard", types.SHARD, "0",
           "ordinal of this process among --total-shards; auto takes the number at the end of the host name",
           "one process receives everything"),
    Option("total-shards", values.integer(1, MAX_SHARDS), "1",
           "number of processes that divide the streams among them, by rendezvous hashing of their names",
           "one process receives everything"),
    Option("leader-election", values.SWITCH, "false",
           "connect only while holding a Kubernetes Lease, which one replica of each shard does; the others stand by",
           "needs Kubernetes, and a second replica", restart=True),
    Option("fleet.lease-name", types.NAME, "iris-exporter",
           "name of the Lease; with several shards the ordinal is added",
           "the name of the program", restart=True),
    Option("fleet.lease-namespace", types.NAME, None,
           "namespace of the Lease",
           "then the pod's own", restart=True),
    Option("fleet.lease-duration", values.duration(3, 300), "15s",
           "time without a renewal after which another replica takes the Lease",
           "the custom of Kubernetes: renewed every 2/15 of it, given up by its holder after 2/3 of it", restart=True),
    Option("fleet.kubernetes-url", types.HTTP_URL, None,
           "address of the Kubernetes API, for a process outside of the cluster",
           "a pod finds it by itself", restart=True),
    Option("fleet.kubernetes-token-file", types.TOKEN_FILE, None,
           "file with the token for --fleet.kubernetes-url; read again for each request",
           "a pod finds its service account by itself", restart=True),
    Option("fleet.kubernetes-ca-file", values.FILE, None,
           "PEM file with the certificate authority of --fleet.kubernetes-url",
           "a pod finds it by itself", restart=True),
    Option("discovery.files", types.GLOBS, None,
           "YAML or JSON files with lists of streams, as paths or globs, read again when they change; in the file of "
           "--config.file also written as streams_files:",
           "most people list their streams in one file"),
    Option("discovery.files-interval", values.duration(0.05, 3600), "5s",
           "time between two checks of the files of --discovery.files",
           "a change of a ConfigMap takes longer to arrive anyway"),
    Option("discovery.http-url", types.HTTP_URL, None,
           "endpoint that lists streams in the form of Prometheus's http_sd",
           "needs such an endpoint", attribute="discovery.http.url"),
    Option("discovery.http-interval", values.duration(0.05, 86400), "30s",
           "time between two requests to --discovery.http-url",
           "less than a minute until a new stream is received"),
    Option("discovery.http-api-key-file", types.KEY_FILE, None,
           "file with the key to send to --discovery.http-url as `Authorization: Bearer`; read again for each request",
           "a key on a command line or in a variable could be seen by others, so it has no option",
           attribute="discovery.http.api_key_file"),
    *_client_options("discovery.http-", "--discovery.http-url"),
    Option("discovery.kubernetes", values.choice("none", "services", "pods"), "none",
           "Kubernetes objects whose annotations describe streams",
           "needs Kubernetes, and permission to list them"),
    Option("discovery.namespace", types.NAME, None,
           "namespace of the objects of --discovery.kubernetes",
           "then the pod's own"),
    Option("discovery.secrets-dir", types.DIRECTORY, None,
           "directory with the Secrets that annotations name, each mounted in a directory of its name",
           "then an annotation with a Secret is refused"),
    Option("live.url", types.HTTP_URL, None,
           "address of a Grafana to push state, cards and events to as they change",
           "then nothing is pushed; panels on Prometheus move with each scrape", restart=True,
           attribute="live.client.url"),
    Option("live.token-file", types.TOKEN_FILE, None,
           "file with the token of a service account that may push to Grafana Live; read again for each request",
           "a Grafana without authentication needs none", restart=True, attribute="live.client.api_key_file"),
    *_client_options("live.", "--live.url", restart=True),
    Option("live.channel", types.NAME, "iris",
           "stream id in Grafana Live: panels read stream/<channel>/iris_state, iris_cards and iris_event",
           "what the live dashboard reads", restart=True),
    Option("live.interval", values.duration(0.01, 60), "100ms",
           "time between two pushes, each with all changes since the last",
           "well below the 200 ms that a person takes for at once", restart=True),
)
# fmt: on

BY_KEY = {option.key: option for option in OPTIONS}
STREAM_OPTIONS = {option.name: option for option in _STREAM}
"""The options of one stream, by their name within `streams:`."""
