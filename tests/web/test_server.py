"""Health, reload, configuration, errors, headers, and who may switch."""

import html
import io
import json
import re
from collections.abc import Iterator

import pytest

from iris_exporter import logs
from iris_exporter.core import palette
from iris_exporter.core.failures import Failure
from iris_exporter.core.own_failures import PARTS
from iris_exporter.core.positions import Outcome
from iris_exporter.core.reasons import REASONS
from iris_exporter.core.status import State
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.version import VersionInfo
from tests.web.support import NOON, FakeCheckpoints, FakeContext, FakeControl, link, serving


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.setup("info", "logfmt", stream)
    yield stream
    logs.setup("error", "logfmt", io.StringIO())


async def test_health_readiness_and_configuration() -> None:
    context = FakeContext()
    async with serving(context) as get:
        assert (await get("/-/healthy")).status == 200
        assert (await get("/-/ready")).status == 200
        context.is_ready = False
        waiting = await get("/-/ready")
        assert (waiting.status, waiting.text) == (503, "iris-exporter is starting\n")
        assert (await get("/-/healthy")).status == 200
        config = await get("/config")
        assert (config.text, config.type) == ("streams:\n- name: main\n", "text/plain; charset=utf-8")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_reload_says_what_came_of_it(method: str) -> None:
    context = FakeContext()

    def broken() -> None:
        raise ConfigError([Problem("a.yaml", "stream.url", "x", "a URL"), Problem("a.yaml", "k", "1", "a duration")])

    async with serving(context) as get:
        assert (await get("/-/reload", method)).status == 200
        context.on_reload = broken
        answer = await get("/-/reload", method)
        assert answer.status == 400
        assert answer.text == (
            "the configuration was not changed:\n"
            "a.yaml: stream.url: got x, expected a URL\na.yaml: k: got 1, expected a duration\n"
        )
    assert context.reloads == 1


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/metrics", "GET,HEAD"),
        ("DELETE", "/-/healthy", "GET,HEAD"),
        ("GET", "/-/reload", "POST,PUT"),
        ("POST", "/config", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
        ("DELETE", "/api/v1/streams", "GET,HEAD"),
        ("POST", "/api/v1/streams/main/overview", "GET,HEAD"),
        ("GET", "/api/v1/streams/main/connect", "POST"),
    ],
)
async def test_a_wrong_method_names_the_right_ones(method: str, path: str, allow: str) -> None:
    context = FakeContext()
    async with serving(context) as get:
        answer = await get(path, method)
        assert answer.status == 405
        assert answer.headers["Allow"] == allow
        assert answer.type.startswith("application/json" if path.startswith("/api/") else "text/plain")
    assert context.reloads == 0
    assert not context.controls["main"].calls


