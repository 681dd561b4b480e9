"""Ranges of offsets, a bounded number of them: the events that were handled out of order.

A range `(start, end)` holds the offsets above `start`, up to `end`. A tuple of ranges is sorted, and its ranges neither
overlap nor touch. Pure functions on plain data, since the ranges are written to disk with the cursor.
"""

Ranges = tuple[tuple[int, int], ...]

MAX_RANGES = 256
"""A source that numbers its events at random would make one for each. Beyond, the two that are nearest to each other
become one: then the events between them are never reported lost, which is better than being reported wrongly."""


def with_range(ranges: Ranges, start: int, end: int) -> Ranges:
    """`ranges` and the offsets above `start`, up to `end`."""
    if start >= end:
        return ranges
    if ranges and ranges[-1][0] <= start <= ranges[-1][1]:  # nearly always: the next one in the numbering
        return ranges if end <= ranges[-1][1] else (*ranges[:-1], (ranges[-1][0], end))
    before = [each for each in ranges if each[1] < start]
    after = [each for each in ranges if each[0] > end]
    touched = ranges[len(before) : len(ranges) - len(after)]
    if touched:
        start, end = min(start, touched[0][0]), max(end, touched[-1][1])
    joined = [*before, (start, end), *after]
    if len(joined) > MAX_RANGES:
        nearest = min(range(1, len(joined)), key=lambda index: joined[index][0] - joined[index - 1][1])
        joined[nearest - 1 : nearest + 1] = [(joined[nearest - 1][0], joined[nearest][1])]
    return tuple(joined)


def above(ranges: Ranges, offset: int) -> tuple[int, Ranges]:
    """Move `offset` on over the ranges that join on to it; return it and the ranges above it."""
    index = 0
    while index < len(ranges) and ranges[index][0] <= offset:
        offset = max(offset, ranges[index][1])
        index += 1
    return offset, ranges[index:]


def covered(ranges: Ranges, start: int, end: int) -> int:
    """How many of the offsets above `start`, up to `end`, are in `ranges`."""
    return sum(max(0, min(end, each[1]) - max(start, each[0])) for each in ranges)
