"""Decompression with a bound: no more output is made than a limit allows.

A gzip body may consist of several members (RFC 1952, section 2.2); each is inflated. Data after the end of a `deflate`
body, or after a gzip member without being one, is damage; zlib alone would buffer it without bound. `deflate` means a
zlib stream (RFC 9110, section 8.4.1.2), but many servers send raw deflate data: the first two bytes show which it is.

`rescued` holds what a damaged piece contained before the damage, since whole messages of a stream count.
"""

import zlib
from contextlib import suppress

from iris_exporter.errors import LimitExceededError

_ANY_WRAPPER = zlib.MAX_WBITS | 32  # gzip or zlib, by its header
_GZIP = zlib.MAX_WBITS | 16
_BARE = -zlib.MAX_WBITS
_GZIP_HEAD = b"\x1f\x8b"


class Inflater:
    """Inflates a body that arrives in pieces; `encoding` is its Content-Encoding in lower case.

    Raises:
        ValueError: From the constructor, for an encoding other than gzip, deflate, identity or none.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise ValueError(encoding)
        self._is_plain = encoding in ("", "identity")
        self._inflate = None if self._is_plain or encoding == "deflate" else zlib.decompressobj(_ANY_WRAPPER)
        self._head = b""  # the first byte of a body, until the second one shows its format
        self.rescued = b""
        """What the piece that raised inflated to before that, up to the limit."""

    def feed(self, piece: bytes, limit_bytes: int) -> bytes:
        """Return what `piece` inflates to.

        Raises:
            LimitExceededError: It would be more than `limit_bytes`; drop the connection.
            zlib.error: The body is no valid compressed data.
        """
        if self._is_plain:
            if len(piece) > limit_bytes:
                self.rescued = piece[:limit_bytes]
                raise LimitExceededError("body", limit_bytes)
            return piece
        if self._inflate is None:
            self._head += piece
            if len(self._head) < 2:
                return b""
            piece = self._head
            self._inflate = zlib.decompressobj(_ANY_WRAPPER if _has_wrapper(piece) else _BARE)
        inflated: list[bytes] = []
        left = limit_bytes
        while piece:
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_GZIP)
            before = self._inflate.copy()
            try:
                inflated.append(self._inflate.decompress(piece, left + 1))
            except zlib.error:
                self.rescued = b"".join((*inflated, _before_damage(before, piece, left)))
                raise
            left -= len(inflated[-1])
            if left < 0:
                self.rescued = b"".join(inflated)[:limit_bytes]
                raise LimitExceededError("decompressed body", limit_bytes)
            piece = self._inflate.unused_data
        return inflated[0] if len(inflated) == 1 else b"".join(inflated)

    @property
    def complete(self) -> bool:
        """Whether the body may end here: compressed data marks its end, any other relies on the framing."""
        return self._is_plain or (self._inflate is not None and self._inflate.eof)


def _has_wrapper(head: bytes) -> bool:
    """Whether a body begins with the header of zlib (RFC 1950, section 2.2) or of gzip."""
    is_zlib = head[0] & 0x0F == zlib.DEFLATED and head[0] >> 4 <= 7 and (head[0] << 8 | head[1]) % 31 == 0
    return is_zlib or head.startswith(_GZIP_HEAD)


def _before_damage(inflate: "zlib._Decompress", piece: bytes, limit_bytes: int) -> bytes:
    """What a damaged piece inflates to up to the damage: the library gives nothing of a call that fails."""
    inflated: list[bytes] = []
    left = limit_bytes
    with suppress(zlib.error):
        for index in range(len(piece)):
            if left <= 0:
                break
            inflated.append(inflate.decompress(piece[index : index + 1], left))
            left -= len(inflated[-1])
    return b"".join(inflated)
