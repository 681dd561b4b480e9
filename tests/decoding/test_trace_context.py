"""Which trace context an event carries."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iris_exporter.decoding.iris_json.dialect import IrisJson
from iris_exporter.decoding.messages import EventMessage
from iris_exporter.decoding.trace_context import traceparent_of
from iris_exporter.otel.spans import parse_traceparent
from tests.decoding.envelopes import decode_one

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
OTHER = f"00-{TRACE}-{SPAN}-00"
PARTS = st.tuples(
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from(["00", "01", "ff", "cc", "0", "0G"]),
    st.sampled_from([TRACE, "0" * 32, TRACE[:-1]]),
    st.sampled_from([SPAN, "0" * 16, SPAN.upper()]),
    st.sampled_from(["00", "01", "ff", "1"]),
    st.sampled_from(["", " ", "-", "-more", " -x", "-" * 600]),
)


@given(PARTS)
@example(("", "00", TRACE, SPAN, "01", ""))
@example(("", "cc", TRACE, SPAN, "01", "-later"))
def test_what_is_valid_is_what_the_sdk_takes(parts: tuple[str, ...]) -> None:
    text = parts[0] + "-".join(parts[1:5]) + parts[5]
    found = traceparent_of(b"{}", text)
    assert (parse_traceparent(found) if found else None) == parse_traceparent(text)


@pytest.mark.parametrize("metadata", [b"{}", b'{"traceparent":1}', b'{"traceparent":"x"}', b'{"traceparent'])
def test_metadata_without_a_valid_context_have_none(metadata: bytes) -> None:
    assert traceparent_of(metadata) == traceparent_of(metadata, 7) == ""


def envelope(beside: object, inside: object, **fields: object) -> bytes:
    data = {"id": "17", "project": "p", "event_type": "t", "metadata": {"traceparent": inside}, **fields}
    return json.dumps({"type": "event", "traceparent": beside, "data": data}).encode()


@pytest.mark.parametrize(
    ("beside", "inside", "expected"),
    [
        (GOOD, OTHER, GOOD), ("x", OTHER, OTHER), (None, OTHER, OTHER), (GOOD, None, GOOD), (7, OTHER, OTHER),
        (None, None, ""), ("x", 7, ""),
    ],
)  # fmt: skip
def test_the_envelopes_context_comes_before_the_metadatas(beside: object, inside: object, expected: str) -> None:
    for message in (envelope(beside, inside), envelope(beside, inside, severity="INFO")):  # the general path, too
        found = decode_one(IrisJson(), message)
        assert isinstance(found, EventMessage)
        assert found.event.traceparent == expected
