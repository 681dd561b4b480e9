"""The payload of a chunked body out of a buffer. Pure.

`take_chunks` cuts chunks in the plain form, which is that of nearly all servers: a size in hexadecimal digits, the
payload, no extension. Whatever else there is (extensions, the last chunk with its trailers, errors) is left to a
complete implementation, which can go on where a chunk begins.

Source: RFC 9112, section 7.1.
"""

from functools import lru_cache

MAX_SIZE_DIGITS = 8
"""Longer sizes are left to others: a chunk of four gigabytes is nobody's."""

LINE_END = b"\r\n"
BROKEN = b"?\r\n"
"""The size of no chunk, for a reader that has not seen what is wrong."""
_DIGITS = frozenset(b"0123456789abcdefABCDEF")


def take_chunks(data: bytes, start: int, pieces: list[bytes]) -> tuple[int, int]:
    """Cut chunks from `start` on, where one begins.

    Args:
        data: What arrived.
        start: Where a chunk begins.
        pieces: The payloads are appended; the last one may be the beginning of a chunk that is not all here.

    Returns:
        Where the first chunk begins that was not cut: it is no plain one, or its size is not all here. And how many
        bytes of the last one that was cut are still to come, its line end included.
    """
    append, find = pieces.append, data.find
    end = len(data)
    while start < end:
        line_end = find(LINE_END, start, start + MAX_SIZE_DIGITS + 2)
        size = _size(data[start:line_end]) if line_end > start else 0
        if not size:
            break
        stop = line_end + 2 + size
        # As long as sizes have as many digits, the end of a chunk and the size of the next are looked up as one.
        width = line_end + 2 - start + len(LINE_END)
        while next_size := _next_size(data[stop : stop + width]):
            append(data[stop - size : stop])
            start, size = stop + 2, next_size
            stop += width + size
        following = data[stop : stop + 2]
        if not LINE_END.startswith(following):
            break
        append(data[stop - size : stop])
        if len(following) < len(LINE_END):
            return end, stop + 2 - end
        start = stop + 2
    return start, 0


def take_rest(data: bytes, left: int, pieces: list[bytes]) -> int | None:
    """Cut the rest of a chunk that has begun: `left` bytes, at least one, with its line end.

    Returns:
        Where the next chunk begins, or the end of `data`; None where something else stands in place of the line end.
    """
    payload = max(left - len(LINE_END), 0)
    if payload:
        pieces.append(data[:payload])
    following, expected = data[payload:left], LINE_END[payload - left :]
    return min(left, len(data)) if expected.startswith(following) else None


def is_beginning(data: bytes, start: int) -> bool:
    """Whether what is at `start`, up to the end, may become the size of a plain chunk."""
    rest = data[start : start + MAX_SIZE_DIGITS + 2]
    return len(rest) <= MAX_SIZE_DIGITS + 1 and _DIGITS.issuperset(rest.removesuffix(b"\r"))


@lru_cache(maxsize=4096)
def _size(digits: bytes) -> int:
    """0 for what is no plain size, and for the last chunk."""
    return int(digits, 16) if digits and _DIGITS.issuperset(digits) else 0


@lru_cache(maxsize=4096)
def _next_size(following: bytes) -> int:
    """The size of the chunk that follows one, by the end of this one and the size line; 0 where it is no plain one."""
    is_plain = following.startswith(LINE_END) and following.endswith(LINE_END)
    return _size(following[2:-2]) if is_plain else 0
