"""The reconnect loop on a fake clock, against scripted dials and polls; no sockets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from iris_exporter.core.failures import Failure, TransportError
from iris_exporter.core.status import State
from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.transports.base import NO_REACTION, Polled, Reaction, Received
from iris_exporter.transports.connection_events import (
    Connected,
    ConnectionEvent,
    DialFailed,
    Disconnected,
    PingAnswered,
    PollAnswered,
    PollFailed,
    StateChanged,
)
from iris_exporter.transports.context import StreamContext
from iris_exporter.transports.dialer import PollInstead
from iris_exporter.transports.stream_tasks import StreamTasks
from iris_exporter.transports.supervisor import Supervisor
from tests.fakes import FakeClock, settle
from tests.settings import stream_settings


class FakeLink:
    """A link whose reads are what the test puts into it; an exception put in is raised."""

    def __init__(self, protocol: str = "websocket") -> None:
        self.protocol = protocol
        self.two_way = protocol != "sse"
        self.subprotocol, self.compression = "", "none"
        self.sent: list[bytes] = []
        self.pings = 0
        self.closed: list[int] = []
        self._queue: asyncio.Queue[Received | TransportError] = asyncio.Queue()

    def put(self, *messages: bytes, pongs: int = 0, retry: float | None = None) -> None:
        size = sum(map(len, messages)) + pongs
        self._queue.put_nowait(Received(list(messages), size, last_event_id="", retry_seconds=retry, pongs=pongs))

    def end(self, reason: str = "closed", retry_after: float | None = None) -> None:
        self._queue.put_nowait(TransportError(Failure(reason, "", retry_after)))

    async def read(self) -> Received:
        item = await self._queue.get()
        if isinstance(item, TransportError):
            raise item
        return item

    async def send(self, message: bytes) -> bool:
        if self.protocol == "sse":
            return False
        self.sent.append(message)
        return True

    async def ping(self) -> bool:
        self.pings += 1
        return self.protocol != "sse"

    async def close(self, code: int = 1000) -> None:
        self.closed.append(code)


class FakeDialer:
    """Answers each dial with the next item of its script; when that is used up, with a refused connection."""

    def __init__(self, *script: FakeLink | PollInstead | Failure) -> None:
        self.script = list(script)
        self.dials = 0
        self.asked: list[str] = []
        self.forgotten = 0
        self.needs_network = True
        self.changed_keys = [False]
        self.hang = False

    async def dial(self, last_event_id: str) -> FakeLink | PollInstead:
        self.dials += 1
        self.asked.append(last_event_id)
        if self.hang:
            await asyncio.get_running_loop().create_future()
        item = self.script.pop(0) if self.script else Failure("connection_refused")
        if isinstance(item, Failure):
            raise TransportError(item)
        return item

    def forget(self) -> None:
        self.forgotten += 1

    async def key_changed(self) -> bool:
        return self.changed_keys.pop(0) if self.changed_keys else False


class FakePoller:
    """Answers polls with `answer`, and notes which addresses were asked."""

    def __init__(self, answer: Polled | Failure) -> None:
        self.answer: Polled | Failure = answer
        self.asked: list[str] = []
        self.forgotten = 0
        self.broken: str | None = None
        self.broken_with = NOTHING_THERE
        self.open = asyncio.Event()  # until then nothing is answered
        self.open.set()

    async def fetch(self, url: str, position: str = "", *, remember: bool = True, held_bytes: int = 0) -> Polled:
        self.asked.append(url)
        await self.open.wait()
        if self.broken is not None and self.broken in url:
            raise TransportError(self.broken_with)
        if isinstance(self.answer, Failure):
            raise TransportError(self.answer)
        return self.answer

    def forget(self) -> None:
        self.forgotten += 1


class Recorder:
    """Sink and observer in one: records every call."""

    def __init__(self) -> None:
        self.dialect = IrisJson()
        self.calls: list[tuple[object, ...]] = []
        self.messages: list[bytes] = []
        self.documents: list[bytes] = []
        self.reactions: dict[bytes, Reaction] = {}
        self.changes: list[StateChanged] = []
        self.beats: list[float] = []
        self.position = ""
        self.missing: list[str] = []
        self.pages: list[Polled | None] = []

    def receive(self, received: Received, at: float) -> Reaction:
        messages = [frame for frame in received.frames if isinstance(frame, bytes)]
        self.messages += messages
        return self.reactions.get(messages[-1], NO_REACTION)

    def peek(self, received: Received) -> Reaction:
        return Reaction(replies=(b"pong",)) if b"ping" in received.frames else NO_REACTION

    def resume_from(self) -> str:
        return self.position

    def position_refused(self, *, refused: bool) -> None:
        self.calls.append(("refused", refused))

    def awaits_answer(self) -> bool:
        return bool(self.position)

    def on_open(self, at: float, *, two_way: bool, subprotocol: str = "") -> Sequence[bytes]:
        self.calls.append(("opened", two_way))
        return (b"resume",) if self.position else ()

    def missing_after(self) -> str | None:
        return self.missing[0] if self.missing else None

    def page(self, after: str, page: Polled | None, at: float) -> bool:
        self.pages.append(page)
        self.missing = self.missing[1:] if page is not None else []
        return bool(self.missing)

    def snapshot(self, body: bytes, at: float, *, polling: bool, following: Sequence[bytes] = ()) -> Failure | None:
        self.documents.append(body)
        return Failure("decode") if body == b"broken" else None

    def unchanged(self, at: float) -> None:
        self.calls.append(("unchanged",))

    def forget(self) -> None:
        self.calls.append(("forget",))

    def on_event(self, event: ConnectionEvent) -> None:
        match event:
            case StateChanged():
                self.changes.append(event)
            case PingAnswered(round_trip_seconds=seconds):
                self.beats.append(seconds)
            case DialFailed(failure=failure) | Disconnected(failure=failure) | PollFailed(failure=failure):
                self.calls.append((type(event).__name__, failure.reason))
            case Connected():
                self.calls.append(("Connected", event.protocol, event.endpoint))
            case PollAnswered():
                self.calls.append(("PollAnswered", event.wire_bytes))
            case _:
                self.calls.append((type(event).__name__,))

    def on_read(self, protocol: str, wire_bytes: int, inflated_bytes: int) -> None:
        self.calls.append(("read", protocol, wire_bytes))

    def count(self, *what: object) -> int:
        return self.calls.count(what)

    @property
    def states(self) -> list[str]:
        """The states gone through, each once per stay."""
        return [str(change.state) for change in self.changes if change.state != change.previous]


class Bench:
    """A supervisor with its fakes."""

    def __init__(self, dialer: FakeDialer, poll: Polled | Failure, **settings: object) -> None:
        self.clock = FakeClock()
        self.dialer = dialer
        self.poller = FakePoller(poll)
        self.seen = Recorder()
        chosen = stream_settings(**{"url": "http://user@h/api/stream/overview?x=1", **settings})
        tasks = StreamTasks(chosen.name, lambda: None)
        context = StreamContext(chosen, self.seen, self.clock, (self.seen.on_event,), self.seen.on_read, tasks)
        self.stream = Supervisor(context, dialer, self.poller, lambda: 0.5)  # type: ignore[arg-type]

    @property
    def state(self) -> State:
        return self.stream.status().state


NOTHING_THERE = Failure("not_found")
DOCUMENT = Polled(b"{}", 2)


@asynccontextmanager
async def bench(
    *script: FakeLink | PollInstead | Failure, poll: Polled | Failure = NOTHING_THERE, **settings: object
) -> AsyncIterator[Bench]:
    made = Bench(FakeDialer(*script), poll, **settings)
    made.stream.connect()
    await settle()
    try:
        yield made
    finally:
        await made.stream.stop()


@asynccontextmanager
async def slow_snapshot(link: FakeLink, **settings: object) -> AsyncIterator[Bench]:
    """A link that is open while its snapshot is on its way."""
    made = Bench(FakeDialer(link), DOCUMENT, **settings)
    made.poller.open.clear()
    made.stream.connect()
    await settle()
    try:
        yield made
    finally:
        await made.stream.stop()


async def test_the_link_is_read_and_pings_are_answered_while_the_snapshot_loads() -> None:
    link = FakeLink()
    async with slow_snapshot(link) as b:
        link.put(b"1")
        link.put(b"ping")
        link.put(b"2")
        await settle()
        assert link.sent == [b"pong"]
        assert (b.seen.documents, b.seen.messages) == ([], [])
        b.seen.reactions = {b"ping": Reaction(replies=(b"pong",))}
        b.poller.open.set()
        link.put(b"3")
        await settle()
        assert b.seen.documents == [b"{}"]
        assert b.seen.messages == [b"1", b"ping", b"2", b"3"], "in the order of arrival"
        assert link.sent == [b"pong"], "answered once"


@pytest.mark.parametrize("protocol", ["websocket", "sse"])
async def test_what_came_behind_a_slow_snapshot_counts_when_the_link_ends_badly(protocol: str) -> None:
    link = FakeLink(protocol)
    async with slow_snapshot(link) as b:
        for number in range(50):
            link.put(b"%d" % number)
        link.end("abnormal_closure")
        await settle()
        assert len(b.seen.messages) == 50
        assert b.seen.documents == []
        assert b.stream.status().failure == Failure("abnormal_closure", "")


async def test_an_error_message_before_the_end_of_the_link_is_the_reason() -> None:
    link = FakeLink()
    async with slow_snapshot(link) as b:
        b.seen.reactions = {b"no": Reaction(failure=Failure("unauthorized"))}
        link.put(b"no")
        link.end("closed")
        await settle()
        assert b.stream.status().failure == Failure("unauthorized")


async def test_a_snapshot_is_given_up_when_the_backlog_overflows() -> None:
    link = FakeLink()
    async with slow_snapshot(link) as b:
        for letter in b"abcdefghi":
            link.put(bytes((letter,)) * 1024 * 1024)
        link.put(b"last")
        await settle()
        assert [message[:1] for message in b.seen.messages] == [b"%c" % letter for letter in b"abcdefghil"]
        assert b.seen.count("PollFailed", "timeout") == 1
        assert b.state is State.LIVE


async def test_a_link_that_falls_silent_while_the_snapshot_loads_is_found_dead() -> None:
    link = FakeLink()
    async with slow_snapshot(link, heartbeat_interval_seconds=5.0, heartbeat_timeout_seconds=12.0) as b:
        for _ in range(13):
            await b.clock.advance(1.0)
        assert b.stream.status().failure == Failure("heartbeat_timeout", "nothing heard for 12 s")


async def test_a_peer_that_does_not_read_answers_keeps_nothing_from_being_read() -> None:
    link = FakeLink()
    async with bench(link) as b:
        sending = asyncio.Event()

        async def send(message: bytes) -> bool:
            link.sent.append(message)
            return await sending.wait()

        link.send = send  # type: ignore[method-assign]
        b.seen.reactions = {b"ping": Reaction(replies=(b"pong",))}
        for message in (b"ping", b"1", b"ping", b"2"):
            link.put(message)
        await settle()
        assert b.seen.messages == [b"ping", b"1", b"ping", b"2"]
        assert link.sent == [b"pong"], "one under way is enough"


async def test_a_comment_of_an_event_stream_is_a_sign_of_life_and_a_pong_is_none() -> None:
    for protocol, heard in (("sse", 1), ("websocket", 0)):
        link = FakeLink(protocol)
        async with bench(link) as b:
            link.put(pongs=1)
            await settle()
            assert b.seen.count("unchanged") == heard


async def test_snapshot_first_then_the_stream_in_order() -> None:
    link = FakeLink()
    link.put(b"1", b"2")
    async with bench(link, poll=DOCUMENT) as b:
        assert b.seen.documents == [b"{}"]
        assert b.seen.messages == [b"1", b"2"]
        order = [
            entry[0]
            for entry in b.seen.calls
            if entry[0] in ("Connected", "PollStarted", "PollAnswered", "FirstRead", "read")
        ]
        assert order == ["Connected", "PollStarted", "PollAnswered", "read", "FirstRead"]
        link.put(b"3")
        await settle()
        assert (b.seen.count("FirstRead"), b.seen.count("read", "websocket", 1)) == (1, 1)
        status = b.stream.status()
        assert (status.state, status.protocol, status.endpoint) == (
            State.LIVE,
            "websocket",
            "http://h/api/stream/overview",
        )


async def test_goes_live_connecting_polling_live_when_the_backend_leaves_and_returns() -> None:
    first, second = FakeLink(), FakeLink("sse")
    async with bench(first, poll=DOCUMENT, reconnect_attempts=2) as b:
        first.end()
        await settle()
        assert b.state is State.CONNECTING
        assert b.stream.status().attempt == 1
        assert b.stream.status().next_attempt_at == pytest.approx(b.clock.wall() + 3.0)
        await b.clock.advance(3.0)
        assert b.stream.status().attempt == 2
        await b.clock.advance(6.0)
        assert b.state is State.POLLING
        assert b.stream.status().protocol == "poll"
        polls = len(b.poller.asked)
        await b.clock.advance(90.0)
        assert len(b.poller.asked) == polls + 3
        b.dialer.script.append(second)
        await b.clock.advance(210.0)
        assert b.state is State.LIVE
        assert b.stream.status().attempt == 0
        polls = len(b.poller.asked)
        await b.clock.advance(25.0)
        assert len(b.poller.asked) == polls, "polling is off while live"
        assert b.seen.states == ["connecting", "live", "connecting", "polling", "live"]


async def test_a_server_that_accepts_and_closes_at_once_is_not_hammered() -> None:
    async with bench(poll=DOCUMENT) as b:
        for _ in range(50):
            link = FakeLink()
            link.end()
            b.dialer.script.append(link)
        b.stream.connect()
        await b.clock.advance(3600.0)
        # 10 attempts with backoff in the first seven minutes, then one in five minutes.
        assert b.dialer.dials <= 11 + 12
        assert b.state is State.POLLING


async def test_pings_on_schedule_and_times_the_answer() -> None:
    link = FakeLink()
    async with bench(link) as b:
        await b.clock.advance(30.0)
        assert (link.sent, link.pings) == ([b'{"type":"ping"}'], 1)
        b.clock.now += 0.25
        link.put(pongs=1)
        await settle()
        assert b.seen.beats == [0.25]
        link.put(pongs=1)
        await settle()
        assert len(b.seen.beats) == 1, "an answer nobody waits for is no round trip"
        await b.clock.advance(30.0)
        assert link.pings == 2


async def test_a_json_pong_counts_as_an_answer() -> None:
    link = FakeLink()
    async with bench(link) as b:
        b.seen.reactions[b"pong"] = Reaction(pong=True)
        await b.clock.advance(30.0)
        b.clock.now += 0.5
        link.put(b"pong")
        await settle()
        assert b.seen.beats == [0.5]


@pytest.mark.parametrize("protocol", ["websocket", "sse"])
async def test_a_link_without_a_byte_for_the_timeout_is_dead(protocol: str) -> None:
    link = FakeLink(protocol)
    async with bench(link) as b:
        await b.clock.advance(59.0)
        link.put(pongs=1)
        await b.clock.advance(59.0)
        assert b.state is State.LIVE, "any byte proves life"
        await b.clock.advance(1.0)
        assert b.seen.count("Disconnected", "heartbeat_timeout") == 1
        assert link.closed == [1000]
        assert b.state is State.CONNECTING


async def test_answers_and_failures_that_the_sink_asks_for() -> None:
    link = FakeLink()
    async with bench(link) as b:
        b.seen.reactions[b"ping"] = Reaction(replies=(b"pong",))
        b.seen.reactions[b"error"] = Reaction(failure=Failure("unavailable", "STREAM_UNAVAILABLE"))
        link.put(b"ping")
        await settle()
        assert link.sent == [b"pong"]
        b.poller.answer = DOCUMENT
        link.put(b"error")
        await settle()
        assert b.state is State.POLLING


@pytest.mark.parametrize("reason", ["unauthorized", "forbidden", "not_found"])
async def test_a_refusal_is_the_error_state_and_is_retried_slowly(reason: str) -> None:
    async with bench(Failure(reason, "no"), Failure(reason, "no"), poll=DOCUMENT) as b:
        assert b.state is State.ERROR
        assert b.stream.status().failure == Failure(reason, "no")
        await b.clock.advance(299.0)
        assert (b.dialer.dials, b.poller.asked) == (1, [])
        await b.clock.advance(1.0)
        assert b.dialer.dials == 2
        assert b.state is State.ERROR


async def test_a_rotated_key_is_tried_soon() -> None:
    async with bench(Failure("unauthorized"), FakeLink()) as b:
        await b.clock.advance(0)
        assert b.state is State.ERROR
    made = Bench(FakeDialer(Failure("unauthorized"), FakeLink()), NOTHING_THERE)
    made.dialer.changed_keys = [True]
    made.stream.connect()
    await made.clock.advance(3.0)
    assert made.state is State.LIVE
    await made.stream.stop()


async def test_retry_after_is_obeyed() -> None:
    async with bench(Failure("rate_limited", "", 120.0), FakeLink()) as b:
        await b.clock.advance(119.0)
        assert b.dialer.dials == 1
        await b.clock.advance(20.0)
        assert b.state is State.LIVE


async def test_the_retry_field_of_an_event_stream_is_obeyed() -> None:
    link = FakeLink("sse")
    async with bench(link, FakeLink("sse")) as b:
        link.put(b"x", retry=20.0)
        link.end()
        await b.clock.advance(19.0)
        assert b.dialer.dials == 1
        await b.clock.advance(4.0)
        assert b.dialer.dials == 2


async def test_polling_that_fails_is_the_error_state_and_recovers_by_itself() -> None:
    async with bench(Failure("unavailable"), poll=Failure("http_server_error")) as b:
        assert b.state is State.ERROR
        b.poller.answer = DOCUMENT
        b.dialer.script.append(FakeLink())
        await b.clock.advance(30.0)
        assert b.state is State.LIVE, "the source answers again, so live is tried at once"


async def test_the_times_of_an_outage_last_until_it_is_over() -> None:
    """`failing_since` begins with the outage, `state_changed_at` with each state, and the last failure is kept."""
    first, second = FakeLink(), FakeLink()
    async with bench(first, poll=Failure("http_server_error"), reconnect_attempts=1) as b:
        began = b.stream.status()
        assert (began.failure, began.failing_since, began.last_failure_at) == (None, None, None)
        await b.clock.advance(5.0)
        first.end()
        await settle()
        cut = b.clock.wall()
        status = b.stream.status()
        assert (status.state, status.failing_since, status.last_failure_at) == (State.CONNECTING, cut, cut)
        await b.clock.advance(3.0)
        status = b.stream.status()
        assert (status.state, status.failure) == (State.ERROR, Failure("http_server_error"))
        assert (status.failing_since, status.last_failure_at, status.state_changed_at) == (cut, cut + 3.0, cut + 3.0)
        await b.clock.advance(60.0)
        status = b.stream.status()
        assert (status.failing_since, status.last_failure_at, status.state_changed_at) == (cut, cut + 63.0, cut + 3.0)
        b.dialer.script.append(second)
        b.poller.answer = DOCUMENT
        await b.clock.advance(30.0)
        status = b.stream.status()
        assert (status.state, status.failure, status.failing_since) == (State.LIVE, None, None)
        assert (status.last_failure_at, status.state_changed_at) == (cut + 63.0, cut + 93.0)
        b.stream.disconnect()
        await settle()
        assert b.stream.status().last_failure_at == cut + 63.0, "closing by request is no failure"


async def test_a_source_that_is_polled_as_wished_has_no_failure_but_while_polls_fail() -> None:
    found = PollInstead("http://h/api/events", b"[]", 2)
    async with bench(found, found, found, poll=DOCUMENT) as b:
        assert (b.state, b.stream.status().failure) == (State.POLLING, None)
        b.poller.answer = Failure("timeout")
        await b.clock.advance(30.0)
        assert (b.state, b.stream.status().failure) == (State.ERROR, Failure("timeout"))
        b.poller.answer = DOCUMENT
        await b.clock.advance(30.0)
        status = b.stream.status()
        assert (status.state, status.failure, status.failing_since) == (State.POLLING, None, None)
        assert status.last_failure_at == b.clock.wall() - 30.0


async def test_a_document_that_cannot_be_read_is_asked_for_whole_again() -> None:
    """Its entity tag would bring "not modified", and that would look like a success."""
    async with bench(Failure("unavailable"), poll=Polled(b"broken", 6)) as b:
        assert b.state is State.ERROR
        assert b.poller.forgotten == len(b.poller.asked) == 1


async def test_a_poll_that_is_refused_for_now_waits_for_the_hint() -> None:
    async with bench(Failure("unavailable"), poll=Failure("rate_limited", "", 200.0)) as b:
        asked = len(b.poller.asked)
        await b.clock.advance(199.0)
        assert len(b.poller.asked) == asked
        await b.clock.advance(2.0)
        assert len(b.poller.asked) == asked + 1


async def test_a_source_that_can_only_be_polled_is_polled_where_it_was_found() -> None:
    found = PollInstead("http://h/api/events", b"[]", 2)
    async with bench(found, poll=Polled(None, 0)) as b:
        assert b.state is State.POLLING
        assert b.seen.documents == [b"[]"]
        assert b.poller.asked == [], "what the dial found is what a first poll would bring"
        assert b.stream.status().last_message == b.clock.wall()
        await b.clock.advance(30.0)
        assert b.poller.asked == ["http://h/api/events"]
        assert b.seen.count("unchanged") == 1
        assert not [call for call in b.seen.calls if call[0] == "DialFailed"]


async def test_the_second_address_of_the_snapshot_is_tried_when_the_first_is_not_there() -> None:
    class Second(FakePoller):
        async def fetch(self, url: str, position: str = "", *, remember: bool = True, held_bytes: int = 0) -> Polled:
            self.asked.append(url)
            if "/iris/" not in url:
                raise TransportError(NOTHING_THERE)
            return DOCUMENT

    made = Bench(FakeDialer(FakeLink(), FakeLink()), NOTHING_THERE)
    made.poller = made.stream._snapshots._poller = Second(DOCUMENT)  # type: ignore[assignment]
    made.stream.connect()
    await settle()
    made.stream.reset()
    await settle()
    assert made.poller.asked == ["http://user@h/api/overview?x=1", "http://user@h/api/iris/overview?x=1"] * 2
    await made.stream.stop()


async def test_a_broken_document_is_a_failed_poll() -> None:
    async with bench(Failure("unavailable"), poll=Polled(b"broken", 6)) as b:
        assert b.state is State.ERROR
        assert b.seen.count("PollFailed", "decode") == 1


async def test_disconnect_connect_and_reset_by_hand() -> None:
    first, second, third = FakeLink(), FakeLink(), FakeLink()
    async with bench(first, second, third) as b:
        b.stream.disconnect()
        await settle()
        assert b.state is State.DISCONNECTED
        assert first.closed == [1000]
        assert b.seen.count("Disconnected", "requested") == 1
        await b.clock.advance(1000.0)
        assert b.dialer.dials == 1
        b.stream.connect()
        await settle()
        assert b.state is State.LIVE
        b.stream.reset()
        await settle()
        assert b.state is State.LIVE
        assert second.closed == [1000]
        assert b.seen.count("forget") == 1
        assert b.dialer.forgotten == 1


async def test_connect_while_waiting_does_not_wait() -> None:
    async with bench(Failure("dns"), FakeLink()) as b:
        assert b.state is State.CONNECTING
        b.stream.connect()
        await settle()
        assert b.state is State.LIVE
        assert b.stream.status().next_attempt_at is None


async def test_never_two_connections_whatever_is_asked() -> None:
    """The link before has been closed before the next one is dialled."""
    alive = 0
    most = 0

    class Counting(FakeLink):
        async def close(self, code: int = 1000) -> None:
            nonlocal alive
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            alive -= 1
            self.closed.append(code)

    class CountingDialer(FakeDialer):
        async def dial(self, last_event_id: str) -> FakeLink | PollInstead:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return Counting()

    made = Bench(CountingDialer(), NOTHING_THERE)
    for _ in range(20):
        made.stream.reset()
        await settle()
        made.stream.reset()
        made.stream.disconnect()
        made.stream.connect()
    await settle()
    assert (alive, most) == (1, 1)
    await made.stream.stop()
    assert alive == 0


async def test_stop_closes_with_going_away_also_in_the_middle_of_a_dial() -> None:
    link = FakeLink()
    async with bench(link):
        pass
    assert link.closed == [1001]
    made = Bench(FakeDialer(), NOTHING_THERE)
    made.dialer.hang = True
    made.stream.connect()
    await settle()
    await made.stream.stop()
    assert made.state is State.DISCONNECTED


async def test_every_change_of_state_is_reported_once_with_its_cause() -> None:
    async with bench(Failure("dns", "cannot resolve h"), FakeLink()) as b:
        await b.clock.advance(3.0)
        told = [(str(c.previous), str(c.state), c.failure and c.failure.reason, c.attempt) for c in b.seen.changes]
        assert told == [
            ("disconnected", "connecting", None, 0),
            ("connecting", "connecting", "dns", 1),
            ("connecting", "live", None, 1),
        ]
        assert b.seen.changes[1].delay_seconds == 3.0


async def test_a_reconnect_asks_to_go_on_where_the_last_one_ended() -> None:
    first, second, third = FakeLink(), FakeLink(), FakeLink("sse")
    async with bench(first, second, third) as b:
        assert (first.sent, b.seen.count("opened", True)) == ([], 1)
        b.seen.position = "e-7"
        first.end()
        await b.clock.advance(3.0)
        assert second.sent == [b"resume"], "before anything else, and before the snapshot"
        second.end()
        await b.clock.advance(6.0)
        assert b.dialer.asked == ["", "e-7", "e-7"]
        assert third.sent == []
        assert (b.seen.count("opened", True), b.seen.count("opened", False)) == (2, 1)


async def test_events_between_two_polls_are_asked_for_page_by_page() -> None:
    async with bench(Failure("unavailable"), poll=DOCUMENT) as b:
        b.seen.missing = ["e-1", "e-1001"]
        await b.clock.advance(31.0)
        assert b.poller.asked[-2:] == [
            "http://user@h/api/events?x=1&after=e-1&limit=1000",
            "http://user@h/api/events?x=1&after=e-1001&limit=1000",
        ]
        assert len(b.seen.pages) == 2


async def test_a_source_that_always_has_another_page_is_asked_for_twenty_at_once() -> None:
    async with bench(Failure("unavailable"), poll=DOCUMENT) as b:
        await b.clock.advance(31.0)
        b.seen.missing = [f"e-{number}" for number in range(1000)]
        await b.clock.advance(31.0)
        assert len(b.seen.pages) == 20
        await b.clock.advance(31.0)
        assert len(b.seen.pages) == 40


async def test_a_page_that_fails_for_now_is_asked_for_again() -> None:
    async with bench(Failure("unavailable"), poll=DOCUMENT) as b:
        b.poller.broken, b.poller.broken_with = "/events", Failure("connection_reset")
        b.seen.missing = ["e-1"]
        await b.clock.advance(31.0)
        assert b.seen.pages == []
        assert b.seen.count("PollFailed", "connection_reset") == 1
        b.poller.broken = None
        await b.clock.advance(31.0)
        assert len(b.seen.pages) == 1


async def test_what_cannot_be_asked_for_is_given_up() -> None:
    async with bench(Failure("unavailable"), poll=DOCUMENT) as b:
        b.poller.broken = "/events"
        b.seen.missing = ["e-1", "e-1001"]
        await b.clock.advance(31.0)
        assert b.seen.pages == [None]
        assert b.seen.count("PollFailed", "not_found") == 1
        assert b.state is State.POLLING
