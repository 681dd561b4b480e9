"""Decompression that cannot be used as a bomb: the output is bounded before it exists."""

import zlib

from iris_exporter.errors import LimitExceededError

_ANY_WRAPPER = zlib.MAX_WBITS | 32  # gzip or zlib, told apart by the header


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
        inflated = self._inflate.decompress(piece, limit_bytes + 1)
        if len(inflated) > limit_bytes:
            raise LimitExceededError("decompressed body", limit_bytes)
        return inflated

    @property
    def complete(self) -> bool:
        """Whether the body may end here: a compressed one says where its end is, any other leaves it to the framing."""
        return self._inflate is None or self._inflate.eof
