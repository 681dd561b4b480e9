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

    def __init__(self, problem: str, expected: str) -> None:
        super().__init__(problem)
        self._expected = expected

    def expected(self, what: str) -> str:
        """Completes "expected ..."; `what` is it that the file is for, such as "the API key"."""
        return self._expected.format(what=what)


def parse(content: bytes) -> str:
    """Return the key: one word of printable ASCII. Blanks and empty lines around it are not part of it.

    Raises:
        BadKeyError: Nothing, too much, or what no header can carry.
    """
    key = content.strip()
    if not key:
        raise BadKeyError("it is empty", "a file with {what} (it is empty)")
    if len(content) > MAX_BYTES:
        much = f"it has more than {MAX_BYTES} bytes"
        raise BadKeyError(much, f"a file with {{what}} alone ({much})")
    if not _KEY.fullmatch(key):
        line = "one line of printable ASCII"
        raise BadKeyError(
            f"it holds other characters than {line}", f"a file with {line}, {{what}} alone (it holds other characters)"
        )
    return key.decode("ascii")
