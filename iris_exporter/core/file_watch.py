"""When a file that is looked at now and then should be read again. Pure; contents are told apart by a mark.

A mark stands for the content (None: the file cannot be read), as neither times nor inodes do: an editor replaces the
file or writes into it, a ConfigMap swaps the link that the path goes through, a copy keeps the time of its original.
What has changed counts when two looks in a row have found the same: a file that is being written is not read halfway.
A content that was refused is tried again at times, since what it was refused for may lie in a file that it names.
"""

RETRY_LOOKS = 12
"""A refused content is tried again after so many looks: Secrets and ConfigMaps arrive a minute or so apart."""


class FileWatch:
    """For each look call `look`; where it says so read the file, and after every reading, whoever asked, `loaded`."""

    def __init__(self, mark: str | None) -> None:
        self._tried = mark
        self._accepted = True
        self._seen: str | None = mark
        self._looks = 0

    def look(self, mark: str | None) -> bool:
        """Whether to read the file now that its content has this mark."""
        seen_twice = mark == self._seen
        self._seen = mark
        if not seen_twice:
            return False
        if mark != self._tried:
            return True
        if self._accepted:
            return False
        self._looks += 1
        return self._looks >= RETRY_LOOKS

    def loaded(self, mark: str | None, *, accepted: bool) -> None:
        """The file was read when its content had this mark, and could be used or not."""
        self._tried, self._accepted, self._looks = mark, accepted, 0
