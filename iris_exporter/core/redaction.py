"""Secrets in text: each of the spellings that reach a log line or an answer is replaced by a mask."""

import json
import threading
from urllib.parse import quote, quote_plus

MASK = "<redacted>"
"""What stands in place of a secret."""


class Redactor:
    """Replaces every registered secret, in each of its spellings, by `MASK`; safe to use in threads."""

    def __init__(self) -> None:
        self._spellings: tuple[str, ...] = ()
        self._lock = threading.Lock()  # a reload reads keys in a thread

    def protect(self, secret: str) -> None:
        """Hide `secret` from now on; the empty string is ignored. Secrets are never forgotten: old ones leak too."""
        if not secret:
            return
        spellings = {
            secret,
            quote(secret, safe=""),
            quote_plus(secret),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            repr(secret)[1:-1],
        }
        # Longest first, or a secret that contains another one would leave its remainder behind.
        with self._lock:
            self._spellings = tuple(sorted(spellings.union(self._spellings), key=lambda text: (-len(text), text)))

    def redact(self, text: str, shortest: int = 1) -> str:
        """Return `text` with each secret of at least `shortest` characters replaced."""
        for spelling in self._spellings:
            if spelling in text and len(spelling) >= shortest:
                text = text.replace(spelling, MASK)
        return text
