"""From `OTEL_*` variables to `OtelSettings`, or to every problem at once.

The names and meanings are OpenTelemetry's; an empty value is one that is not set. A number, a boolean or a name of a
list that makes no sense is as if it were not set, with a warning; of resource attributes that cannot be read none is
taken. A wrong address, header or file of certificates is refused: it says where records go and who sends them.

Different from the specification: a signal is exported when an endpoint is set or its exporter is chosen, where SDKs
send to localhost without an endpoint; and the queue of log records is larger. Timeouts and delays are milliseconds, as
the specification has it. `*_EXPORT_TIMEOUT` has no meaning here: a batch that could not be sent waits, and each request
has `OTEL_EXPORTER_OTLP_TIMEOUT`.

The SDK reads most of these variables too. It raises an error for a limit that is no number, sends without the headers
that it cannot read, takes the readable rest of resource attributes, and takes the line end of a Secret for part of the
value. So each value is read here, and the SDK gets it as an argument.

Source: OpenTelemetry specification, "Environment variables" (parsing of empty, boolean, numeric and enum values),
"OTLP exporter", "Resource SDK" (OTEL_RESOURCE_ATTRIBUTES), "Performance and blocking".
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from iris_exporter.config import values
from iris_exporter.config.reader import Given, Reader
from iris_exporter.config.values import BadValueError, ValueType
from iris_exporter.core import request_headers
from iris_exporter.errors import ConfigError
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

LOG_QUEUE_RECORDS = 65_536
"""Ten minutes without a collector at 100 events a second are 60,000 records; the specification's 2,048 are 20 s."""
SPAN_QUEUE_RECORDS = 8_192
"""Four times the specification's value: a thousand streams make a thousand summaries a minute."""

MAX_TEXT_CHARS = 4096
"""The longest text of an attribute: a message may be as large as `--stream.max-message-bytes`, and a collector takes
4 MiB at a time."""

_WHERE = "environment"

_RESERVED_HEADERS = request_headers.CONNECTION_HEADERS | {"content-type", "proxy-connection"}
# Those of gRPC cannot be sent at all.
_RESERVED_GRPC_HEADER = re.compile(r"user-agent|.*-bin")
_GRPC_HEADER = re.compile(r"[0-9a-z_.-]+")


# Types of values that are ignored when they make no sense; what is then done is part of what is expected.


def _or_ignored(value_type: ValueType, then: str = "the value is ignored") -> ValueType:
    return replace(
        value_type,
        syntax=f"{value_type.syntax}; {then}",
        parse=lambda text, base: value_type.parse(text.lower(), base),
    )


def _number(least: int, most: int) -> ValueType:
    return _or_ignored(values.integer(least, most))


def _words(*words: str) -> ValueType:
    return _or_ignored(values.choice(*words))


def _parse_ratio(text: str, _base: Path) -> float:
    if not 0.0 <= (ratio := float(text)) <= 1.0:
        raise ValueError(text)
    return ratio


def _parse_attributes(text: str, _base: Path) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in _pairs(text)]
    if not all(found and key.strip() for key, found, _ in pairs):
        raise ValueError(text)
    return {unquote(key.strip()): unquote(value.strip()) for key, _, value in pairs}


_EXPORTER = _words("otlp", "console", "none")
_METRICS_EXPORTER = replace(
    _words("none"), syntax="none: metrics are scraped from /metrics, by a collector too, and not pushed"
)
_PROTOCOL = _words("http/protobuf", "grpc")
_COMPRESSION = _words("none", "gzip")
_PLAIN_SAMPLERS = ("always_on", "always_off", "traceidratio")
_SAMPLER = _words(*_PLAIN_SAMPLERS, *(f"parentbased_{name}" for name in _PLAIN_SAMPLERS))
_RATIO = ValueType("a number from 0 to 1; 1 is used", "RATIO", _parse_ratio)
_SWITCH = _or_ignored(values.SWITCH, "it counts as false")
_COUNT = _number(0, 100_000)
_RECORDS = _number(1, 10_000_000)
_CHARACTERS = _number(0, 10_000_000)
_DELAY = _number(0, 3_600_000)
_TIMEOUT = _number(1, 600_000)
_ATTRIBUTES = ValueType("key=value,key=value; none of them is used", "PAIRS", _parse_attributes)


# Types of values that are refused


def _address(example: str) -> ValueType:
    def parse(text: str, _base: Path) -> SplitResult:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(text)
        if any(character.isspace() or not character.isprintable() for character in text):
            raise ValueError(text)
        if parts.username is not None:
            raise BadValueError("none; OTEL_EXPORTER_OTLP_HEADERS can carry credentials", "a URL with a user")
        return parts

    return ValueType(example, "URL", parse, show=lambda _: "something else")


