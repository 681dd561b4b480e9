"""The page in a browser: it moves by itself, fits phones and desks, light and dark, and can be read without script."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from iris_exporter.backend.objects import Event
from iris_exporter.backend.server import Backend
from iris_exporter.backend.service import BackendSettings
from tests.integration.chromium import Page, chromium
from tests.integration.harness import sidecar
from tests.integration.programs import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.needs("chromium")]
TEXT = "(() => document.body.innerText)"


async def shows(page: Page, pattern: str) -> None:
    """Wait until the text of the page has this."""

    async def check() -> bool:
        return re.search(pattern, await page.call(TEXT)) is not None

    await wait_until(check, f"the page shows {pattern}", 20)


def publish(backend: Backend, *ids: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    backend.service.publish([Event(name, now, "p", "run", "critical", f"text of {name} <b>", {}) for name in ids])


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (390, "light"), (1280, "dark")])
async def test_the_page_moves_by_itself(width: int, scheme: str, tmp_path: Path) -> None:
    async with (
        Backend(BackendSettings(port=0, rate=0)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream/events") as exporter,
        chromium(tmp_path) as browser,
    ):
        await exporter.reaches("live")
        said: list[dict[str, Any]] = []
        page = await browser.page(f"{exporter.url}/", said.append)
        await page.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        await page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await shows(page, r"Live[\s\S]*\d+ s ago[\s\S]*messages/s")
        publish(backend, *(f"e{number}" for number in range(12)))
        await shows(page, r"critical p run: text of e11 <b> \d+ s ago")
        events = await page.call("(() => document.querySelectorAll('.event').length)")
        assert events == 10
        wide = await page.call("(() => document.documentElement.scrollWidth - innerWidth)")
        assert wide <= 0
        back = await page.call("(() => getComputedStyle(document.body).backgroundColor)")
        assert (back == "rgb(255, 255, 255)") == (scheme == "light")
        await exporter.post("/api/v1/streams/default/disconnect")
        await shows(page, "Disconnected")
        assert page.complaints == []


async def test_an_attempt_is_counted_down_and_its_reason_is_in_words(tmp_path: Path) -> None:
    async with sidecar("--stream.url=http://127.0.0.1:9/api/stream/events") as exporter, chromium(tmp_path) as browser:
        page = await browser.page(f"{exporter.url}/", lambda _: None)
        await shows(page, r"next attempt in \d+ s")
        await shows(page, r"connection_refused")
        assert page.complaints == []


LINKS = (
    "(() => [...document.querySelectorAll('.links a')].map((a) => "
    "[a.href, a.textContent, a.getBoundingClientRect().right <= innerWidth, a.getBoundingClientRect().height > 0]))"
)
CONTRAST = """(() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number).map(channel)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const [a, b] = [document.querySelector('.links a'), document.body].map((each) => getComputedStyle(each));
  const [one, other] = [light(a.color), light(b.backgroundColor)].sort((x, y) => y - x);
  return (one + 0.05) / (other + 0.05);
})"""
OUTSIDE = (
    "--web.grafana-url=https://grafana.example.com/g",
    "--web.runbook-base-url=https://wiki.example.com/runbooks",
)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (390, "light"), (1280, "dark")])
async def test_links_to_dashboards_and_runbooks(width: int, scheme: str, tmp_path: Path) -> None:
    """They are there, can be read and reached, and the runbook changes with what is wrong."""
    async with (
        Backend(BackendSettings(port=0, rate=0)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream/events", *OUTSIDE) as exporter,
        chromium(tmp_path) as browser,
    ):
        await exporter.reaches("live")
        page = await browser.page(f"{exporter.url}/", lambda _: None)
        await page.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        await page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await shows(page, r"Live[\s\S]*messages/s")
        grafana = "https://grafana.example.com/g/d"
        dashboards = [
            [f"{grafana}/iris-overview", "Overview", True, True],
            [f"{grafana}/iris-exporter", "Exporter", True, True],
            [f"{grafana}/iris-overview?var-stream=default", "Overview", True, True],
            [f"{grafana}/iris-connection?var-stream=default", "Connection", True, True],
            [f"{grafana}/iris-project?var-stream=default", "Projects", True, True],
        ]
        assert await page.call(LINKS) == dashboards
        assert await page.call(CONTRAST) >= 4.5
        await exporter.post("/api/v1/streams/default/disconnect")
        await shows(page, "Runbook: IrisStreamDisconnected")
        runbook = ["https://wiki.example.com/runbooks#irisstreamdisconnected", "IrisStreamDisconnected", True, True]
        assert sorted(await page.call(LINKS)) == sorted([*dashboards, runbook])
        assert await page.call("(() => document.documentElement.scrollWidth - innerWidth)") <= 0
        assert page.complaints == []


async def test_links_are_there_without_script(tmp_path: Path) -> None:
    async with (
        sidecar("--stream.url=http://127.0.0.1:9/api/stream/events", *OUTSIDE) as exporter,
        chromium(tmp_path) as browser,
    ):
        page = await browser.page("about:blank", lambda _: None)
        await page.ask("Emulation.setScriptExecutionDisabled", value=True)
        await page.ask("Page.navigate", url=f"{exporter.url}/")

        async def links() -> bool:
            words = str(await page.ask("DOM.getDocument", depth=-1))
            return "runbooks#irisstreamdown" in words and "iris-connection?var-stream=default" in words

        await wait_until(links, "the page shows the links", 10)


async def test_the_page_can_be_read_without_script(tmp_path: Path) -> None:
    async with (
        Backend(BackendSettings(port=0, rate=0)) as backend,
        sidecar(f"--stream.url={backend.url}/api/stream/events") as exporter,
        chromium(tmp_path) as browser,
    ):
        await exporter.reaches("live")
        publish(backend, "e0")
        await exporter.counts("iris_events_total", 1)
        page = await browser.page("about:blank", lambda _: None)
        await page.ask("Emulation.setScriptExecutionDisabled", value=True)
        await page.ask("Page.navigate", url=f"{exporter.url}/")

        async def text() -> bool:
            document = await page.ask("DOM.getDocument", depth=-1)
            words = str(document)
            return "text of e0" in words and "Live" in words and "messages so far" in words

        await wait_until(text, "the page shows the stream", 10)
