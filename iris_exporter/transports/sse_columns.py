"""Server-sent events that are all of one shape, cut as columns. Pure.

What sends many events writes each of them alike: the same fields, one line each, then the data in one line, then a
blank line. The lines of such a piece are a table with a row for each event, and each step over a column of it is one
call. That takes two thirds of what a regular expression over all bytes does, because nothing but line ends is searched.
"""

from collections.abc import Sequence
from io import BytesIO
from operator import itemgetter
from typing import NamedTuple

_BLANK, _DATA, _NAME, _ID = b"\n", b"data: ", b"event:", b"id:"
_after_data = itemgetter(slice(len(_DATA), -1))


class Columns(NamedTuple):
    """Events of one shape: the data of each, all names in lower case, and the last line with an id, empty if none."""

    data: list[bytes]
    names: set[str]
    id_line: bytes


def columns_of(events: bytes, max_line_bytes: int) -> Columns | None:
    """The columns of whole events with LF ends; None where they are not of one shape, or a line may be too long.

    Each must have any number of `id` and `event` lines, then one `data` line with a blank after its colon.
    """
    lines = list(BytesIO(events))  # splits several times faster than `split`
    width = lines.index(_BLANK) + 1
    blanks = lines[width - 1 :: width]
    if width < 2 or len(lines) != width * len(blanks) or blanks.count(_BLANK) < len(blanks):
        return None
    if len(events) > max_line_bytes and max(map(len, lines)) > max_line_bytes:
        return None
    data = lines[width - 2 :: width]
    if not _all_begin_with(_DATA, data):
        return None
    name_lines: set[bytes] = set()
    id_line = b""
    for index in range(width - 2):
        column = lines[index::width]
        if column.count(column[0]) == len(column) and column[0].startswith(_NAME):
            name_lines.add(column[0])
        elif _all_begin_with(_ID, column):
            id_line = column[-1]
        elif _all_begin_with(_NAME, column):
            name_lines.update(column)
        else:
            return None
    names = {line[len(_NAME) : -1].removeprefix(b" ").decode("utf-8", "replace").lower() for line in name_lines}
    return Columns(list(map(_after_data, data)), names, id_line[:-1])


def _all_begin_with(start: bytes, lines: Sequence[bytes]) -> bool:
    """Whether all lie between `start` and the next text of its length: two comparisons for each, and no slice."""
    return min(lines) >= start and max(lines) < start[:-1] + bytes((start[-1] + 1,))