@pytest.mark.parametrize("path", ["/", "/metrics", "/config", "/api/v1/streams", "/nope", "/api/v1/streams/nope"])
async def test_every_answer_has_the_headers_that_keep_browsers_honest(path: str) -> None:
    async with serving(FakeContext()) as get:
        headers = (await get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Server"] == "iris-exporter"


async def test_what_is_not_there_is_a_404() -> None:
    async with serving(FakeContext()) as get:
        assert (await get("/nope")).text == "404 Not Found\n"
        assert (await get("/api/v1/nope")).text == '{"error":"Not Found"}\n'


async def test_a_handler_that_fails_is_one_line_in_the_log_and_no_traceback(log: io.StringIO) -> None:
    context = FakeContext()

    def fail() -> None:
        raise RuntimeError("all wrong")

    context.on_reload = fail
    async with serving(context) as get:
        answer = await get("/-/reload", "POST")
        assert (answer.status, answer.text) == (500, "500 internal error; the log says more\n")
        assert "iris_exporter_http_errors_total 1.0" in (await get("/metrics")).text
    lines = log.getvalue().splitlines()
    assert len(lines) == 1
    assert 'event=request.failed method=POST path=/-/reload error="RuntimeError: all wrong"' in lines[0]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://{host}"}, True),
        ({"Origin": "https://{host}"}, True),
        ({"Origin": "http://evil.test"}, False),
        ({"Origin": "http://{host}.evil.test"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://[broken"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.test"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://{host}"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://{host}"}, False),
    ],
)
async def test_only_our_own_pages_may_change_something(headers: dict[str, str], allowed: bool) -> None:
    context = FakeContext()
    async with serving(context) as get:
        host = get.base.removeprefix("http://")
        sent = {name: value.replace("{host}", host) for name, value in headers.items()}
        assert (await get("/-/reload", "POST", **sent)).status == (200 if allowed else 403)
        answer = await get("/api/v1/streams/main/disconnect", "POST", **sent)
        assert answer.status == (200 if allowed else 403)
        assert (await get("/api/v1/streams", "GET", **sent)).status == 200
    assert context.reloads == int(allowed)
    assert context.controls["main"].calls == ["disconnect"] * allowed


async def test_the_page_names_version_and_streams_and_links_to_the_rest() -> None:
    context = FakeContext()
    main = context.controls["main"]
    main.link = link(
        State.CONNECTING, attempt=3, next_attempt_at=NOON, failure=Failure("dns", "no such host"),
        failing_since=NOON - 60, last_failure_at=NOON - 2, state_changed_at=NOON - 30,
    )  # fmt: skip
    async with serving(context, telemetry_path="/custom/metrics") as get:
        page = await get("/")
        assert page.type == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for target in re.findall(r'href="([^"]+)"', page.text):
            assert (await get(f"/{target}")).status == 200, target
        assert 'href="custom/metrics"' in page.text
        assert "Version 1.2.3, revision abc, Python 3.11.7" in page.text
        assert '<span class="badge connecting">Connecting (attempt 3)</span>' in page.text
        assert '<span class="badge live">Live</span>' in page.text
        assert '<span class="badge unreachable">Unreachable</span> dns: no such host' in page.text
        assert "The host name could not be resolved" in page.text
        assert "Check the host in the URL" in page.text
        shown = re.sub("</?time[^>]*>", "", page.text)
        assert "since 2023-11-14T22:12:50.000Z" in shown
        assert "next attempt 2023-11-14T22:13:20.000Z" in shown
        assert "Not as wished since 2023-11-14T22:12:20.000Z, last failure 2023-11-14T22:13:18.000Z" in shown
        assert re.findall("<script[^>]*>", page.text) == ['<script src="page.js" defer>']
        assert (await get("/page.js")).type.startswith("text/javascript")
        assert "http" not in re.sub(r"http://iris\.test|http-equiv", "", page.text)


@pytest.mark.parametrize("state", State)
async def test_each_state_has_its_colour_beside_its_name(state: State) -> None:
    context = FakeContext()
    context.controls = {"main": FakeControl()}
    context.controls["main"].link = link(state)
    async with serving(context) as get:
        page = (await get("/")).text
    assert f'<span class="badge {state}">{state.value.capitalize()}</span>' in page
    assert f".{state} {{ background: {palette.STATES[state]}; color: " in page
    assert "Not as wished" not in page


@pytest.mark.parametrize("reason", [*REASONS, "nobody knows it"])
async def test_each_reason_is_explained_in_words(reason: str) -> None:
    context = FakeContext()
    context.controls = {"main": FakeControl()}
    context.controls["main"].link = link(
        State.ERROR, failure=Failure(reason, "a detail"), failing_since=NOON, last_failure_at=NOON
    )
    async with serving(context) as get:
        page = (await get("/")).text
    known = REASONS.get(reason) or REASONS["other"]
    words = known.failure_class.capitalize()
    assert f'<span class="badge {known.failure_class}">{words}</span> {reason}: a detail' in page
    assert f".{known.failure_class} {{ background: {palette.CLASSES[known.failure_class]}; color: " in page
    shown = html.unescape(re.sub("</?code>", "`", page))
    assert known.meaning[1:] in shown
    assert known.advice in shown


async def test_the_page_and_the_api_name_what_is_in_use_of_a_subscription() -> None:
    context = FakeContext()
    granted = {"encoding": "protobuf", "compression": "deflate", "extensions": frozenset({"delta", "batch"})}
    context.controls["main"].link = link(State.LIVE, protocol="websocket", **granted)
    async with serving(context) as get:
        assert "websocket, protobuf, deflate, batch, delta" in (await get("/")).text
        found = json.loads((await get("/api/v1/streams/main")).body)
        assert (found["encoding"], found["compression"], found["extensions"]) == (
            "protobuf", "deflate", ["batch", "delta"],
        )  # fmt: skip
        context.controls["main"].link = link(State.LIVE, protocol="websocket", encoding="json")
        page = (await get("/")).text
        assert "websocket, " not in page, "plain JSON is not worth a word"


async def test_nothing_that_a_source_says_becomes_markup() -> None:
    context = FakeContext()
    main = context.controls["main"]
    main.name = "a\"><script>alert('x')</script>"
    main.url = "http://iris.test/?a=<b>&c=\"d'"
    main.link = link(State.ERROR, protocol="<i>", failure=Failure("other", "<img src=x onerror=alert(1)>"))
    async with serving(context) as get:
        answer = await get("/")
        assert answer.status == 200
        page = answer.text
        page = page.replace('<script src="page.js" defer></script>', "")
        for bad in ("<script", "<img", "<i>", "<b>", '"d'):
            assert bad not in page


async def test_the_page_says_what_of_the_exporter_fails() -> None:
    context = FakeContext()
    async with serving(context) as get:
        assert "Problems of the exporter" not in (await get("/")).text
        for part in PARTS:
            context.exposition.self_metrics.report(part, "disk_full")
        page = (await get("/")).text
        assert page.count("<li>") == len(PARTS)
        assert "Cursors cannot be written to <code>--state.dir</code>: a restart would count events again." in page
        assert "<code>state</code>, disk_full: there is no room left, or a quota is used up" in page
        for part in PARTS:
            context.exposition.self_metrics.report(part, None)
        assert "Problems of the exporter" not in (await get("/")).text


async def test_a_button_leads_back_to_the_page_and_a_program_gets_the_stream() -> None:
    context = FakeContext()
    async with serving(context) as get:
        forms = re.findall(r'<form method="post" action="([^"]+)">', (await get("/")).text)
        assert len(forms) == 6
        browser = await get("/" + forms[0], "POST", Accept="text/html,*/*;q=0.8", Sec_Fetch_Site="same-origin")
        assert (browser.status, browser.headers["Location"]) == (303, "../../../../#stream-main")
        assert (await get("/" + forms[0], "POST", Accept="*/*")).status == 200
    assert context.controls["main"].calls == ["connect", "connect"]


async def test_with_the_telemetry_path_at_the_root_there_is_no_page() -> None:
    context = FakeContext()
    async with serving(context, telemetry_path="/") as get:
        assert (await get("/")).text.startswith("# HELP iris_up")


async def test_what_is_not_known_or_not_in_use_is_not_on_the_page() -> None:
    context = FakeContext()
    context.version = VersionInfo("1.2.3", "unknown", "3.11.7")
    context.controls["main"].link = link(State.DISCONNECTED, protocol="none")
    async with serving(context) as get:
        page = (await get("/")).text
    assert "Version 1.2.3, Python 3.11.7" in page
    assert "<small>none" not in page


@pytest.mark.parametrize("outcome", Outcome)
async def test_every_outcome_of_a_resume_is_on_the_page(outcome: Outcome) -> None:
    context = FakeContext()
    context.controls["main"].last_resume = outcome
    async with serving(context) as get:
        answer = await get("/")
    assert answer.status == 200
    assert f"<dd>{outcome.value}: " in answer.text


async def test_a_page_without_streams_says_so() -> None:
    context = FakeContext()
    context.controls = {}
    async with serving(context) as get:
        assert "No stream is configured." in (await get("/")).text


async def test_the_page_warns_when_the_state_is_never_kept() -> None:
    context = FakeContext()
    async with serving(context) as get:
        assert "Warning:" not in (await get("/")).text
        context.checkpoints = FakeCheckpoints("nothing was <written>")
        assert "<strong>Warning:</strong> nothing was &lt;written&gt;</p>" in (await get("/")).text
