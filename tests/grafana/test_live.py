"""Grafana Live: what is pushed and when, on a fake clock; and that a slow or absent Grafana costs nothing."""

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from iris_exporter import config
from iris_exporter.clock import SystemClock
from iris_exporter.core.failures import Failure
from iris_exporter.core.status import LinkStatus, State
from iris_exporter.decoding.messages import Event, Metrics
from iris_exporter.grafana.live import MAX_EVENTS, LivePush, line
from iris_exporter.instruments import catalog
from iris_exporter.instruments.self_metrics import SelfMetrics
from iris_exporter.model.snapshot import Snapshot
from tests.fakes import FakeClock
from tests.instruments.support import link, picture
from tests.waiting import until

OFF = config.load({"stream.url": "http://h/x"}, {}).live


class Stream:
    def __init__(self) -> None:
        self.now: Snapshot = picture("s")
        self.link: LinkStatus = link()

    def status(self) -> LinkStatus:
        return self.link

    def snapshot(self) -> Snapshot:
        return self.now


class Bench:
    def __init__(self, url: str = "http://g", token: Path | None = None, **changes: object) -> None:
        self.stream, self.counts, self.clock = Stream(), SelfMetrics("1", "r", "3"), FakeClock()
        client = replace(OFF.client, url=url, api_key_file=token)
        self.settings = replace(OFF, client=client, **changes)  # type: ignore[arg-type]

    def push(self, session: object = None, clock: object = None) -> LivePush:
        return LivePush(
            self.settings,
            session,
            lambda: {"s": self.stream},
            self.counts,
            clock or self.clock,  # type: ignore[arg-type]
        )


def event(number: int, **changes: object) -> Event:
    return Event(id=f"e{number}", timestamp=1.5, project="p", event_type="info", message="m", **changes)  # type: ignore[arg-type]


async def test_changes_are_pushed_once_and_state_and_cards_now_and_then() -> None:
    bench = Bench()
    bench.stream.now = picture("s", metrics=Metrics(runs_today=4.0, success_ratio=0.5), events=(event(1),))
    live = bench.push()
    now = round(bench.clock.wall() * 1e9)
    assert live.collect() == [
        f'iris_state,stream=s state="live",protocol="sse",attempt=0i,up=true,reason="",rank=1i {now}',
        f"iris_cards,stream=s runs_today=4.0,success_ratio=0.5 {now}",
        'iris_event stream="s",severity="info",message="m",project="p",event_type="info",id="e1" 1500000000',
    ]
    assert live.collect() == []
    bench.stream.now = picture("s", metrics=bench.stream.now.metrics, events=(event(3), event(2), event(1)))
    assert [text.partition(" ")[2].split(",")[-1][:7] for text in live.collect()] == ['id="e2"', 'id="e3"']
    bench.stream.link = link(State.ERROR, failure=Failure("unauthorized"))
    (state,) = live.collect()
    assert 'state="error"' in state
    assert 'up=false,reason="unauthorized"' in state
    await bench.clock.advance(5.0)
    assert [text.partition(",")[0] for text in live.collect()] == ["iris_state", "iris_cards"]


def test_more_events_than_a_screen_are_left_out_and_counted() -> None:
    bench = Bench()
    bench.stream.now = picture("s", events=tuple(event(number) for number in range(80)))
    assert sum(text.startswith("iris_event") for text in bench.push().collect()) == MAX_EVENTS
    assert bench.counts.shown(catalog.LIVE_DROPPED) == 30


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_line_is_one_line_whatever_is_in_it(tag: str, text: str) -> None:
    made = line("m", {"t": tag}, {"f": text, "g": 1}, 1.0)
    assert made.isprintable() or made == ""
    assert made.encode()
    assert "\n" not in made
    assert made.endswith(",g=1i 1000000000")


def test_values_have_the_types_of_the_protocol() -> None:
    fields = {"i": 1, "f": 0.5, "b": True, "s": 'say "hi"\\', "n": None}
    assert (
        line("m", {"a": "x y,z=\\"}, fields, 0.000000001)
        == 'm,a=x\\ y\\,z\\=/ i=1i,f=0.5,b=true,s="say \\"hi\\"\\\\" 1'
    )
    assert line("m", {}, {"n": None}, 1.0) == ""


async def test_grafana_gets_one_request_and_its_failures_are_counted(tmp_path: Path) -> None:
    bodies: list[str] = []
    status = 200

    async def take(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t0ken"
        bodies.append(await request.text())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/sub/api/live/push/ops", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    token = tmp_path / "token"
    token.write_text("t0ken\n")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/sub/"
    bench = Bench(url, channel="ops", token=token, interval_seconds=0.01)
    async with aiohttp.ClientSession() as session:
        task = asyncio.create_task(bench.push(session, SystemClock()).run())
        await until(lambda: bench.counts.shown(catalog.LIVE_PUSHED) == 1)
        assert bodies[0].startswith('iris_state,stream=s state="live"')
        status = 401
        bench.stream.now = picture("s", metrics=Metrics(runs_today=1.0))
        await until(lambda: bench.counts.shown(catalog.LIVE_DROPPED) >= 1)
        assert bench.counts.failures() == {"live": "unauthorized"}
        status = 200
        await until(lambda: bench.counts.shown(catalog.LIVE_PUSHED) >= 3)
        assert bench.counts.failures() == {}
        assert "iris_cards,stream=s runs_today=1.0" in bodies[-1]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await runner.cleanup()


def test_the_exporter_counts_lines() -> None:
    metrics = SelfMetrics("1", "r", "3")
    metrics.add(catalog.LIVE_PUSHED, 3)
    metrics.add(catalog.LIVE_DROPPED, 2)
    assert metrics.shown(catalog.LIVE_PUSHED) == 3
    assert metrics.shown(catalog.LIVE_DROPPED) == 2


def test_it_is_off_by_default() -> None:
    assert OFF.client.url == ""
