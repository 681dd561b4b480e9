"""The benchmark of traces runs and measures what it says; how fast anything is, is not tested."""

from dataclasses import replace

from benchmarks import tracing
from benchmarks.scale import QUICK


async def test_traces_and_logs_are_measured_beside_the_same_program_without() -> None:
    rows = await tracing.run(replace(QUICK, ingest_events=600, rounds=1))
    assert [row.name for row in rows] == [*tracing.CASES, tracing.EXPORT]
    assert all(row.value > 0 and row.floor and row.ratio for row in rows)


async def test_what_is_exported_is_what_the_case_says() -> None:
    async with tracing.exporting("none") as traces:
        assert set(traces.counts()) == {"traces"}
    async with tracing.exporting("otlp") as both:
        assert set(both.counts()) == {"traces", "logs"}
