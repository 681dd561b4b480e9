"""Every event once, over faults and kills: what scrapes have shown adds up to what was sent."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.mapped_source import TRANSPORTS, MappedSource
from tests.faults.marathon import Marathon, Outcome, Plan
from tests.integration.test_prometheus import Prometheus, prometheus


def check(outcome: Outcome, *, may_miss: bool = False) -> None:
    """Everything is accounted for; the line has the seed that repeats the choices of this run."""
    print(outcome)
    assert not outcome.problems, f"{outcome}: {outcome.problems[:10]}"
    assert outcome.sent == outcome.plan.events
    assert outcome.sent in outcome.accounted, str(outcome)
    assert may_miss or outcome.gaps == 0, str(outcome)


def seed() -> int:
    return random.randrange(2**31)


@pytest.mark.integration
@pytest.mark.time_limit(60)
async def test_a_short_run_with_kills_counts_every_event_once(tmp_path: Path) -> None:
    plan = Plan(seed(), events=3_000, rate=1500.0, kill_every=(0.3, 0.6))
    outcome = await Marathon(plan, tmp_path).run()
    check(outcome)
    assert len(outcome.lives) > 2, "nothing was killed"


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(60)
async def test_what_a_source_has_forgotten_is_missing_to_the_event(tmp_path: Path) -> None:
    """The source remembers 300 events, a fifth of a second: less than a restart takes."""
    plan = Plan(seed(), events=5_000, rate=1500.0, history=300, kill_every=(0.5, 1.2))
    outcome = await Marathon(plan, tmp_path).run()
    check(outcome, may_miss=True)
    assert outcome.gaps > 0


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.time_limit(120)
async def test_a_hundred_thousand_events_are_counted_once(tmp_path: Path) -> None:
    check(await Marathon(Plan(seed()), tmp_path).run())


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.time_limit(60)
async def test_events_of_a_mapped_source_are_counted_once(transport: str, tmp_path: Path) -> None:
    """And all the time the guarantee says so."""
    plan = Plan(seed(), events=10_000, rate=1500.0, kill_every=(0.6, 1.8))
    source = MappedSource(transport, tmp_path)
    outcome = await Marathon(plan, tmp_path / "state", source).run()
    check(outcome)
    assert len(outcome.lives) > 2, "nothing was killed"
    assert set.union(*(life.guarantees for life in outcome.lives)) == {"exactly_once"}


RANGE_SECONDS = 600
STARTED = "process_start_time_seconds"


class Tally:
    """What a Prometheus knows of a run."""

    def __init__(self, server: Prometheus) -> None:
        self._server = server

    async def sees_live(self) -> bool:
        return bool(await self._server.query('iris_stream_state{state="live"} == 1'))

    async def accounted(self) -> int:
        return await self.total("iris_events_total") + await self.total("iris_stream_event_gaps_total")

    async def samples(
        self, name: str, at: float | None = None
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Every series with its raw samples, (moment, value), in the order of time; up to Unix time `at`."""
        found: list[dict[str, Any]] = await self._server.query(f"{name}[10m]", at)
        return [
            (series["metric"], [(float(moment), float(value)) for moment, value in series["values"]])
            for series in found
        ]

    async def total(self, name: str) -> int:
        """The last value of each life of each series, summed up; exact.

        A life is told by `process_start_time_seconds` of the same scrape. A fall in the value would not do: a new
        process whose first scrape shows more than the last one of the process before it looks like the same one. Both
        come by one question, since a scrape may end between two.
        """
        found = await self.samples(f'{{__name__=~"{name}|{STARTED}"}}')
        (starts, *more) = [samples for labels, samples in found if labels["__name__"] == STARTED] or [[]]
        assert not more
        life_at = dict(starts)
        total = 0.0
        for samples in (samples for labels, samples in found if labels["__name__"] == name):
            total += sum({life_at[moment]: value for moment, value in samples}.values())
        return round(total)

    async def increase(self, name: str) -> tuple[float, list[float], float]:
        """What PromQL's `increase` says of the run, what it may say of these samples, and what they rose by.

        Asked for after `sees_end`, at the time of a scrape that failed. With a scrape that ends between the two
        questions, samples would not be those of `increase`.
        """
        at = float((await self._server.query("timestamp(up)"))[0]["value"][1])
        answer = await self._server.query(f"sum(increase({name}[{RANGE_SECONDS}s]))", at)
        each = [samples for _, samples in await self.samples(name, at)]
        said = float(answer[0]["value"][1]) if answer else 0.0
        expected = [sum(extrapolated(samples, at, older=older) for samples in each) for older in (True, False)]
        return said, expected, sum(map(risen, each))

    async def sees_end(self) -> None:
        """Return once a scrape has found the exporter gone: those of a target come one after the other."""
        await self._server.becomes("up", 0)


