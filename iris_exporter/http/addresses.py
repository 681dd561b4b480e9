"""Addresses for aiohttp, byte for byte as they are written.

yarl decodes some escapes (`%28` in a path, `%2F` and `%40` in a query) and resolves dots in a path, which breaks signed
addresses. Only what no URL may contain is escaped: a blank, a letter beyond ASCII, a percent sign that escapes nothing.

Source: RFC 3986, sections 2 and 6.2.2.
"""

import re
from urllib.parse import quote

from yarl import URL

_NOT_IN_A_URL = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")
_HEAD = re.compile(r"[^/?#]*//[^/?#]*")


def as_written(url: str) -> URL:
    """`url` for a request.

    Raises:
        ValueError: It is no address.
    """
    head = _HEAD.match(url)
    if head is None or not head[0].isascii() or "@" in head[0]:
        # A host beyond ASCII has a spelling for the wire (IDNA), a user becomes a header: both are known to yarl.
        known = URL(url)
        if not known.is_absolute():
            return known
        origin = f"{known.scheme}://{known.raw_authority}"
    else:
        origin = head[0].lower()  # a host in upper case is the same host: a connection to it is to be found again
    written = url if head is None else url[head.end() :]
    rest = _NOT_IN_A_URL.sub(lambda found: quote(found[0], safe=""), written)
    address = URL(origin + rest, encoded=True)
    if rest.partition("#")[0].endswith("?") and not address.raw_query_string:
        # yarl drops a question mark that nothing follows, unless it is part of the path.
        return address.with_path(f"{address.raw_path}?", encoded=True)
    return address
