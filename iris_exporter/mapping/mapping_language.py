"""The mapping itself, and what of it is neither a message nor the link: `language` and `link_language` have those."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typing_extensions import override

from iris_exporter.config.values import duration
from iris_exporter.config.yaml_tree import Node, Scalar, Table
from iris_exporter.core import request_headers
from iris_exporter.core.request_headers import BadHeaderError
from iris_exporter.core.shorten import SHORTEST
from iris_exporter.core.status import PROTOCOLS
from iris_exporter.mapping import lint
from iris_exporter.mapping.conditions import CONDITIONS, PATH
from iris_exporter.mapping.fields import (
    Changed,
    Choice,
    Entries,
    Many,
    Number,
    Option,
    Schema,
    Text,
    Type,
    named,
)
from iris_exporter.mapping.inside import inside
from iris_exporter.mapping.language import MESSAGES
from iris_exporter.mapping.link_language import CURSOR, HEADER_NAME, HEARTBEAT, OPEN_STEP, PLANNED_END, SECRET_HEADERS
from iris_exporter.mapping.notes import Here
from iris_exporter.mapping.objects import Key, Object, Values
from iris_exporter.mapping.spec import (
    Authorize,
    CursorSpec,
    Entry,
    Format,
    Mapping,
    MappingLimits,
    PollSpec,
    SnapshotSpec,
    TestCase,
)
from iris_exporter.mapping.template_types import URL_TEXT
from iris_exporter.mapping.templates import NAMES, Template, means, names_in

# Beside the stream

HISTORY = Object(
    "history",
    (Key("until", CONDITIONS, "what the message has that ends the history", required=True),),
    lambda values: values.get("until"),
)


def _check_snapshot(values: Values) -> None:
    url: Template | None = values.get("url")
    if url is not None and not str(url.content).startswith("${origin}/"):
        values.at("url").problem("another address", "${origin}/..., since no other host than the stream's is asked")


SNAPSHOT = Object(
    "snapshot",
    (
        Key("url", URL_TEXT, "its address, which begins with ${origin}/", required=True),
        Key("messages", MESSAGES, "what the document is", required=True),
        Key("cursor", PATH, "the cursor that it stands for, which begins the stream"),
    ),
    lambda values: SnapshotSpec(values.get("url"), values.get("messages"), values.get("cursor")),
    _check_snapshot,
)


class SnapshotType(Type):
    """A snapshot, or none."""

    @override
    def read(self, node: Node, here: Here) -> SnapshotSpec | None:
        if isinstance(node, Scalar) and node.text == "none":
            return None
        snapshot: SnapshotSpec = SNAPSHOT.read(node, here)
        return snapshot

    @property
    @override
    def words(self) -> str:
        return "`none`, or [snapshot](#snapshot)"

    @override
    def schema(self, definitions: Schema) -> Schema:
        return {"anyOf": [{"const": "none"}, SNAPSHOT.schema(definitions)]}


POLL = Object(
    "poll",
    (
        Key("interval-from", HEADER_NAME, "the header that says how many seconds to wait"),
        Key(
            "pages",
            Choice({"link": True, "none": False}),
            "link: follow the next page of the header Link, where it is of the same host",
            "none",
        ),
        Key("max-pages", Number(1, 100, whole=True), "how many pages, with pages: link", "3"),
    ),
    lambda values: PollSpec(values.get("interval-from"), values.get("max-pages", 3) if values.get("pages") else 1),
    lambda values: values.needs("max-pages", "pages"),
)
LIMITS = Object(
    "limits",
    (
        Key(
            "series",
            Number(1, 1_000_000, whole=True),
            "series of one stream, each bucket of a histogram and each state being one",
            "10000",
        ),
        Key("label-values", Number(1, 1_000_000, whole=True), "values of one label", "1000"),
        Key("label-length", Number(SHORTEST, 10_000, whole=True), "characters of one value of a label", "200"),
        Key("ids", Number(1, 1_000_000, whole=True), "identities that are remembered", "10000"),
    ),
    lambda values: MappingLimits(**values.pick("series", "label-values", "label-length", "ids")),
)


def _time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a time such as 2025-10-09T08:53:20Z") from None
    return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()


EXPECT = Object(
    "expect",
    (Key("every", Option(duration(1, 31_536_000)), "silence for longer is a reason to alert", required=True),),
    lambda values: values.get("every"),
)


def _make_test(values: Values) -> TestCase:
    directory = Path(values.here.file).parent
    return TestCase(str(directory / values.get("sample")), str(directory / values.get("expect")), values.get("at"))


TEST = Object(
    "test",
    (
        Key("sample", Text("a file"), "what the source sends; a path from where the mapping stands", required=True),
        Key("expect", Text("a file"), "the exposition that has to come of it", required=True),
        Key("at", Text("a time", _time, 40), "when it arrives", "now"),
    ),
    _make_test,
)


# The mapping


def _namespace(text: str) -> str:
    first = text.partition("_")[0]
    if first in lint.RESERVED_NAMESPACES:
        raise ValueError(f"a namespace of its own: {first} is of the exporter's own metrics")
    _NAMESPACE.check(text)
    return text


_NAMESPACE = named("a prefix of lower-case letters, digits and underscores", "[a-z][a-z0-9]*(?:_[a-z0-9]+)*", 50)


_AUTHORIZE = "header, query:NAME, header:NAME, message or none"
_PROTOCOLS = ("auto", *(name for name in PROTOCOLS if name != "graphql"))
_TOKEN = named("a token", "[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _authorize(text: str) -> Authorize:
    scheme, _, name = text.partition(":")
    is_named = scheme in ("query", "header") and request_headers.is_name(name)
    if not is_named and text not in ("header", "message", "none"):
        raise ValueError(_AUTHORIZE)
    return Authorize(scheme, name)


def _header_text(text: str) -> str:
    """The value of a header; the name is checked by its own type."""
    try:
        request_headers.parse(f"X: {text}")
    except BadHeaderError as error:
        raise ValueError(f"a value of a header ({error})") from None
    if any(means(name, NAMES) for name in names_in(text)):
        raise ValueError("a text without ${...}, which has no value here; a key is sent by authorize: header:NAME")
    return text


def _header_key(text: str) -> str:
    try:
        request_headers.parse(f"{text}: x")
    except BadHeaderError as error:
        raise ValueError(f"a header that can be given ({error})") from None
    if text.lower() in SECRET_HEADERS:
        raise ValueError("no secret here: it belongs to the stream (api-key-file, headers-file)")
    return text


_HEADER_KEY = Text("the name of a header", _header_key, 256)
_HEADERS = Changed(
    Entries(_HEADER_KEY, Text("a text", _header_text, 8_192, hidden=True), "headers", 50),
    lambda headers: tuple(headers.items()),
)


def _inside(table: Table, here: Here) -> Here:
    """What all metrics of a mapping need to know; what is wrong with it is reported where it stands."""
    namespace, limits = table.entries.get("namespace"), table.entries.get("limits")
    values = limits.entries.get("label-values") if isinstance(limits, Table) else None
    name = _quietly(_namespace, namespace)
    label_values = _quietly(int, values)
    return replace(
        here,
        namespace="" if name is None else name,
        label_values=here.label_values if label_values is None else label_values,
    )


def _quietly(read: Callable[[str], Any], node: Node | None) -> Any:
    try:
        return read(node.text) if isinstance(node, Scalar) and node.text is not None else None
    except ValueError:
        return None


def _check_mapping(values: Values) -> None:
    here, notes = values.here, values.here.notes
    limits = values.get("limits") or MappingLimits()
    entries = values.get("messages") or ()
    snapshot: SnapshotSpec | None = values.get("snapshot")
    of_snapshot = () if snapshot is None else snapshot.entries
    lint.check_entries(entries, notes, here)
    _warn_of_one_way(values, entries)
    lint.check_entries(of_snapshot, notes, values.at("snapshot"))
    lint.check_parts([part for entry in (*entries, *of_snapshot) for part in entry.parts], limits, notes, here)
    cursor: CursorSpec | None = values.get("cursor")
    if cursor is not None and cursor.rewind is not None and "messages" not in values.broken:
        lint.check_rewind(entries, notes, values.at("cursor"))
    is_begun = snapshot is not None and snapshot.cursor is not None and "cursor" not in values.broken
    if is_begun and (cursor is None or cursor.resume is None):
        values.at("snapshot").problem("a cursor that is never sent", "cursor with resume: in the mapping, too")
    if cursor is None or cursor.by is not None:
        for name in ("open", "heartbeat", "messages"):
            if "cursor" not in values.broken and "cursor" in _names_in(values.get(name)):
                values.at(name).problem("'${cursor}'", "a cursor: in the mapping, without by, or another name")


_TWO_WAY = ("subprotocols", "open", "heartbeat")


def _warn_of_one_way(values: Values, entries: Iterable[Entry]) -> None:
    """Note what is only said over a WebSocket, in a mapping for streams of another protocol."""
    protocol = values.get("protocol")
    if protocol not in ("sse", "ndjson", "poll"):
        return
    cursor: CursorSpec | None = values.get("cursor")
    names = [name for name in _TWO_WAY if name in values]
    names += ["messages"] if any(entry.reply is not None for entry in entries) else []
    names += ["cursor"] if cursor is not None and cursor.resume is not None and cursor.resume.message else []
    words = {"messages": "reply", "cursor": "a message to resume"}
    for name in names:
        expected = f"it with protocol websocket or auto: over {protocol} nothing can be sent"
        values.at(name).warn(words.get(name, name), expected)


def _names_in(description: object) -> frozenset[str]:
    """The names that all templates in a description use."""
    return frozenset().union(*(template.names for template in inside(description, Template)))


def _make_mapping(values: Values) -> Mapping:
    given = values.pick(
        *("namespace", "format", "protocol", "subprotocols", "headers", "authorize", "open", "heartbeat"),
        *("planned-end", "cursor", "history", "snapshot", "poll", "limits", "tests"),
        entries="messages",
        unmatched_is_error="unmatched",
        expect_every_seconds="expect",
    )
    names = _names_in(tuple(given.values()))
    return Mapping(
        name=values.here.key.rpartition(".")[2],
        secrets=frozenset(name.removeprefix("secret.") for name in names if name.startswith("secret.")),
        parameters=frozenset(name.removeprefix("param.") for name in names if name.startswith("param.")),
        needs_key="secret" in names,
        **given,
    )


MAPPING = Object(
    "mapping",
    (
        Key("extends", Text("the name of a preset or of another mapping", most=64), "what this one changes"),
        Key(
            "namespace",
            Text(_NAMESPACE.syntax, _namespace, 50, _NAMESPACE.pattern),
            "what the names of all its metrics begin with",
            required=True,
        ),
        Key("format", Choice({each.value: each for each in Format}), "how a piece becomes messages", "json"),
        Key(
            "protocol",
            Choice({name: name for name in _PROTOCOLS}),
            "for streams of protocol auto",
            "auto",
        ),
        Key(
            "subprotocols",
            Many(_TOKEN, "tokens", single=True, most=10),
            "subprotocols of the WebSocket",
        ),
        Key("headers", _HEADERS, "headers that the source demands of everybody"),
        Key(
            "authorize",
            Text(_AUTHORIZE, _authorize, 200),
            "how the key is sent",
            "header",
        ),
        Key("open", Many(OPEN_STEP, "steps", most=50), "the handshake behind that of the WebSocket, in order"),
        Key("heartbeat", HEARTBEAT, "what is sent while nothing arrives", "pings of the WebSocket alone"),
        Key("planned-end", PLANNED_END, "an end that is no failure"),
        Key("cursor", CURSOR, "where in the stream we are, and how to go on from there"),
        Key("history", HISTORY, "messages at first that are known, not new"),
        Key("snapshot", SnapshotType(), "the state beside the stream, by HTTP", "none"),
        Key("poll", POLL, "how the source wants to be polled"),
        Key("messages", MESSAGES, "kinds of messages; the first that fits takes one", required=True),
        Key("unmatched", Choice({"count": False, "error": True}), "messages that no entry takes", "count"),
        Key("limits", LIMITS, "bounds"),
        Key("expect", EXPECT, "what is expected of the source"),
        Key("tests", Many(TEST, "tests", most=100), "samples and what has to come of them, for map --test"),
    ),
    _make_mapping,
    _check_mapping,
    _inside,
)
