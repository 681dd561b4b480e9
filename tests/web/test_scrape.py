"""The telemetry path over a real socket."""

import asyncio
import gzip
import time
from collections.abc import Collection, Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from iris_exporter.decoding.messages import Project
from iris_exporter.instruments.text import Format
from iris_exporter.web import scrape
from tests.web.support import FakeContext, picture, serving


def many_projects(context: FakeContext, count: int = 1500) -> None:
    projects = tuple(Project(id=f"project-{n}", health_ratio=0.5, status="healthy") for n in range(count))
    context.controls["main"].picture = picture(projects=projects)


async def test_a_scrape_is_text_by_default_and_openmetrics_on_demand() -> None:
    async with serving(FakeContext()) as get:
        plain = await get("/metrics")
        assert plain.status == 200
        assert plain.type == "text/plain; version=0.0.4; charset=utf-8"
        assert {family.name for family in parse_text(plain.text)} > {"iris_up", "iris_stream_info", "iris_events"}
        open_metrics = await get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
        assert open_metrics.type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert open_metrics.text.endswith("# EOF\n")
        assert len(list(parse_openmetrics(open_metrics.text))) > 30
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Vary"] == "Accept, Accept-Encoding"


async def test_a_version_that_is_no_number_is_no_error() -> None:
    async with serving(FakeContext()) as get:
        answer = await get("/metrics", Accept="application/openmetrics-text;version=abc")
        assert (answer.status, answer.type) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.parametrize("projects", [1, 1500])
async def test_gzip_holds_the_same_bytes_small_and_large(projects: int) -> None:
    context = FakeContext()
    del context.controls["other"]
    many_projects(context, projects)
    name = "/metrics?name[]=iris_project_health_ratio&name[]=iris_project_status"
    async with serving(context) as get:
        plain = await get(name)
        packed = await get(name, Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert plain.body.count(b"\n") == 4 + 5 * projects
        assert len(packed.body) < len(plain.body)
        assert packed.headers["Content-Length"] == str(len(packed.body))


async def test_a_large_answer_without_compression_is_whole_and_has_a_length() -> None:
    context = FakeContext()
    many_projects(context, 3000)
    async with serving(context) as get:
        answer = await get("/metrics")
        assert len(answer.body) > 2 * scrape.PART_BYTES
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert len(list(parse_text(answer.text))) > 30


@pytest.mark.parametrize("projects", [1, 3000])
async def test_head_gives_the_headers_alone(projects: int) -> None:
    context = FakeContext()
    many_projects(context, projects)
    async with serving(context) as get:
        await get("/metrics")
        answer = await get("/metrics?name[]=iris_project_status", "HEAD")
        full = await get("/metrics?name[]=iris_project_status")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(len(full.body))
        assert answer.type == full.type


async def test_names_are_a_filter() -> None:
    async with serving(FakeContext()) as get:
        answer = await get("/metrics?name[]=iris_up&name%5B%5D=iris_projects")
        assert [line for line in answer.text.splitlines() if line[0] != "#"] == [
            'iris_up{stream="main"} 1.0',
            'iris_up{stream="other"} 1.0',
            'iris_projects{stream="main"} 2.0',
            'iris_projects{stream="other"} 2.0',
        ]
        assert (await get("/metrics?name[]=nothing")).body == b""


async def test_a_scrape_takes_turns_with_others_on_the_event_loop() -> None:
    """However slow the printing, nobody waits for more than one piece beyond the limit."""
    context = FakeContext()
    turns: list[int] = []

    def slow(form: Format, names: Collection[str] | None = None) -> Iterator[bytes]:
        for number in range(20):
            until = time.perf_counter() + 1.5 * scrape.BLOCKING_SECONDS
            while time.perf_counter() < until:
                pass
            turns.append(number)
            yield b"x 1\n"

    context.exposition.render = slow  # type: ignore[method-assign]
    between: list[int] = []

    async def other() -> None:
        while len(turns) < 20:
            between.append(len(turns))
            await asyncio.sleep(0)

    async with serving(context) as get:
        answer, _ = await asyncio.gather(get("/metrics"), other())
        assert answer.body == b"x 1\n" * 20
    assert set(range(1, 20)) <= set(between)


async def test_more_scrapes_than_allowed_are_refused_with_a_reason_and_counted() -> None:
    context = FakeContext()
    arrived, release = asyncio.Semaphore(0), asyncio.Event()
    original = context.exposition.render

    async def blocked(pieces: Iterator[bytes]) -> list[bytes]:
        arrived.release()
        await release.wait()
        return list(pieces)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scrape, "_take_turns", blocked)
        async with serving(context, max_requests=2) as get:
            under_way = [asyncio.create_task(get("/metrics")) for _ in range(2)]
            await arrived.acquire()
            await arrived.acquire()
            refused = await get("/metrics")
            assert refused.status == 503
            assert refused.text == "2 scrapes are under way and --web.max-requests is 2\n"
            assert refused.headers["Retry-After"] == "1"
            assert (await get("/-/healthy")).status == 200
            release.set()
            assert [(await task).status for task in under_way] == [200, 200]
            assert (await get("/metrics")).status == 200
    assert original
    printed = b"".join(context.exposition.render(Format.TEXT)).decode()
    assert "iris_exporter_scrapes_refused_total 1.0" in printed


