"""From `OTEL_*` variables to `OtelSettings`, or to every problem at once.

The names and meanings are OpenTelemetry's; an empty value is one that is not set. A number, a boolean or a name of a
list that makes no sense is as if it were not set, with a warning; of resource attributes that cannot be read none is
taken. What says where records go and who sends them is refused: an address, headers, files of certificates. What
differs from the specification: a signal is exported when an endpoint is set or its exporter says so, where SDKs send to
localhost unless told otherwise; and the queue of log records is larger. Timeouts and delays are milliseconds, as the
specification has it. `*_EXPORT_TIMEOUT` is checked and otherwise without a meaning: a batch that could not be sent is
kept, and each request has `OTEL_EXPORTER_OTLP_TIMEOUT`.

Source: OpenTelemetry specification, "Environment variables" (parsing of empty, boolean, numeric and enum values),
"OTLP exporter", "Resource SDK" (OTEL_RESOURCE_ATTRIBUTES), "Performance and blocking".
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from iris_exporter.errors import ConfigError, Problem
from iris_exporter.http import tls
from iris_exporter.otel.settings import (
    LOGS,
    OFF,
    TRACES,
    Batching,
    Endpoint,
    Limits,
    OtelSettings,
    Sampling,
    SignalSettings,
)

EXPORTERS = ("otlp", "console", "none")
PROTOCOLS = ("http/protobuf", "grpc")
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)

LOG_QUEUE_RECORDS = 65_536
"""Ten minutes without a collector at 100 events a second are 60,000 records; the specification's 2,048 are 20 s."""
SPAN_QUEUE_RECORDS = 8_192
"""Four times the specification's value: a thousand streams make a thousand summaries a minute."""

_DEFAULT_URL = {"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"}
_DEFAULT_TIMEOUT_MS = 10_000
_ATTRIBUTE_COUNT = 128
_LARGEST_QUEUE = 10_000_000
_WHERE = "environment"
_NO_METRICS = "none: metrics are scraped from /metrics, by a collector too, and not pushed"
_MAX_SHOWN = 80