def _headers(*, over_grpc: bool) -> ValueType:
    """`key=value,key=value` with percent-encoded values; gRPC wants names in lower case."""
    syntax = "key=value,key=value, percent-encoded ASCII"

    def parse(text: str, _base: Path) -> dict[str, str]:
        headers = {}
        for number, pair in enumerate(_pairs(text), 1):
            key, found, value = pair.partition("=")
            key, value = key.strip(), unquote(value).strip()
            if not found or not request_headers.is_name(key) or not value.isprintable() or not value.isascii():
                raise BadValueError(syntax, f"something else as pair {number}")
            if reason := _unsendable(key.lower(), over_grpc=over_grpc):
                raise BadValueError(f"headers of your own: {reason}", f"the header {key[:80]}")
            headers[key.lower() if over_grpc else key] = value
        return headers

    return ValueType(syntax, "HEADERS", parse)


def _unsendable(name: str, *, over_grpc: bool) -> str | None:
    """Why a header, by its name in lower case, cannot be the operator's; None when it can."""
    if name in _RESERVED_HEADERS or name.startswith("grpc-"):
        return "this one is set by the exporter itself"
    if over_grpc and _RESERVED_GRPC_HEADER.fullmatch(name):
        return "gRPC sets this one itself" if name == "user-agent" else "gRPC carries bytes under names with -bin"
    if over_grpc and not _GRPC_HEADER.fullmatch(name):
        return "gRPC allows letters, digits, dots, dashes and underscores in a name"
    return None


