"""WebSocket frames out of a buffer. Pure.

Nearly every frame of a telemetry stream is a whole text message of moderate size, and many of them arrive in one read:
`take_texts` cuts those in one pass. Whatever else there is (control frames, fragments, compression, errors) is left to
a complete implementation; `whole_frame` says how long it is.

Source: RFC 6455, section 5.2.
"""

import struct

TEXT, BINARY, PING, PONG = 0x81, 0x82, 0x89, 0x8A
"""First bytes of whole messages: the final bit and the opcode."""
COMPRESSED = 0x40
"""The bit of permessage-deflate (RFC 7692, section 6)."""

_LENGTH_16, _LENGTH_64 = 126, 127
_SHORT_TEXT, _MEDIUM_TEXT, _LONG_TEXT = TEXT << 8, TEXT << 8 | _LENGTH_16, TEXT << 8 | _LENGTH_64
_unpack_header = struct.Struct(">HH").unpack_from
_unpack_16 = struct.Struct(">H").unpack_from
_unpack_64 = struct.Struct(">Q").unpack_from


def take_texts(data: bytes, start: int, limit: int, most: int) -> tuple[list[bytes], int]:
    """Cut whole text messages of one unmasked frame each from `start` on.

    Args:
        data: What arrived.
        start: Where a frame begins.
        limit: The longest payload that is cut, in bytes.
        most: How many are cut.

    Returns:
        The payloads, and where the first frame begins that was not cut: it is another one, too long or not all here.
    """
    texts: list[bytes] = []
    append = texts.append
    before = start
    try:
        # Nearly every frame is a medium one, which costs two comparisons.
        for _ in range(most):
            head, length = _unpack_header(data, start)
            begin = start + 4
            if head != _MEDIUM_TEXT:
                if _SHORT_TEXT <= head < _MEDIUM_TEXT:
                    length, begin = head - _SHORT_TEXT, start + 2
                elif head == _LONG_TEXT:
                    (length,), begin = _unpack_64(data, start + 2), start + 10
                else:
                    break
            if length > limit:
                break
            before, start = start, begin + length
            append(data[begin:start])
    except struct.error:
        # The end, or a header that is not all here, or a frame that is shorter than what was looked at.
        rest = data[start:]
        if len(rest) > 1 and rest[0] == TEXT and rest[1] <= len(rest) - 2:
            stop = 2 + rest[1]
            append(rest[2:stop])
            start += stop
    if start > len(data):  # only the last one can be
        texts.pop()
        start = before
    return texts, start


def take_binaries(data: bytes, start: int, limit: int, most: int) -> tuple[list[bytes], int]:
    """The same for binary messages, of which fewer are sent."""
    found: list[bytes] = []
    end = len(data)
    while start < end and data[start] == BINARY and len(found) < most:
        size = whole_frame(data, start, limit)
        if not size or start + size > end:
            break
        marker = data[start + 1]
        header = 2 if marker < _LENGTH_16 else 4 if marker == _LENGTH_16 else 10
        found.append(data[start + header : start + size])
        start += size
    return found, start


def whole_frame(data: bytes, start: int, limit: int) -> int | None:
    """The size of the unmasked frame that begins at `start`, header and payload, in bytes.

    Returns:
        0 while the header is not all here; None where the frame is masked or its payload longer than `limit`.
    """
    try:
        length, header = data[start + 1], 2
        if length > _LENGTH_64:
            return None
        if length == _LENGTH_16:
            (length,), header = _unpack_16(data, start + 2), 4
        elif length == _LENGTH_64:
            (length,), header = _unpack_64(data, start + 2), 10
    except (IndexError, struct.error):
        return 0
    return None if length > limit else header + int(length)
