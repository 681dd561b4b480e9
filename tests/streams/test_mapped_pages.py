"""A polled source of several pages: a poll counts as a whole, so that no page moves the cursor past another one."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from iris_exporter.core.status import Counted, State
from iris_exporter.instruments import catalog
from iris_exporter.mapping.spec import Mapping
from iris_exporter.persistence.cursor_store import CursorRecord
from iris_exporter.streams.stream import Stream
from tests.streams.test_mapped_link import counted, counts, following, mapping
from tests.transports.support import Server, serve
from tests.waiting import until

PER_PAGE = 2
EVENTS = 9
MAPPING = """\
poll: {pages: link, max-pages: MOST}
cursor: {path: $.to, order: ORDER, REWINDresume: {query: {since: "${cursor}"}}}
messages:
  - {kind: refusal, when: {$.error: true}, role: error, error: {as: rate_limited}}
  - kind: page
    when: {$.to: {exists: true}}
    parts:
      - each: $.events[*]
        id: "@.id"
        metrics:
          - {name: events_total, type: counter, help: Events.}
          - {name: last, type: gauge, help: The last one., value: "@.n"}
"""
NUMBER, REWOUND, POSITION = ("number", ""), ("number", "rewind: {by: 3}, "), ("position", "")


def paged(directory: Path, cursor: tuple[str, str] = NUMBER, most: int = 9) -> Mapping:
    order, rewind = cursor
    return mapping(directory, MAPPING.replace("ORDER", order).replace("REWIND", rewind).replace("MOST", str(most)))


@dataclass
class Pages:
    """The events 1 to `last` behind `since`, by pages; `broken` is what the page of this number is answered by."""

    newest_first: bool = True
    is_position: bool = False
    last: int = PER_PAGE
    broken: dict[int, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    server: Server | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        self.asked.append(number)
        match self.broken.get(number):
            case "status":
                raise web.HTTPServiceUnavailable
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "strange":
                return web.json_response({"nothing": "known"})
            case "refusal":
                return web.json_response({"error": True})
            case "text":
                return web.Response(text="{", content_type="application/json")
        since = request.query.get("since", "0").rpartition("-")[2]
        left = list(range(int(since) + 1, self.last + 1))
        if self.newest_first:
            left.reverse()
        pages = [left[start : start + PER_PAGE] for start in range(0, len(left), PER_PAGE)] or [[]]
        page = pages[number - 1]
        to = str(max(page, default=since))
        body = {"to": f"e-{to}" if self.is_position else to, "events": [{"id": f"e{n}", "n": n} for n in page]}
        headers = {"Link": f'<?page={number + 1}&since={since}>; rel="next"'} if number < len(pages) else {}
        return web.json_response(body, headers=headers)


def record_of(stream: Stream) -> CursorRecord:
    """What a checkpoint would keep now."""
    return stream.pending_record().build()


OFTEN = {"protocol": "poll", "poll_interval_seconds": 0.01}


@pytest.mark.parametrize("cursor", [NUMBER, REWOUND, POSITION], ids=["number", "rewound", "position"])
@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("way", ["status", "cut", "strange", "refusal", "text"])
async def test_of_a_poll_that_fails_at_any_page_nothing_counts_and_nothing_is_lost(
    way: str, newest_first: bool, cursor: tuple[str, str], tmp_path: Path
) -> None:
    mapped = paged(tmp_path, cursor)
    for broken in (2, 3, 4):
        source = Pages(newest_first, cursor is POSITION)
        async with serve(source.handle) as at, following(mapped, at.url, **OFTEN) as stream:
            await until(lambda: counted(stream) == PER_PAGE)
            source.broken, source.last = {broken: way}, EVENTS
            source.asked.clear()
            await until(lambda: source.asked.count(broken) >= 3)  # noqa: B023
            assert counted(stream) == PER_PAGE
            source.broken = {}
            await until(lambda: counted(stream) >= EVENTS and stream.status().state is State.POLLING)
            assert counted(stream) == EVENTS
            assert counts(stream, catalog.EVENT_GAPS) == {}
            assert stream.instruments.mapped is not None
            assert stream.instruments.mapped.holds is stream.instruments.mapped.guarantee


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
async def test_a_process_that_ends_between_two_pages_leaves_all_of_them_to_the_next_one(
    newest_first: bool, tmp_path: Path
) -> None:
    """Whatever a scrape would have committed at the time of each request."""
    mapped = paged(tmp_path)
    source = Pages(newest_first)
    records: list[tuple[float, CursorRecord]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if source.last == EVENTS:
            records.append((counted(stream), record_of(stream)))
        return await source.handle(request)

    async with serve(handle) as at, following(mapped, at.url, **OFTEN) as stream:
        await until(lambda: counted(stream) == PER_PAGE)
        source.last = EVENTS
        await until(lambda: counted(stream) == EVENTS)
    assert len(records) >= 4  # the requests of the poll that had four pages, and others
    for shown, record in records:
        source = Pages(newest_first, last=EVENTS)
        async with serve(source.handle) as at, following(mapped, at.url, record, **OFTEN) as stream:
            await until(lambda: len(source.asked) > 4 or counted(stream) + shown == EVENTS)  # noqa: B023
            assert counted(stream) + shown == EVENTS


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
async def test_pages_beyond_the_most_are_asked_for_by_the_next_poll_or_said_to_be_lost(
    newest_first: bool, tmp_path: Path
) -> None:
    """Where the newest come first, what is left out lies before the cursor."""
    source = Pages(newest_first, last=EVENTS)
    mapped = paged(tmp_path, REWOUND)
    async with serve(source.handle) as at, following(mapped, at.url, **OFTEN) as stream:
        await until(lambda: counted(stream) == EVENTS)
    record = record_of(stream)
    source.last, mapped = EVENTS + 9, paged(tmp_path, REWOUND, most=3)
    async with serve(source.handle) as at, following(mapped, at.url, record, **OFTEN) as stream:
        await until(lambda: counted(stream) >= (6 if newest_first else 9))
        assert counted(stream) == (6 if newest_first else 9)
        assert stream.instruments.mapped is not None
        held = Counted.AT_MOST_ONCE if newest_first else Counted.EXACTLY_ONCE
        assert stream.instruments.mapped.holds is held


async def test_all_pages_of_a_poll_together_are_one_body_for_the_limit(tmp_path: Path) -> None:
    """So that a poll takes as much memory as one answer may."""
    source = Pages(last=60)
    mapped = paged(tmp_path, most=99)
    async with serve(source.handle) as at, following(mapped, at.url, max_body_bytes=1024, **OFTEN) as stream:
        await until(lambda: counts(stream, catalog.POLL_FAILURES).get("message_too_large", 0) > 0)
        assert counted(stream) == 0
    async with serve(source.handle) as at, following(mapped, at.url, max_body_bytes=4096, **OFTEN) as stream:
        await until(lambda: counted(stream) == 60)


async def test_a_dial_that_finds_one_page_of_several_does_not_take_it_alone(tmp_path: Path) -> None:
    mapped = paged(tmp_path)
    source = Pages(last=EVENTS, broken={3: "status"})
    async with serve(source.handle) as at, following(mapped, at.url, poll_interval_seconds=0.01) as stream:
        await until(lambda: source.asked.count(3) >= 2)
        assert counted(stream) == 0
        source.broken = {}
        await until(lambda: counted(stream) == EVENTS)