# Of one connection or one body, and so the client's own business; those of gRPC cannot be sent at all.
_RESERVED_HEADERS = frozenset(
    {
        "connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_RESERVED_GRPC_HEADER = re.compile(r"user-agent|.*-bin")
_GRPC_HEADER = re.compile(r"[0-9a-z_.-]+")


def read_otel(environment: Mapping[str, str]) -> OtelSettings:
    """Return what the variables ask for, and in `ignored` which values were passed over.

    Certificates are read once, to see that they can be.

    Raises:
        ConfigError: With everything that has to be refused; a header's value is in none of them.
    """
    reader = _Reader(environment)
    settings = reader.read()
    if reader.problems:
        raise ConfigError(list(dict.fromkeys(reader.problems)))
    return replace(settings, ignored=tuple(dict.fromkeys(reader.ignored)))


class _Reader:
    """One run of `read_otel`; `problems` and `ignored` grow in the order found."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.ignored: list[Problem] = []
        self._values = {name: text.strip() for name, text in environment.items() if name.startswith("OTEL_")}

    def read(self) -> OtelSettings:
        """See `read_otel`."""
        if self._flag("OTEL_SDK_DISABLED"):
            return OFF
        if self._values.get("OTEL_METRICS_EXPORTER", "none").lower() != "none":
            self._ignore("OTEL_METRICS_EXPORTER", self._values["OTEL_METRICS_EXPORTER"], _NO_METRICS)
        traces = self._signal(TRACES, "OTEL_BSP", SPAN_QUEUE_RECORDS, 5_000, "OTEL_SPAN_ATTRIBUTE")
        logs = self._signal(LOGS, "OTEL_BLRP", LOG_QUEUE_RECORDS, 1_000, "OTEL_LOGRECORD_ATTRIBUTE")
        return OtelSettings(traces, logs, self._sampling(), self._resource())

    # Signals

    def _signal(self, signal: str, queue: str, queue_size: int, delay_ms: int, limits: str) -> SignalSettings | None:
        exporter = self._exporter(signal)
        if exporter == "none":
            return None
        return SignalSettings(
            self._endpoint(signal) if exporter == "otlp" else None,
            self._batching(queue, queue_size, delay_ms),
            self._limits(limits),
        )

    def _exporter(self, signal: str) -> str:
        upper = signal.upper()
        asked = any(
            self._values.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{upper}_ENDPOINT")
        )
        return self._choice((f"OTEL_{upper}_EXPORTER",), EXPORTERS, "otlp" if asked else "none")

    def _batching(self, prefix: str, queue_size: int, delay_ms: int) -> Batching:
        size = self._number(f"{prefix}_MAX_QUEUE_SIZE", queue_size, 1, _LARGEST_QUEUE)
        batch_name = f"{prefix}_MAX_EXPORT_BATCH_SIZE"
        batch = self._number(batch_name, min(512, size), 1, _LARGEST_QUEUE)
        if batch > size:
            self._ignore(batch_name, str(batch), f"at most {prefix}_MAX_QUEUE_SIZE, which is {size} and is used")
            batch = size
        delay = self._number(f"{prefix}_SCHEDULE_DELAY", delay_ms, 0, 3_600_000)
        self._number(f"{prefix}_EXPORT_TIMEOUT", 30_000, 1, 3_600_000)
        return Batching(size, batch, delay / 1000)

    def _limits(self, prefix: str) -> Limits:
        texts = (f"{prefix}_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
        text = self._first_number(texts, 0, _LARGEST_QUEUE)
        general = self._number("OTEL_ATTRIBUTE_COUNT_LIMIT", _ATTRIBUTE_COUNT, 0, 100_000)
        return Limits(
            self._number(f"{prefix}_COUNT_LIMIT", general, 0, 100_000),
            text,
            self._number("OTEL_SPAN_LINK_COUNT_LIMIT", 128, 0, 100_000),
        )

    # Where it goes

    def _endpoint(self, signal: str) -> Endpoint:
        protocol = self._choice(self._names(signal, "PROTOCOL"), PROTOCOLS, "http/protobuf")
        url, without_scheme = self._url(signal, protocol)
        insecure = self._flag(*self._names(signal, "INSECURE"))
        if not without_scheme:
            # The variable is for addresses that do not say it themselves.
            insecure = urlsplit(url).scheme == "http"
        certificate = self._file(self._own(signal, "CERTIFICATE"))
        client = self._file(self._own(signal, "CLIENT_CERTIFICATE"))
        key = self._file(self._own(signal, "CLIENT_KEY"))
        self._check_certificates(signal, certificate, client, key)
        timeout = self._first_number(self._names(signal, "TIMEOUT"), 1, 600_000) or _DEFAULT_TIMEOUT_MS
        return Endpoint(
            protocol,
            url,
            self._headers(self._own(signal, "HEADERS"), over_grpc=protocol == "grpc"),
            self._choice(self._names(signal, "COMPRESSION"), ("none", "gzip"), "none"),
            timeout / 1000,
            certificate,
            client,
            key,
            insecure,
        )

    def _own(self, signal: str, setting: str) -> str:
        """The variable that holds a setting of a signal: its own one, or else the one for all signals."""
        own, general = self._names(signal, setting)
        return own if self._values.get(own) else general

    @staticmethod
    def _names(signal: str, setting: str) -> tuple[str, str]:
        """The two variables of a setting, the signal's own one first."""
        return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{setting}", f"OTEL_EXPORTER_OTLP_{setting}"

    def _url(self, signal: str, protocol: str) -> tuple[str, bool]:
        """The address to send to, and whether it was given without a scheme, as gRPC allows."""
        name = self._own(signal, "ENDPOINT")
        given = self._values.get(name) or _DEFAULT_URL[protocol]
        without_scheme = protocol == "grpc" and "://" not in given
        text = f"https://{given}" if without_scheme else given
        expected = "a URL such as http://collector:4318" if protocol != "grpc" else "an address such as collector:4317"
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or any(character.isspace() or not character.isprintable() for character in text):
            self._problem(name, "something else", expected)
            return "", without_scheme
        if parts.username is not None:
            self._problem(name, "a URL with a user", "none; OTEL_EXPORTER_OTLP_HEADERS can carry credentials")
            return "", without_scheme
        if protocol == "grpc":
            return urlunsplit((parts.scheme, parts.netloc, "", "", "")), without_scheme
        path = parts.path
        if name == "OTEL_EXPORTER_OTLP_ENDPOINT":
            path = f"{path.rstrip('/')}/v1/{signal}"
        return urlunsplit((parts.scheme, parts.netloc, path or "/", parts.query, "")), False

    def _headers(self, name: str, *, over_grpc: bool) -> dict[str, str]:
        """`key=value,key=value` with percent-encoded values; gRPC wants names in lower case."""
        headers = {}
        for number, pair in enumerate(self._pairs(name), 1):
            key, found, value = pair.partition("=")
            key, value = key.strip(), unquote(value).strip()
            if not found or not key or not _is_token(key) or not value.isprintable() or not value.isascii():
                self._problem(name, f"something else as pair {number}", "key=value,key=value, percent-encoded ASCII")
                return {}
            if reason := _unsendable(key.lower(), over_grpc=over_grpc):
                self._problem(name, f"the header {key[:_MAX_SHOWN]}", f"headers of your own: {reason}")
                return {}
            headers[key.lower() if over_grpc else key] = value
        return headers

    def _file(self, name: str) -> Path | None:
        text = self._values.get(name)
        if not text:
            return None
        path = Path(text)
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            self._problem(name, text, f"a file that can be read ({error.strerror})")
            return None
        return path

    def _check_certificates(self, signal: str, certificate: Path | None, client: Path | None, key: Path | None) -> None:
        certificate_name, key_name = self._own(signal, "CLIENT_CERTIFICATE"), self._own(signal, "CLIENT_KEY")
        if (client is None) != (key is None):
            if not (self._values.get(certificate_name) and self._values.get(key_name)):
                missing, other = (certificate_name, key_name) if client is None else (key_name, certificate_name)
                self._problem(missing, "nothing", f"a file, since {other} is set")
            return
        if certificate is None and client is None:
            return
        try:
            tls.build(tls.Files(certificate, client, key))
        except tls.UnusableFileError as error:
            names = {key: key_name, client: certificate_name, certificate: self._own(signal, "CERTIFICATE")}
            self._problem(
                names.get(error.path, certificate_name),
                str(error.path),
                error.expected.replace("tls-cert-file", certificate_name),
            )

    # The rest

    def _sampling(self) -> Sampling:
        name = self._choice(("OTEL_TRACES_SAMPLER",), SAMPLERS, "parentbased_always_on")
        argument = self._values.get("OTEL_TRACES_SAMPLER_ARG")
        if not argument or not name.endswith("traceidratio"):
            return Sampling(name)
        try:
            ratio = float(argument)
        except ValueError:
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            self._ignore("OTEL_TRACES_SAMPLER_ARG", argument, "a number from 0 to 1; 1 is used")
            return Sampling(name)
        return Sampling(name, ratio)

    def _resource(self) -> dict[str, str]:
        """`key=value,key=value`, percent-encoded; OTEL_SERVICE_NAME goes before a service.name in it."""
        name = "OTEL_RESOURCE_ATTRIBUTES"
        attributes: dict[str, str] = {}
        for pair in self._pairs(name):
            key, found, value = pair.partition("=")
            if not found or not key.strip():
                self._ignore(name, pair, "key=value,key=value; none of them is used")
                attributes.clear()
                break
            attributes[unquote(key.strip())] = unquote(value.strip())
        if service := self._values.get("OTEL_SERVICE_NAME"):
            attributes["service.name"] = service
        return attributes

    # Kinds of values

    def _problem(self, name: str, value: str, expected: str) -> None:
        self.problems.append(Problem(_WHERE, name, value, expected))

    def _pairs(self, name: str) -> list[str]:
        return [part.strip() for part in self._values.get(name, "").split(",") if part.strip()]

    def _ignore(self, name: str, text: str, expected: str) -> None:
        shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
        self.ignored.append(Problem(_WHERE, name, repr(shown), expected))

    def _choice(self, names: tuple[str, ...], known: tuple[str, ...], default: str) -> str:
        """The first of the variables that has a value that is known, in whatever case; or else the default."""
        for name in names:
            value = self._values.get(name, "").lower()
            if value in known:
                return value
            if value:
                self._ignore(name, self._values[name], f"one of {', '.join(known)}; the value is ignored")
        return default

    def _flag(self, *names: str) -> bool:
        """The first of the variables that is set; all but `true` is false."""
        for name in names:
            value = self._values.get(name, "").lower()
            if value:
                if value not in ("true", "false"):
                    self._ignore(name, self._values[name], "true or false; it counts as false")
                return value == "true"
        return False

    def _number(self, name: str, default: int, least: int, most: int) -> int:
        number = self._first_number((name,), least, most)
        return default if number is None else number

    def _first_number(self, names: tuple[str, ...], least: int, most: int) -> int | None:
        """The first of the variables that has a number in the range; None without one."""
        for name in names:
            text = self._values.get(name)
            if text and text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most:
                return int(text)
            if text:
                self._ignore(name, text, f"a whole number from {least} to {most}; the value is ignored")
        return None


def _unsendable(name: str, *, over_grpc: bool) -> str | None:
    """Why a header, by its name in lower case, cannot be the operator's; None when it can."""
    if name in _RESERVED_HEADERS or name.startswith("grpc-"):
        return "this one is set by the exporter itself"
    if over_grpc and _RESERVED_GRPC_HEADER.fullmatch(name):
        return "gRPC sets this one itself" if name == "user-agent" else "gRPC carries bytes under names with -bin"
    if over_grpc and not _GRPC_HEADER.fullmatch(name):
        return "gRPC allows letters, digits, dots, dashes and underscores in a name"
    return None


def _is_token(name: str) -> bool:
    """Whether it can be the name of a header (RFC 9110, section 5.6.2)."""
    return name.isascii() and all(letter.isalnum() or letter in "!#$%&'*+-.^_`|~" for letter in name)
