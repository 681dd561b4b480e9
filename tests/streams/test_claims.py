"""What is said of the counters of a mapping is true, also of sources that do not do what the mapping says of them."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.status import Counted
from iris_exporter.instruments.stream_instruments import StreamInstruments
from iris_exporter.mapping.guarantee import guarantee
from iris_exporter.streams.ingest import StreamSink
from iris_exporter.streams.log import StreamLog
from iris_exporter.streams.profile import profile_for
from iris_exporter.transports.base import Received
from tests.fakes import FakeClock
from tests.settings import stream_settings
from tests.streams.test_mapped_link import mapping

URL = "http://iris.example.com/events"
SENT = 60
NUMBER = 'cursor: {path: $.n, order: number, rewind: {by: 3}, resume: {query: {since: "${cursor}"}}}\n'
OPAQUE = 'cursor: {path: $.n, order: opaque, resume: {query: {since: "${cursor}"}}}\n'
MESSAGES = """\
messages:
  - kind: event
    when: {$.kind: event}
    id: $.id
    metrics: [{name: events_total, type: counter, help: Events.}]
    parts:
      - {each: "$.parts[*]", id: [$.id, "@key"], metrics: [{name: parts_total, type: counter, help: Parts.}]}
"""


def event(number: int, cursor: object, **more: Any) -> dict[str, Any]:
    return {"kind": "event", "id": f"e{number}", "n": cursor, "parts": [1, 2], **more}


Messages = list[dict[str, Any]]


def above(messages: Messages, since: str) -> Messages:
    """Those with a higher number."""
    return [each for each in messages if each["n"] > int(since)]


def behind_the_last(messages: Messages, since: str) -> Messages:
    """Those behind the last one with this cursor."""
    return messages[max(place for place, each in enumerate(messages, 1) if str(each["n"]) == since) :]


@dataclass
class Source:
    """What it sends to who comes first; `after` says with what it goes on from a cursor, None where it refuses it.

    A later connection that names no cursor begins with the message `oldest`.
    """

    messages: Messages
    after: Callable[[Messages, str], Messages | None] = above
    oldest: int = 0


@dataclass
class Run:
    """A stream whose connections end after a few messages, `whole` messages after its beginning."""

    text: str
    directory: Path
    draw: random.Random
    whole: int = 0
    instruments: StreamInstruments = field(default_factory=lambda: StreamInstruments("s"))

    def follow(self, source: Source) -> None:
        mapped = mapping(self.directory, self.text + MESSAGES)
        profile, clock = profile_for(mapped), FakeClock()
        self.state = profile.state("s", 300.0, DEFAULT_LIMITS, None)
        self.instruments.follow(mapped, guarantee(mapped, "ndjson").counted)
        sink = StreamSink(profile.dialect(DEFAULT_LIMITS), self.state, self.instruments, StreamLog("s", clock))
        sink.configure(stream_settings(url=URL, protocol="ndjson"))
        at, is_over = clock.wall(), False
        for _ in range(1000):
            if is_over:
                break
            call = sink.dialect.stream_call(URL, sink.resume_from(), two_way=False)
            since = parse_qs(urlsplit(call.url).query).get("since")
            left = (
                source.after(source.messages, since[0])
                if since
                else source.messages[0 if self.whole else source.oldest :]
            )
            if left is None:
                sink.position_refused(refused=True)
                continue
            sink.on_open(at, two_way=False)
            most = max(self.whole, self.draw.randint(1, 25))
            self.whole, is_over = 0, most >= len(left)
            for message in left[:most]:
                at += 1
                frames = [json.dumps(message).encode()]
                sink.receive(Received([*frames], 10), at)

        assert is_over

    def counted(self, name: str = "m_events_total") -> float:
        shown = self.state.view(0.0).mapped
        assert shown is not None
        return sum(float(each) for each in shown.series[name].values())  # type: ignore[arg-type]

    @property
    def holds(self) -> Counted:
        assert self.instruments.mapped is not None
        return self.instruments.mapped.holds


def honest(draw: random.Random) -> Source:
    """Three events have each number, and some come a little late."""
    messages = [event(number, number // 3) for number in range(SENT)]
    for place in range(0, SENT - 2, 7):
        messages[place], messages[place + 1] = messages[place + 1], messages[place]
    return Source(messages)


def nameless(draw: random.Random) -> Source:
    """An id is missing here and there."""
    messages = [event(number, number // 3) for number in range(SENT)]
    for message in draw.sample(messages, 9):
        message["id"] = draw.choice([None, "", {}])
    return Source(messages)


def out_of_order(draw: random.Random) -> Source:
    """Some events come twenty numbers late; one of them before anything is cut."""
    messages = [event(number, number // 3 + 100) for number in range(SENT)]
    messages[6]["n"] = 1
    for message in draw.sample(messages[40:], 5):
        message["n"] = 80
    return Source(messages)


def begun_anew(draw: random.Random) -> Source:
    """The source numbers from 0 again, with other ids, and goes on from nothing that it has not had."""
    messages = [event(number, number if number < 30 else number - 30) for number in range(SENT)]
    return Source(messages, lambda messages, since: messages[(36 if int(since) > 24 else int(since)) :])


def refusing(draw: random.Random) -> Source:
    """The source has forgotten what is before the middle."""
    messages = [event(number, number) for number in range(SENT)]
    return Source(messages, lambda messages, since: None if int(since) < 30 else above(messages, since), 30)


@pytest.mark.parametrize("kind", [honest, nameless, out_of_order, begun_anew, refusing])
def test_numbers_with_rewind(kind: Callable[[random.Random], Source], tmp_path: Path) -> None:
    for seed in range(25):
        draw = random.Random(seed)
        run = Run(NUMBER, tmp_path, draw, whole=12)
        run.follow(kind(draw))
        check(run)
        if kind is honest:
            assert run.holds is Counted.EXACTLY_ONCE


def paired(draw: random.Random) -> Source:
    """Two messages share a cursor, and the source goes on behind both."""
    return Source([event(number, f"c{number // 2}") for number in range(SENT)], behind_the_last)


def single(draw: random.Random) -> Source:
    """Each message has a cursor of its own."""
    return Source([event(number, f"c{number}") for number in range(SENT)], behind_the_last)


@pytest.mark.parametrize("kind", [single, paired])
def test_cursors_that_mean_nothing(kind: Callable[[random.Random], Source], tmp_path: Path) -> None:
    for seed in range(25):
        draw = random.Random(seed)
        run = Run(OPAQUE, tmp_path, draw, whole=4)
        run.follow(kind(draw))
        check(run)
        assert run.holds is (Counted.EXACTLY_ONCE if kind is single else Counted.AT_MOST_ONCE)


def check(run: Run) -> None:
    """The counters are as the guarantee says; parts are counted with their message."""
    holds = run.holds
    for name, sent in (("m_events_total", SENT), ("m_parts_total", 2 * SENT)):
        counted = run.counted(name)
        assert counted <= sent or holds not in (Counted.EXACTLY_ONCE, Counted.AT_MOST_ONCE), (name, counted, holds)
        assert counted >= sent or holds not in (Counted.EXACTLY_ONCE, Counted.AT_LEAST_ONCE), (name, counted, holds)
