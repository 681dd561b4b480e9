"""The objects of the language that have to do with the link: handshake, heartbeat, cursor."""

from iris_exporter.config.values import duration
from iris_exporter.core import request_headers
from iris_exporter.mapping import lint
from iris_exporter.mapping.conditions import CONDITIONS, PATH, PATHS, PATTERN
from iris_exporter.mapping.fields import (
    Choice,
    Entries,
    Many,
    Number,
    Option,
    Text,
)
from iris_exporter.mapping.language import REASON
from iris_exporter.mapping.objects import Key, Object, Values
from iris_exporter.mapping.paths import Path, Root
from iris_exporter.mapping.spec import (
    CursorSpec,
    Fail,
    HeartbeatSpec,
    Invalid,
    OpenStep,
    Order,
    PlannedEnd,
    Resume,
    Rewind,
)
from iris_exporter.mapping.template_types import MESSAGE, QUERY_TEXT

SECRET_HEADERS = frozenset({"authorization", "cookie", "x-api-key", "x-auth-token"})
_STATUSES = Many(Number(400, 599, whole=True), "statuses", single=True, most=20)


# Handshake, heartbeat, end

FAIL = Object(
    "fail",
    (
        Key("when", CONDITIONS, "what a message that ends the handshake has", required=True),
        Key("as", REASON, "the reason that it is, which decides what is done", "handshake"),
    ),
    lambda values: Fail(values.get("when"), values.get("as", "handshake")),
)


def _check_step(values: Values) -> None:
    lint.check_one_of(values, "send", "await")
    values.needs("fail", "await")
    values.needs("timeout", "await")


OPEN_STEP = Object(
    "step",
    (
        Key("send", MESSAGE, "what is sent: text, or keys and lists that become JSON"),
        Key("await", CONDITIONS, "what a message has that is waited for"),
        Key("fail", Many(FAIL, "failures", single=True), "messages that end the handshake instead"),
        Key("timeout", Option(duration(0.1, 600)), "how long it is waited for", "10s"),
    ),
    lambda values: OpenStep(**values.pick("send", "fail", await_="await", timeout_seconds="timeout")),
    _check_step,
)


def _check_heartbeat(values: Values) -> None:
    every, timeout = values.get("every"), values.get("timeout")
    if every is not None and timeout is not None and timeout <= every:
        values.at("timeout").problem("a timeout that is not above every", "a longer one")


HEARTBEAT = Object(
    "heartbeat",
    (
        Key("send", MESSAGE, "what is sent: text, or keys and lists that become JSON", required=True),
        Key("every", Option(duration(1, 3_600)), "how often", "stream.heartbeat-interval"),
        Key("timeout", Option(duration(1, 7_200)), "silence that ends the link", "stream.heartbeat-timeout"),
    ),
    lambda values: HeartbeatSpec(values.get("send"), values.get("every"), values.get("timeout")),
    _check_heartbeat,
)
PLANNED_END = Object(
    "planned-end",
    (
        Key("text", Many(Text("a text"), "texts", single=True), "a message that is this very text"),
        Key("close", Many(Number(1000, 4999, whole=True), "codes", single=True), "a close code of the WebSocket"),
        Key("after", Option(duration(60, 31_536_000)), "how long after the beginning the source ends it"),
    ),
    lambda values: PlannedEnd(values.get("text", ()), frozenset(values.get("close", ())), values.get("after")),
)


# Cursor

REWIND = Object(
    "rewind",
    (
        Key("pattern", PATTERN, "finds numbers in the cursor: the first group, or all; without it, it is a number"),
        Key("by", Number(1, 10**18, whole=True), "how much they are lowered", required=True),
    ),
    lambda values: Rewind(values.get("pattern"), values.get("by")),
)


def header_name(text: str) -> str:
    """Return the name of a header; raises ValueError with what is expected."""
    if not request_headers.is_name(text) or text.lower() in request_headers.CONNECTION_HEADERS | SECRET_HEADERS:
        raise ValueError("the name of a header that is not of the connection, and for no secret")
    return text


HEADER_NAME = Text("the name of a header", header_name, 100)


def _check_resume(values: Values) -> None:
    lint.check_one_of(values, "header", "query", "message")
    templates = {"query": (values.get("query") or {}).values(), "message": filter(None, [values.get("message")])}
    for name, sent in templates.items():
        if name in values and name not in values.broken and not any("cursor" in each.names for each in sent):
            values.at(name).problem("nothing of the cursor", "${cursor} in it: the source has to know where to go on")


RESUME = Object(
    "resume",
    (
        Key("header", HEADER_NAME, "the header that has the cursor"),
        Key("query", Entries(Text("a name", most=100), QUERY_TEXT, "parameters", 10), "parameters of the address"),
        Key("message", MESSAGE, "a message, sent after open"),
    ),
    lambda values: Resume(values.get("header"), tuple((values.get("query") or {}).items()), values.get("message")),
    _check_resume,
)
INVALID = Object(
    "invalid",
    (
        Key("status", _STATUSES, "statuses of an answer"),
        Key("when", CONDITIONS, "what a message has"),
    ),
    lambda values: Invalid(frozenset(values.get("status", ())), values.get("when", ())),
)
_META_ID = Path(Root.META, ("id",), "meta.id")


def _check_cursor(values: Values) -> None:
    path: Path | None = values.get("path", _META_ID)
    if path is not None and path.root is Root.META and path.steps != ("id",):
        values.at("path").problem(str(path), "meta.id, or a path in the message")
    values.together("by", "resume", "rewind")
    order = values.get("order", Order.OPAQUE)
    if values.get("gaps") and order is not Order.NUMBER:
        values.at("gaps").problem("count", "order: number beside it")
    if "rewind" in values and order is Order.POSITION:
        values.at("rewind").problem("rewind", "none with order: position, which begins behind the position anyway")
    rewind: Rewind | None = values.get("rewind")
    if rewind is not None and rewind.pattern is None and order is Order.OPAQUE:
        values.at("rewind").problem("no pattern", "a pattern that finds the numbers of an opaque cursor")


def _make_cursor(values: Values) -> CursorSpec:
    path = values.get("path", _META_ID)
    resume = values.get("resume")
    if resume is None and path.root is Root.META and "by" not in values:
        resume = Resume(header="Last-Event-ID")
    return CursorSpec(
        path=path,
        order=values.get("order", Order.OPAQUE),
        resume=resume,
        **values.pick("when", "by", "rewind", "invalid", count_gaps="gaps"),
    )


CURSOR = Object(
    "cursor",
    (
        Key("path", PATH, "where a message has it", "meta.id"),
        Key("order", Choice({each.value: each for each in Order}), "number: the highest; opaque: the last", "opaque"),
        Key("when", CONDITIONS, "what a message has whose cursor counts"),
        Key("by", PATHS, "a cursor for each of these values, for gaps alone"),
        Key("gaps", Choice({"none": False, "count": True}), "count: numbers grow by one", "none"),
        Key("rewind", REWIND, "resume from a little earlier; needs an id"),
        Key("resume", RESUME, "how the source learns where to begin", "header Last-Event-ID, of meta.id"),
        Key("invalid", INVALID, "how the source says that the cursor is too old"),
    ),
    _make_cursor,
    _check_cursor,
)