async def test_one_client_leaves_places_to_others() -> None:
    context = FakeContext()
    arrived, release = asyncio.Semaphore(0), asyncio.Event()

    async def blocked(pieces: Iterator[bytes]) -> list[bytes]:
        arrived.release()
        await release.wait()
        return list(pieces)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scrape, "_take_turns", blocked)
        async with serving(context, max_requests=4) as get:
            under_way = [asyncio.create_task(get("/metrics")) for _ in range(3)]
            for _ in under_way:
                await arrived.acquire()
            refused = await get("/metrics")
            assert (refused.status, "of which one client may have 3" in refused.text) == (503, True)
            release.set()
            assert [(await task).status for task in under_way] == [200] * 3


async def test_no_limit_is_zero() -> None:
    context = FakeContext()
    async with serving(context, max_requests=0) as get:
        assert {answer.status for answer in await asyncio.gather(*(get("/metrics") for _ in range(9)))} == {200}


async def test_a_scrape_that_fails_is_a_500_without_a_traceback_and_gives_its_place_back() -> None:
    context = FakeContext()

    def broken(form: Format, names: Collection[str] | None = None) -> Iterator[bytes]:
        yield b"iris_up 1\n"
        raise RuntimeError("secret detail")

    original = context.exposition.render
    context.exposition.render = broken  # type: ignore[method-assign]
    async with serving(context, max_requests=1) as get:
        for _ in range(2):
            answer = await get("/metrics")
            assert (answer.status, answer.text) == (500, "500 internal error; the log says more\n")
        context.exposition.render = original  # type: ignore[method-assign]
        assert "iris_exporter_http_errors_total 2.0" in (await get("/metrics")).text


async def test_the_time_of_the_last_whole_scrape_is_shown() -> None:
    async with serving(FakeContext()) as get:
        assert "iris_exporter_scrape_duration_seconds" not in (await get("/metrics?name[]=iris_up")).text
        assert "iris_exporter_scrape_duration_seconds" not in (await get("/metrics")).text
        assert "iris_exporter_scrape_duration_seconds 0." in (await get("/metrics")).text


def test_parts_hold_everything_in_order() -> None:
    pieces = [bytes([65 + n]) * 100_000 for n in range(9)]
    joined = list(scrape.parts(pieces))
    assert b"".join(joined) == b"".join(pieces)
    assert all(len(part) >= scrape.PART_BYTES for part in joined[:-1])
    assert len(joined) == 3
