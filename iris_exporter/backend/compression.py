"""Compression of answers: gzip of a stream with a flush for each write, and of bodies that are long enough."""

import gzip
import zlib

from aiohttp import web

from iris_exporter.web.negotiation import accepts_gzip

MIN_BODY_BYTES = 1024
"""A shorter body gains nothing worth the time."""
BODY_LEVEL = 1
"""Most of the gain at a fraction of the time, since bodies are compressed on the event loop."""
STREAM_LEVEL = 6
_GZIP = 16
_WINDOW_BITS = 13
_MEMORY_LEVEL = 6


class StreamGzip:
    """One gzip stream: what is fed to it can be read at the other end at once.

    Window and tables are small, 64 KB in all instead of 256: messages repeat those just before them, and there are as
    many streams as clients.
    """

    def __init__(self) -> None:
        self._compressor = zlib.compressobj(STREAM_LEVEL, zlib.DEFLATED, _GZIP + _WINDOW_BITS, _MEMORY_LEVEL)

    def feed(self, data: bytes) -> bytes:
        """Compress, with a flush (RFC 1951, an empty stored block) so that nothing is held back."""
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """The end of the stream, with its checksum."""
        return self._compressor.flush(zlib.Z_FINISH)


def compress_body(request: web.Request, response: web.Response) -> None:
    """Compress the body of an answer where the client wants that and it is worth it."""
    body = response.body
    if not isinstance(body, bytes) or len(body) <= MIN_BODY_BYTES or "Content-Encoding" in response.headers:
        return
    response.headers["Vary"] = "Accept-Encoding"
    if wants_gzip(request):
        response.body = gzip.compress(body, BODY_LEVEL, mtime=0)
        response.headers["Content-Encoding"] = "gzip"


def wants_gzip(request: web.Request) -> bool:
    """Whether the client accepts gzip, by all of its `Accept-Encoding` headers (RFC 9110, 12.5.3)."""
    return accepts_gzip(",".join(request.headers.getall("Accept-Encoding", ())))
