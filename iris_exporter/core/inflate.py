"""Decompression that cannot be used as a bomb: the output is bounded before it exists.

A gzip body may consist of several members, one after the other (RFC 1952, section 2.2), and then each is inflated. What
follows the end of a `deflate` body, or the end of a member and is no member, is damage: the library would keep all of
it, for as long as a source cares to send.
"""

import zlib

from iris_exporter.errors import LimitExceededError

_ANY_WRAPPER = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by the header
_GZIP = zlib.MAX_WBITS | 16


class Inflater:
    """Inflates a body that arrives in pieces; `encoding` is its Content-Encoding in lower case.

    Raises:
        ValueError: From the constructor, for an encoding other than gzip, deflate, identity or none.
    """

    def __init__(self, encoding: str) -> None:
        if encoding in ("", "identity"):
            self._inflate = None
        elif encoding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(_ANY_WRAPPER)
        else:
            raise ValueError(encoding)

    def feed(self, piece: bytes, limit_bytes: int) -> bytes:
        """Return what `piece` inflates to.

        Raises:
            LimitExceededError: It would be more than `limit_bytes`; drop the connection.
            zlib.error: The body is no valid compressed data.
        """
        if self._inflate is None:
            if len(piece) > limit_bytes:
                raise LimitExceededError("body", limit_bytes)
            return piece
        inflated: list[bytes] = []
        left = limit_bytes
        while piece:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_GZIP)
            inflated.append(self._inflate.decompress(piece, left + 1))
            left -= len(inflated[-1])
            if left < 0:
                raise LimitExceededError("decompressed body", limit_bytes)
            piece = self._inflate.unused_data
        return inflated[0] if len(inflated) == 1 else b"".join(inflated)

    @property
    def complete(self) -> bool:
        """Whether the body may end here: a compressed one says where its end is, any other leaves it to the framing."""
        return self._inflate is None or self._inflate.eof
