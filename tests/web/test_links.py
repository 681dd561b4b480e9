"""The page's links to dashboards and runbooks: only where their addresses are configured, and only to the web."""

import html
import re
from html.parser import HTMLParser

import pytest

from iris_exporter import config
from iris_exporter.core.failures import Failure
from iris_exporter.core.status import State
from iris_exporter.errors import ConfigError
from iris_exporter.model.snapshot import DataFlow
from iris_exporter.web.links import Links
from tests.web.support import NOON, FakeContext, link, picture, serving

GRAFANA, RUNBOOKS = "https://grafana.example.com/team/", "https://wiki.example.com/iris/runbooks"
BOTH = {"grafana_url": GRAFANA, "runbook_base_url": RUNBOOKS}


class Anchors(HTMLParser):
    """The addresses and words of all links that lead to another host."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._url = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        url = attributes.get("href") or ""
        self._url = url if tag == "a" and "://" in url else ""
        assert not self._url or attributes.get("rel") == "noreferrer"

    def handle_data(self, data: str) -> None:
        if self._url:
            self.found.append((self._url, data))

    def handle_endtag(self, _: str) -> None:
        self._url = ""


async def links_of(context: FakeContext, **settings: str) -> list[tuple[str, str]]:
    async with serving(context, **settings) as get:
        return Anchors((await get("/")).text).found


async def test_without_addresses_there_are_no_links() -> None:
    context = FakeContext()
    context.controls["main"].link = link(State.ERROR, failure=Failure("unauthorized"), failing_since=NOON)
    assert await links_of(context) == []


async def test_dashboards_of_everything_and_of_each_stream() -> None:
    links = await links_of(FakeContext(), grafana_url=GRAFANA)
    base = "https://grafana.example.com/team/d"
    assert links == [
        (f"{base}/iris-overview", "Overview"),
        (f"{base}/iris-exporter", "Exporter"),
        *(
            (f"{base}/{uid}?var-stream={name}", title)
            for name in ("main", "other")
            for uid, title in (
                ("iris-overview", "Overview"),
                ("iris-connection", "Connection"),
                ("iris-project", "Projects"),
            )
        ),
    ]


@pytest.mark.parametrize(
    ("state", "reason", "alert"),
    [
        (State.ERROR, "unauthorized", "IrisStreamUnauthorized"),
        (State.ERROR, "not_found", "IrisStreamError"),
        (State.CONNECTING, "connection_refused", "IrisStreamDown"),
        (State.POLLING, "upgrade_refused", "IrisStreamPolling"),
        (State.ERROR, "rate_limited", "IrisUpstreamRateLimiting"),
        (State.DISCONNECTED, "requested", "IrisStreamDisconnected"),
    ],
)
async def test_the_runbook_of_the_failure(state: State, reason: str, alert: str) -> None:
    context = FakeContext()
    context.controls["main"].link = link(state, failure=Failure(reason), failing_since=NOON)
    assert await links_of(context, runbook_base_url=RUNBOOKS) == [(f"{RUNBOOKS}#{alert.lower()}", alert)]


async def test_a_silent_stream_has_a_runbook_and_a_healthy_one_none() -> None:
    context = FakeContext()
    context.controls["main"].picture = picture(flow=DataFlow.SILENT)
    (found,) = await links_of(context, runbook_base_url=RUNBOOKS)
    assert found == (f"{RUNBOOKS}#irisstreamdatastale", "IrisStreamDataStale")


async def test_what_of_the_exporter_fails_has_its_runbook() -> None:
    context = FakeContext()
    context.exposition.self_metrics.report("state", "disk_full")
    assert await links_of(context, runbook_base_url=RUNBOOKS) == [
        (f"{RUNBOOKS}#irisexporterstatenotsaved", "IrisExporterStateNotSaved")
    ]


def test_whatever_a_name_is_it_stays_one_value() -> None:
    ((overview, _), *_) = Links(GRAFANA).dashboards("a&var-job=x#/ü")
    assert overview.endswith("/d/iris-overview?var-stream=a%26var-job%3Dx%23%2F%C3%BC")


async def test_an_address_is_escaped() -> None:
    async with serving(FakeContext(), grafana_url="https://g.example/\"><script>alert('x')</script>") as get:
        page = (await get("/")).text
    assert "<script>alert" not in page
    assert html.escape("https://g.example/\"><script>alert('x')</script>/d/iris-overview") in page
    assert len(re.findall("<script", page)) == 1


@pytest.mark.parametrize("option", ["web.grafana-url", "web.runbook-base-url"])
@pytest.mark.parametrize(
    "address",
    [
        *("javascript:alert(1)", "JavaScript://x/%0aalert(1)", "data:text/html,x", "ftp://g.example", "//g.example"),
        *("/d", "g.example", "https://user:secret@g.example", "https://g.example?token=x", "https://g.example#x"),
        *("https://", "https://g.example/ x", "https://g.example/\u00fc", "https://g.example/\nx", "java\tscript:x"),
    ],
)
def test_only_addresses_of_the_web_are_taken(option: str, address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load({"stream.url": "http://iris.example/", option: address}, {})
    assert option in str(caught.value)
    assert "secret" not in str(caught.value)