def _pairs(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_ADDRESSES = {
    "http/protobuf": ("http://localhost:4318", _address("a URL such as http://collector:4318")),
    "grpc": ("http://localhost:4317", _address("an address such as collector:4317")),
}
"""Of a collector by protocol: the default, and what an address has to be."""


def read_otel(environment: Mapping[str, str]) -> OtelSettings:
    """Return what the variables ask for, and in `ignored` which values were passed over.

    Certificates are read once, to see that they can be.

    Raises:
        ConfigError: With everything that has to be refused; a header's value is in none of them.
    """
    variables = _Variables(environment)
    settings = variables.settings()
    if variables.refused.problems:
        raise ConfigError(list(dict.fromkeys(variables.refused.problems)))
    return replace(settings, ignored=tuple(dict.fromkeys(variables.ignored.problems)))


class _Variables:
    """One run of `read_otel`; what is wrong is noted by one of two readers."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.refused, self.ignored = Reader(), Reader()
        self._texts = {name: text.strip() for name, text in environment.items() if name.startswith("OTEL_")}

    def settings(self) -> OtelSettings:
        """What is asked for, with defaults in place of what has a problem."""
        if self._get(_SWITCH, False, "OTEL_SDK_DISABLED"):
            return OFF
        self._get(_METRICS_EXPORTER, None, "OTEL_METRICS_EXPORTER")
        traces = self._signal(TRACES, "OTEL_BSP", SPAN_QUEUE_RECORDS, 5_000, "OTEL_SPAN_ATTRIBUTE")
        logs = self._signal(LOGS, "OTEL_BLRP", LOG_QUEUE_RECORDS, 1_000, "OTEL_LOGRECORD_ATTRIBUTE")
        resource = self._get(_ATTRIBUTES, {}, "OTEL_RESOURCE_ATTRIBUTES")
        if service := self._texts.get("OTEL_SERVICE_NAME"):
            resource = {**resource, "service.name": service}
        return OtelSettings(traces, logs, self._sampling(), resource)

    def _get(self, value_type: ValueType, default: Any, *names: str) -> Any:
        """The first of the variables whose value makes sense; a value that makes none is noted and ignored."""
        for name in names:
            if text := self._texts.get(name):
                value = self.ignored.read(Given(value_type, (text,), _WHERE, name))
                if value is not None:
                    return value
        return default

    def _need(self, value_type: ValueType, name: str, text: str) -> Any:
        """What a text is read as, or None after a refusal."""
        return self.refused.read(Given(value_type, (text,), _WHERE, name))

    def _sampling(self) -> Sampling:
        name = self._get(_SAMPLER, Sampling().name, "OTEL_TRACES_SAMPLER")
        if not name.endswith("traceidratio"):
            return Sampling(name)
        return Sampling(name, self._get(_RATIO, 1.0, "OTEL_TRACES_SAMPLER_ARG"))

    # One signal

    def _signal(self, signal: str, queue: str, queue_size: int, delay_ms: int, limits: str) -> SignalSettings | None:
        names = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        has_endpoint = any(self._texts.get(name) for name in names)
        exporter = self._get(_EXPORTER, "otlp" if has_endpoint else "none", f"OTEL_{signal.upper()}_EXPORTER")
        if exporter == "none":
            return None
        return SignalSettings(
            self._endpoint(signal) if exporter == "otlp" else None,
            self._batching(queue, queue_size, delay_ms),
            self._limits(limits),
        )

    def _batching(self, prefix: str, queue_size: int, delay_ms: int) -> Batching:
        size = self._get(_RECORDS, queue_size, f"{prefix}_MAX_QUEUE_SIZE")
        name = f"{prefix}_MAX_EXPORT_BATCH_SIZE"
        batch = self._get(_RECORDS, min(512, size), name)
        if batch > size:
            expected = f"at most {prefix}_MAX_QUEUE_SIZE, which is {size} and is used"
            self.ignored.report(_WHERE, name, f"'{batch}'", expected)
        return Batching(size, min(batch, size), self._get(_DELAY, delay_ms, f"{prefix}_SCHEDULE_DELAY") / 1000)

    def _limits(self, prefix: str) -> Limits:
        return Limits(
            self._get(_COUNT, 128, f"{prefix}_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
            self._get(_CHARACTERS, MAX_TEXT_CHARS, f"{prefix}_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
            self._get(_COUNT, 128, "OTEL_SPAN_LINK_COUNT_LIMIT"),
        )

    # Where it goes

    def _endpoint(self, signal: str) -> Endpoint:
        def names(setting: str) -> tuple[str, str]:
            return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{setting}", f"OTEL_EXPORTER_OTLP_{setting}"

        def name(setting: str) -> str:
            """The signal's own variable where it is set, or else the one for all signals."""
            own, general = names(setting)
            return own if self._texts.get(own) else general

        protocol = self._get(_PROTOCOL, "http/protobuf", *names("PROTOCOL"))
        url, without_scheme = self._url(signal, protocol, name("ENDPOINT"))
        insecure = self._get(_SWITCH, False, name("INSECURE"))
        headers = _headers(over_grpc=protocol == "grpc")
        certificate, client, key = self._files(*map(name, ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")))
        return Endpoint(
            protocol,
            url,
            self._need(headers, name("HEADERS"), self._texts.get(name("HEADERS"), "")) or {},
            self._get(_COMPRESSION, "none", *names("COMPRESSION")),
            self._get(_TIMEOUT, 10_000, *names("TIMEOUT")) / 1000,
            certificate,
            client,
            key,
            # The variable is for addresses without a scheme.
            insecure if without_scheme else url.startswith("http:"),
        )

    def _url(self, signal: str, protocol: str, name: str) -> tuple[str, bool]:
        """The address to send to, and whether it was given without a scheme, as gRPC allows."""
        default, address = _ADDRESSES[protocol]
        text = self._texts.get(name) or default
        without_scheme = protocol == "grpc" and "://" not in text
        parts = self._need(address, name, f"https://{text}" if without_scheme else text)
        if parts is None:
            return "", without_scheme
        if protocol == "grpc":
            return urlunsplit((parts.scheme, parts.netloc, "", "", "")), without_scheme
        path = parts.path
        if name == "OTEL_EXPORTER_OTLP_ENDPOINT":
            path = f"{path.rstrip('/')}/v1/{signal}"
        return urlunsplit((parts.scheme, parts.netloc, path or "/", parts.query, "")), False

    def _files(self, *names: str) -> tuple[Path | None, ...]:
        """Authorities, certificate and key; the certificate and its key have to be given together."""
        texts = {name: self._texts.get(name) for name in names}
        files = tuple(self._need(values.FILE, name, text) if text else None for name, text in texts.items())
        if any(text and file is None for text, file in zip(texts.values(), files, strict=True)):
            return files
        _, certificate, key = names
        if bool(texts[certificate]) != bool(texts[key]):
            missing, other = (certificate, key) if texts[key] else (key, certificate)
            self.refused.report(_WHERE, missing, "nothing", f"a file, since {other} is set")
        elif any(files) and (broken := tls.unusable_file(*files)) is not None:
            path, expected = broken
            at_fault = next((name for name, file in zip(names, files, strict=True) if file == path), certificate)
            self.refused.report(_WHERE, at_fault, str(path), expected.replace("tls-cert-file", certificate))
        return files