def risen(samples: list[tuple[float, float]]) -> float:
    """The differences from sample to sample, where a fall is a reset to zero: all that `increase` knows of lives."""
    return sum(after - before if after >= before else after for (_, before), (_, after) in itertools.pairwise(samples))


def extrapolated(samples: list[tuple[float, float]], at: float, *, older: bool) -> float:
    """What `increase` over `RANGE_SECONDS` until `at` makes of a counter's samples.

    It extrapolates what they have risen by to both ends of its window: all the way to an end that is less than 1.1 mean
    intervals between samples away, by half a mean interval to another. The start is not before the counter would have
    been zero, which `older` versions (2.42) ask first and later ones last: so older ones reach back 1.1 mean intervals
    where the first sample shows as much as a whole interval brings.
    Source: `extrapolatedRate` in Prometheus' promql/functions.go.
    """
    rise = risen(samples)
    if not rise:
        return 0.0
    (first, value), (last, _) = samples[0], samples[-1]
    lasted = last - first
    mean = lasted / (len(samples) - 1)
    to_start, to_end, to_zero = first - (at - RANGE_SECONDS), at - last, lasted * value / rise
    start = reached(min(to_start, to_zero), mean) if older else min(reached(to_start, mean), to_zero)
    return rise * (lasted + start + reached(to_end, mean)) / lasted


def reached(seconds: float, mean: float) -> float:
    """How much of the way to an end `increase` goes."""
    return seconds if seconds < 1.1 * mean else mean / 2


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.time_limit(90)
@pytest.mark.needs("prometheus")
async def test_prometheus_has_every_event_of_a_run_with_kills_once(tmp_path: Path) -> None:
    plan = Plan(seed(), events=20_000, rate=2000.0, kill_every=(1.0, 3.0))
    marathon = Marathon(plan, tmp_path / "state")
    (tmp_path / "prometheus").mkdir()
    # What a scrape that Prometheus gives up just after its last byte was sent has shown, nobody has. No interval rules
    # that out, and the shorter it is, the more often a busy machine comes near to it.
    async with prometheus(tmp_path / "prometheus", f"127.0.0.1:{marathon.port}", "500ms") as server:
        tally = Tally(server)
        marathon.watcher = tally
        outcome = await marathon.run()
        await tally.sees_end()
        counted, missing = await tally.total("iris_events_total"), await tally.total("iris_stream_event_gaps_total")
        said, expected, rise = await tally.increase("iris_events_total")
    told = f"increase says {said:.2f}, may say {expected}; they rose by {rise:.0f}"
    print(f"{outcome.sent} sent; Prometheus has {counted} and {missing} missing; {told}")
    assert not outcome.problems, f"{outcome}: {outcome.problems[:10]}"
    assert counted + missing == outcome.sent == plan.events, str(outcome)
    assert missing == 0
    # Times are Unix seconds in a double, to a quarter of a microsecond; those of a scrape are 500 ms apart.
    assert any(said == pytest.approx(each, rel=1e-6) for each in expected), told
    # What `increase` cannot see is the first value of a series and a reset that a higher first value hides.
    assert rise <= outcome.sent
