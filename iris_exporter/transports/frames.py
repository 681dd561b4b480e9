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
    end = len(data)
    try:
        while data[start] == TEXT and len(texts) < most:
            length = data[start + 1]
            begin = start + 2
            if length >= _LENGTH_16:
                if length == _LENGTH_16:
                    (length,) = _unpack_16(data, begin)
                    begin += 2
                elif length == _LENGTH_64:
                    (length,) = _unpack_64(data, begin)
                    begin += 8
                else:  # masked
                    break
            stop = begin + length
            if stop > end or length > limit:
                break
            append(data[begin:stop])
            start = stop
    except (IndexError, struct.error):
        pass  # the end, or a header that is not all here
    return texts, start


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
