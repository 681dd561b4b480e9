"""Ranges of numbers, of which few are kept: what of a source's numbering was dealt with before its turn.

A range `(start, end)` holds the numbers above `start`, up to `end`. A tuple of ranges is sorted, and its ranges neither
overlap nor touch. Pure functions on plain data, since the ranges are kept over a restart with the cursor.
"""

Spans = tuple[tuple[int, int], ...]

MAX_SPANS = 256
"""A source that numbers its events at random would make one for each. Beyond, the two that are nearest to each other
become one: then what lies between them is never reported lost, which is better than being reported wrongly."""


def with_span(spans: Spans, start: int, end: int) -> Spans:
    """`spans` and the numbers above `start`, up to `end`."""
    if start >= end:
        return spans
    if spans and spans[-1][0] <= start <= spans[-1][1]:  # nearly always: the next one in the numbering
        return spans if end <= spans[-1][1] else (*spans[:-1], (spans[-1][0], end))
    before = [span for span in spans if span[1] < start]
    after = [span for span in spans if span[0] > end]
    touched = spans[len(before) : len(spans) - len(after)]
    if touched:
        start, end = min(start, touched[0][0]), max(end, touched[-1][1])
    joined = [*before, (start, end), *after]
    if len(joined) > MAX_SPANS:
        nearest = min(range(1, len(joined)), key=lambda index: joined[index][0] - joined[index - 1][1])
        joined[nearest - 1 : nearest + 1] = [(joined[nearest - 1][0], joined[nearest][1])]
    return tuple(joined)


def above(spans: Spans, offset: int) -> tuple[int, Spans]:
    """Move `offset` on over all that joins on to it; return where it is then, and what is left above."""
    index = 0
    while index < len(spans) and spans[index][0] <= offset:
        offset = max(offset, spans[index][1])
        index += 1
    return offset, spans[index:]


def covered(spans: Spans, start: int, end: int) -> int:
    """How many of the numbers above `start`, up to `end`, are in `spans`."""
    return sum(max(0, min(end, span[1]) - max(start, span[0])) for span in spans)
