"""Long texts made short so that different ones stay different. Pure.

Names that come from outside end up in labels and keys. A name that is merely cut, or cleaned of what cannot be shown,
may become equal to another one, and then two things share a series; therefore whatever is changed gets the hash of
what it was. Sixteen hexadecimal digits do not stop an attacker from finding two names with one hash, who gains
no more than two names of his own that are counted together.
"""

import hashlib

MARK = "~"
"""Stands before the hash."""
DIGITS = 16
SHORTEST = len(MARK) + DIGITS
"""No limit may be smaller."""


def digest(text: str) -> str:
    """16 hexadecimal digits; a lone surrogate counts like any other character."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGITS // 2).hexdigest()


def marked(text: str, original: str, limit: int) -> str:
    """`text`, which `original` has become, cut to make room for the hash of `original`; at most `limit` characters."""
    return f"{text[: limit - SHORTEST]}{MARK}{digest(original)}"


def shortened(text: str, limit: int) -> str:
    """`text` when it has at most `limit` characters, else its beginning and its hash: exactly `limit` characters."""
    return text if len(text) <= limit else marked(text, text, limit)
