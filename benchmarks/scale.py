"""How much is measured: whole, quick, or just enough to show that a benchmark works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of one run.

    `rounds` is how often product and floor take turns, `starts` how often a process is started; of both the median
    is shown. `delay_events` are sent at `delay_rate` a second. `streams` are idle ones beside the first. `reconnects`
    is how often the memory benchmark loses its link; an hour has 1,200 at the shortest delay of three seconds.
    `storm_streams` connect to a port that refuses, for `storm_seconds`. `volume_minutes` of traffic are counted,
    and `volume_events` sent to see how late they are. `clients` are connected to one backend for `clients_seconds`.
    `mapped_streams` in one process are sent `mapped_events_each`.
    """

    ingest_events: int
    rounds: int
    delay_events: int
    delay_rate: int
    streams: int
    memory_events: int
    starts: int
    reconnects: int
    storm_streams: int
    storm_seconds: int
    volume_minutes: int
    volume_events: int
    clients: int
    clients_seconds: float
    mapped_streams: int
    mapped_events_each: int


FULL = Scale(
    ingest_events=200_000,
    rounds=5,
    delay_events=100_000,
    delay_rate=10_000,
    streams=100,
    memory_events=1_000_000,
    starts=5,
    reconnects=1_200,
    storm_streams=1_000,
    storm_seconds=20,
    volume_minutes=60,
    volume_events=500,
    clients=1_000,
    clients_seconds=40.0,
    mapped_streams=200,
    mapped_events_each=50,
)
QUICK = Scale(
    ingest_events=20_000,
    rounds=5,
    delay_events=20_000,
    delay_rate=10_000,
    streams=100,
    memory_events=100_000,
    starts=5,
    reconnects=300,
    storm_streams=1_000,
    storm_seconds=8,
    volume_minutes=20,
    volume_events=100,
    clients=1_000,
    clients_seconds=10.0,
    mapped_streams=200,
    mapped_events_each=20,
)
