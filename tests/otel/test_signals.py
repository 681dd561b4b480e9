"""The catalogue of spans and log records, and what is sent, are the same."""

import re
import tracemalloc
from pathlib import Path

from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.instruments import signals
from iris_exporter.otel.environment import LOG_QUEUE_RECORDS
from iris_exporter.otel.event_logger import Arrival, EventRecord
from iris_exporter.otel.export_queue import Waiting
from scripts import generate_signals
from tests.decoding.envelopes import decode_one
from tests.otel.samples import CONTEXT

ROOT = Path(__file__).resolve().parents[2]
MEBIBYTE = 2**20


def test_names_follow_the_conventions() -> None:
    for owner in (*signals.SPANS, *signals.LOGS):
        for attribute in owner.attributes:
            if attribute is signals.NAMED:
                continue  # whose name is the operator's
            assert re.fullmatch(r"[a-z][a-z0-9_]*(\.([a-z][a-z0-9_]*|<[a-z_]+>))+", attribute.name), attribute.name
            assert attribute.type in ("string", "int", "double", "boolean", "string[]")


def test_no_attribute_is_the_namespace_of_another_one() -> None:
    """A store that makes objects of dotted names can keep only one of the two; `iris.stream` is not `iris.state`."""
    names = {attribute.name for owner in (*signals.SPANS, *signals.LOGS) for attribute in owner.attributes}
    assert [(a, b) for a in names for b in names if b.startswith(a + ".")] == []


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs/traces.md").read_text() == generate_signals.traces()
    assert (ROOT / "docs/logs.md").read_text() == generate_signals.logs()


def test_no_experimental_convention_is_imported() -> None:
    for path in (ROOT / "iris_exporter").rglob("*.py"):
        assert "_incubating" not in path.read_text(), path


def test_a_full_queue_takes_the_memory_that_the_reference_names() -> None:
    """65,536 events of 330 bytes as they are queued: an object with its texts, and two tuples."""
    dialect = IrisJson()
    message = (
        '{"type":"event","id":"ep-%d","timestamp":"2026-01-02T03:04:05.678Z","data":{"id":"evt-%d","timestamp":'
        '"2026-01-02T03:04:05.678Z","project":"project-%d","event_type":"evaluation","severity":"info","message":'
        '"Evaluation finished with a score","metadata":{"score":0.5,"model":"m-%d","run":"r-%d"}}}'
    )
    some = LOG_QUEUE_RECORDS // 16
    texts = [(message % ((number,) * 5)).encode() for number in range(some)]
    tracemalloc.start()
    try:
        arrivals = (Arrival("main", 1.0, CONTEXT) for _ in texts)
        queued = [
            Waiting(1.0, 500 + index, EventRecord(arrival, decode_one(dialect, text).event))  # type: ignore[union-attr]
            for index, (arrival, text) in enumerate(zip(arrivals, texts, strict=True))
        ]
        taken = tracemalloc.get_traced_memory()[0] * 16
    finally:
        tracemalloc.stop()
    print(f"a full queue of {LOG_QUEUE_RECORDS} log records takes {taken / MEBIBYTE:.0f} MiB")
    assert len(queued) == some
    assert 20 * MEBIBYTE < taken < 60 * MEBIBYTE
