"""The log lines: form, escaping, redaction, limits, and records of libraries."""

import io
import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from iris_exporter import logs
from iris_exporter.core.log_limits import LINES_PER_KIND, LibraryMessages
from iris_exporter.core.redaction import Redactor


class FakeClock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def untouched_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test its own secrets, and the process its logging back."""
    root, ours, hook = logging.getLogger(), logging.getLogger("iris_exporter"), threading.excepthook
    levels = root.level, ours.level
    monkeypatch.setattr(logs, "_redactor", Redactor())
    yield
    for handler in list(root.handlers):
        if isinstance(handler, logs._Handler):
            root.removeHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(capture=False)
    threading.excepthook = hook


def lines(level: str = "info", log_format: str = "logfmt") -> io.StringIO:
    stream = io.StringIO()
    logs.setup(level, log_format, stream)
    return stream


def body(stream: io.StringIO) -> str:
    """The only line, without its timestamp."""
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text.rstrip("\n").split(" ", 1)[1]


def test_a_line_has_time_level_logger_event_and_fields_in_order() -> None:
    stream = lines()
    logs.get_logger("iris_exporter.transports.supervisor").info("reconnect.scheduled", stream="a", delay_seconds=1.6)
    assert re.fullmatch(
        r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info logger=transports.supervisor "
        r"event=reconnect.scheduled stream=a delay_seconds=1.6\n",
        stream.getvalue(),
    )


def test_json_keeps_numbers_and_booleans() -> None:
    stream = lines(log_format="json")
    logs.get_logger("app").warning("x", count=3, ratio=0.30000000000000004, yes=True, text='a "b"\n', bad=float("nan"))
    line = json.loads(stream.getvalue())
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "warn", "logger": "app", "event": "x",
        "count": 3, "ratio": 0.3, "yes": True, "text": 'a "b"\n', "bad": "nan",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("wss://h:1/p", "wss://h:1/p"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("one\ntwo\r\tlevel=error", '"one\\ntwo\\r\\tlevel=error"'),
        ("\x1b[31mred\x00", '"\\u001b[31mred\\u0000"'),
        ("\u202eevil", '"\\u202eevil"'),
        ("\udc80", '"\\udc80"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("Zürich", "Zürich"),
        (True, "true"),
        (1.6000000000000001, "1.6"),
        (float("inf"), "inf"),
        (1, "1"),
        (b"ab\xff", "ab\ufffd"),
        (Path("/etc/x"), "/etc/x"),
        (["a", 1], '"[\\"a\\", 1]"'),
        ({"k": Path("/p")}, '"{\\"k\\": \\"/p\\"}"'),
        ({"b", "a"}, '"[\\"a\\", \\"b\\"]"'),
        (ValueError("no good"), '"ValueError: no good"'),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_values_never_break_out_of_their_field(value: object, written: str) -> None:
    stream = lines()
    logs.get_logger("t").info("e", value=value)
    assert body(stream) == f"level=info logger=t event=e value={written}"


def test_long_values_are_cut_and_say_so() -> None:
    stream = lines()
    logs.get_logger("t").info("e", value="x" * 5000)
    assert body(stream).endswith('x...(4000 more characters)"')
    assert len(body(stream)) < 1100


def test_none_is_left_out_and_reserved_names_keep_their_meaning() -> None:
    stream = lines()
    logs.get_logger("t").info("e", a=None, level="mine", event="other")
    assert body(stream) == "level=info logger=t event=e level_=mine event_=other"


@pytest.mark.parametrize(("level", "written"), [("debug", "dwie"), ("info", "wie"), ("warn", "we"), ("error", "e")])
def test_levels_below_the_chosen_one_are_silent(level: str, written: str) -> None:
    stream = lines(level)
    log = logs.get_logger("t")
    for write in (log.debug, log.warning, log.info, log.error):
        write(write.__name__)
    assert "".join(re.findall(r"event=(\w)", stream.getvalue())) == written


def test_setup_again_replaces_the_first() -> None:
    first = lines()
    second = lines(log_format="json")
    logs.get_logger("t").info("e")
    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


@pytest.mark.parametrize("log_format", logs.FORMATS)
@pytest.mark.parametrize("secret", ["s3cret-key", 'qu"ote\\d', "pa ss/w?rd&", "ключ-тайный"])
def test_a_secret_appears_in_no_spelling(secret: str, log_format: str) -> None:
    logs.protect(secret)
    stream = lines("debug", log_format)
    log = logs.get_logger("t")
    error = ValueError(f"bad header {secret!r}")
    log.error("e", error=error, plain=secret, nested={"k": [secret]}, url=f"http://h/?k={quote(secret, safe='')}")
    log.info("e", plus=quote_plus(secret), bytes=secret.encode(), long="x" * 995 + secret)
    logging.getLogger("aiohttp.client").warning("sent %s", secret)
    logging.getLogger("asyncio").error("sent %r", {"key": secret}, exc_info=RuntimeError(secret))
    text = stream.getvalue()
    if log_format == "json":
        text = "\n".join(f"{key} {value}" for line in text.splitlines() for key, value in json.loads(line).items())
    for spelling in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert spelling not in text
    assert text.count("<redacted>") >= 7


def test_a_secret_inside_another_leaves_nothing_behind() -> None:
    redactor = Redactor()
    redactor.protect("abc")
    redactor.protect("abcdef")
    redactor.protect("")
    assert redactor.redact("x abcdef abc y") == "x <redacted> <redacted> y"


def test_a_secret_made_of_digits_is_hidden_as_a_number() -> None:
    logs.protect("12345678")
    stream = lines(log_format="json")
    logs.get_logger("t").info("e", value=12345678)
    assert json.loads(stream.getvalue())["value"] == "<redacted>"


def test_redact_serves_text_outside_the_log() -> None:
    logs.protect("s3cret")
    assert logs.redact("key s3cret.") == "key <redacted>."


def test_libraries_share_the_format_and_are_held_to_warnings() -> None:
    stream = lines()
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("aiohttp.server").error("Error\nhandling %s", "request")
    assert body(stream) == 'level=error logger=aiohttp.server event=library.message message="Error\\nhandling request"'


def test_a_traceback_is_one_field_and_only_at_debug() -> None:
    for level, expected in (("info", False), ("debug", True)):
        stream = lines(level)
        try:
            raise KeyError("boom")  # noqa: TRY301
        except KeyError as error:
            logs.get_logger("t").error("e", error=error)
            logging.getLogger("asyncio").exception("callback failed")
        assert stream.getvalue().count("\n") == 2
        assert stream.getvalue().count("Traceback") == (2 if expected else 0)
        assert stream.getvalue().count("KeyError: 'boom'") >= 2


def test_python_warnings_are_log_lines() -> None:
    stream = lines()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "logger=py.warnings" in body(stream)
    assert "old thing" in body(stream)


def test_a_dead_thread_is_one_line() -> None:
    stream = lines()

    def die() -> None:
        raise OSError("gone")

    thread = threading.Thread(target=die, name="worker")
    thread.start()
    thread.join()
    assert body(stream) == 'level=error logger=threads event=thread.failed thread=worker error="OSError: gone"'


def test_a_closed_stderr_is_survived(capsys: pytest.CaptureFixture[str]) -> None:
    stream = lines()
    stream.close()
    logs.get_logger("t").error("e")
    assert capsys.readouterr().err == ""


def test_limited_lines_say_how_many_are_missing() -> None:
    stream = lines()
    clock = FakeClock()
    log = logs.get_logger("t").limited(2, clock)
    for _ in range(5):
        log.warning("decode.failed")
    log.warning("other")
    clock.now += 59.9
    log.warning("decode.failed")
    clock.now += 0.2
    log.warning("decode.failed", path="$")
    log.warning("decode.failed")
    written = [line.split("event=")[1] for line in stream.getvalue().splitlines()]
    assert written == [
        "decode.failed", "decode.failed", "other", "decode.failed path=$ suppressed=4", "decode.failed",
    ]  # fmt: skip


def test_an_event_below_the_level_is_not_counted_as_suppressed() -> None:
    stream = lines("warn")
    clock = FakeClock()
    log = logs.get_logger("t").limited(1, clock)
    log.info("e")
    log.info("e")
    log.warning("e")
    assert body(stream) == "level=warn logger=t event=e"


# Libraries


def test_a_flood_of_a_library_is_limited_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_libraries", LibraryMessages())
    stream = lines()
    before = logs.library_messages()["asyncio"]
    for descriptor in range(500):
        logging.getLogger("asyncio").error("socket.accept() out of system resource\nsocket: <fd=%d>", descriptor)
    assert stream.getvalue().count("\n") == LINES_PER_KIND
    assert logs.library_messages()["asyncio"] - before == 500


def test_a_client_that_resets_its_connection_is_seen_at_debug_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_libraries", LibraryMessages())
    for level, expected in (("info", ""), ("debug", "level=debug")):
        stream = lines(level)
        gone = ConnectionResetError("Cannot write to closing transport")
        logging.getLogger("aiohttp.server").error("Error handling request from %s", "1.2.3.4", exc_info=gone)
        assert expected in stream.getvalue()
        assert bool(stream.getvalue()) == bool(expected)


def test_an_error_in_a_destructor_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_libraries", LibraryMessages())

    class Breaks:
        def __del__(self) -> None:
            raise ZeroDivisionError("boom")

    stream = lines()
    Breaks()
    assert "logger=python event=library.message" in stream.getvalue()
    assert 'error="ZeroDivisionError: boom"' in stream.getvalue()


def test_arguments_that_do_not_fit_a_librarys_message_are_no_reason_to_lose_it() -> None:
    stream = lines()
    # Not through a logger: pytest's own handler would fail at it.
    record = logging.makeLogRecord({"name": "urllib3", "levelno": 30, "msg": "%d things", "args": ("many",)})
    (ours,) = [handler for handler in logging.getLogger().handlers if isinstance(handler, logs._Handler)]
    ours.handle(record)
    assert 'message="%d things"' in stream.getvalue()
