"""The content of a file with a key or a token. Pure, and used by every reader of such a file.

A key is checked when the program starts and read again for each request. With two rules, a rotated key could work until
the next restart.
"""

import re

MAX_BYTES = 8 * 1024
"""What web servers accept as one header line; no more of a file than one byte beyond it has to be read."""

_KEY = re.compile(rb"[\x21-\x7E]+")


class BadKeyError(ValueError):
    """The content of a file is no key; the text says why, never what it is."""


def parse(content: bytes) -> str:
    """Return the key: one word of printable ASCII. Blanks and empty lines around it are not part of it.

    Raises:
        BadKeyError: Nothing, too much, or what no header can carry.
    """
    key = content.strip()
    if not key:
        raise BadKeyError("it is empty")
    if len(content) > MAX_BYTES:
        raise BadKeyError(f"it has more than {MAX_BYTES} bytes")
    if not _KEY.fullmatch(key):
        raise BadKeyError("it holds other characters than one line of printable ASCII")
    return key.decode("ascii")
