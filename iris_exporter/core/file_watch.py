"""When a file that is checked now and then should be read again. Pure; contents differ by a mark.

A mark stands for the content (None: the file cannot be read), as neither times nor inodes do: an editor replaces the
file or writes into it, a ConfigMap swaps the link that the path goes through, a copy keeps the time of its original.
A change counts when two checks in a row have found the same: a file that is being written is not read halfway.
A content that was refused is tried again at times, since what it was refused for may lie in a file that it names.
"""

RETRY_CHECKS = 12
"""A refused content is tried again after so many checks: Secrets and ConfigMaps arrive a minute or so apart."""


class FileWatch:
    """Call `check` now and then; read the file when it returns true, and call `loaded` after every reading."""

    def __init__(self, mark: str | None) -> None:
        self._tried = mark
        self._accepted = True
        self._seen: str | None = mark
        self._checks = 0

    def check(self, mark: str | None) -> bool:
        """Whether to read the file now that its content has this mark."""
        seen_twice = mark == self._seen
        self._seen = mark
        if not seen_twice:
            return False
        if mark != self._tried:
            return True
        if self._accepted:
            return False
        self._checks += 1
        return self._checks >= RETRY_CHECKS

    def loaded(self, mark: str | None, *, accepted: bool) -> None:
        """The file was read when its content had this mark, and could be used or not."""
        self._tried, self._accepted, self._checks = mark, accepted, 0
