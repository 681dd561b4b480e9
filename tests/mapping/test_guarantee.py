"""What the counters of a source can promise."""

import re
from dataclasses import replace

import pytest

from iris_exporter.core.doubts import Doubt, counted_in_spite_of
from iris_exporter.core.status import Counted
from iris_exporter.mapping.guarantee import guarantee
from iris_exporter.mapping.paths import read_path
from iris_exporter.mapping.spec import (
    CursorSpec,
    Entry,
    Mapping,
    MetricKind,
    MetricSpec,
    Order,
    PartSpec,
    Resume,
    Rewind,
    Role,
    SnapshotSpec,
    ValueSpec,
)
from iris_exporter.mapping.templates import Template

COUNTER = MetricSpec("a_total", MetricKind.COUNTER, "A.", ValueSpec(constant=1))
GAUGE = MetricSpec("a", MetricKind.GAUGE, "A.", ValueSpec(constant=1))
ID = ((read_path("$.id"),),)


def mapping(*parts: PartSpec, cursor: CursorSpec | None = None) -> Mapping:
    return Mapping("a", "a", entries=(Entry("event", Role.EVENT, parts=parts),), cursor=cursor)


def cursor(order: Order, *, rewind: bool = False, resume: bool = True, **options: object) -> CursorSpec:
    return CursorSpec(
        read_path("$.n"),
        order,
        rewind=Rewind(re.compile("([0-9]+)"), 5) if rewind else None,
        resume=Resume(query=(("since", Template("${cursor}")),)) if resume else None,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("spec", "expected", "why"),
    [
        (mapping(PartSpec(metrics=(GAUGE,))), Counted.NONE, "no metric counts"),
        (mapping(PartSpec(metrics=(COUNTER,))), Counted.NONE, "have no id, and the mapping has no cursor"),
        (mapping(PartSpec(metrics=(COUNTER,), id=ID)), Counted.AT_MOST_ONCE, "no cursor"),
        (mapping(PartSpec(metrics=(COUNTER,)), cursor=cursor(Order.OPAQUE)), Counted.AT_LEAST_ONCE, "counted again"),
        (mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.OPAQUE)), Counted.EXACTLY_ONCE, "reach"),
        (mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.NUMBER)), Counted.AT_MOST_ONCE, "no rewind"),
        (
            mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.NUMBER, rewind=True)),
            Counted.EXACTLY_ONCE,
            "a little earlier",
        ),
        (
            mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.OPAQUE, resume=False)),
            Counted.AT_MOST_ONCE,
            "no resume",
        ),
        (
            mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.NUMBER, by=(read_path("$.p"),))),
            Counted.AT_MOST_ONCE,
            "each key",
        ),
        (
            mapping(PartSpec(metrics=(COUNTER,), id=ID), PartSpec(metrics=(COUNTER,)), cursor=cursor(Order.OPAQUE)),
            Counted.AT_LEAST_ONCE,
            "no id",
        ),
    ],
)
def test_identity_and_resume_decide(spec: Mapping, expected: Counted, why: str) -> None:
    result = guarantee(spec, "websocket")
    assert result.counted is expected
    assert why in result.why


def test_a_counter_counts_whatever_its_message_is_for() -> None:
    """Also one of a state, and of the snapshot, which comes again with each connection."""
    counting = PartSpec(metrics=(COUNTER,))
    state = Mapping("a", "a", entries=(Entry("state", Role.STATE, parts=(counting,)),))
    assert "kind state have no id" in guarantee(state, "websocket").why
    snapshot = SnapshotSpec(Template("${origin}/"), (Entry("beside", Role.STATE, parts=(counting,)),), None)
    exact = mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.OPAQUE))
    assert guarantee(exact, "websocket").counted is Counted.EXACTLY_ONCE
    assert guarantee(replace(exact, snapshot=snapshot), "websocket").counted is Counted.AT_LEAST_ONCE


def test_a_message_can_only_be_sent_where_there_is_a_way() -> None:
    """Events that come before the source has read it move any cursor but a position, which knows what is missing."""
    by_message = CursorSpec(read_path("$.n"), Order.POSITION, resume=Resume(message=Template("${cursor}")))
    spec = mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=by_message)
    assert guarantee(spec, "websocket").counted is Counted.EXACTLY_ONCE
    assert guarantee(spec, "sse").counted is Counted.AT_MOST_ONCE
    assert "no way for" in guarantee(spec, "sse").why
    for order in (Order.NUMBER, Order.OPAQUE):
        rewind = Rewind(None, 5) if order is Order.NUMBER else None
        moved = replace(spec, cursor=replace(by_message, order=order, rewind=rewind))
        assert guarantee(moved, "websocket").counted is Counted.AT_MOST_ONCE
        assert "past what was missed" in guarantee(moved, "websocket").why


def test_only_server_sent_events_have_an_id_beside_the_message() -> None:
    by_id = CursorSpec(read_path("meta.id"), Order.OPAQUE, resume=Resume(header="Last-Event-ID"))
    spec = mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=by_id)
    assert guarantee(spec, "sse").counted is Counted.EXACTLY_ONCE
    for protocol in ("websocket", "ndjson", "poll"):
        assert guarantee(spec, protocol).counted is Counted.AT_MOST_ONCE
        assert "the id of a server-sent event" in guarantee(spec, protocol).why


@pytest.mark.parametrize(
    ("guaranteed", "doubts", "left"),
    [
        (Counted.EXACTLY_ONCE, (), Counted.EXACTLY_ONCE),
        (Counted.EXACTLY_ONCE, (Doubt.NAMELESS,), Counted.AT_LEAST_ONCE),
        (Counted.EXACTLY_ONCE, (Doubt.DISORDER, Doubt.GAP), Counted.AT_MOST_ONCE),
        (Counted.EXACTLY_ONCE, (Doubt.SHARED, Doubt.MANY), Counted.NONE),
        (Counted.AT_MOST_ONCE, (Doubt.REFUSED,), Counted.AT_MOST_ONCE),
        (Counted.AT_MOST_ONCE, (Doubt.MANY,), Counted.NONE),
        (Counted.AT_LEAST_ONCE, (Doubt.NAMELESS,), Counted.AT_LEAST_ONCE),
        (Counted.AT_LEAST_ONCE, (Doubt.GAP,), Counted.NONE),
        (Counted.NONE, (), Counted.NONE),
    ],
)
def test_what_a_stream_shows_takes_back_what_it_contradicts(
    guaranteed: Counted, doubts: tuple[Doubt, ...], left: Counted
) -> None:
    assert counted_in_spite_of(guaranteed, doubts) is left


def test_the_fingerprint_is_of_identity_and_cursor() -> None:
    one = mapping(PartSpec(metrics=(COUNTER,), id=ID))
    assert one.fingerprint == mapping(PartSpec(metrics=(GAUGE,), id=ID)).fingerprint
    assert one.fingerprint != mapping(PartSpec(metrics=(COUNTER,))).fingerprint
    assert one.fingerprint != mapping(PartSpec(metrics=(COUNTER,), id=ID), cursor=cursor(Order.OPAQUE)).fingerprint
