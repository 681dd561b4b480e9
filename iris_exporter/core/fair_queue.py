"""A waiting line that is shared out by client: each has a line of its own, and they are served in turn.

Theory. One line for all belongs to whoever asks most often. Here a client that asks a thousand times waits behind
itself: whoever comes next is served after at most one item of each other client. When there is no room, the client
with the longest line gives up its newest item for one whose line is shorter, so that no client fills the room alone.
"""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LineFullError(Exception):
    """There is no room, and no client has a longer line than the one that asks."""


class FairLine(Generic[Item]):
    """Holds at most `most` items, `most_per_client` of each client; feed it by `enter`, take from it by `take`."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        # In the order of turns; a client without items is not kept.
        self._lines: dict[str, deque[Item]] = {}
        self._size = 0

    def enter(self, client: str, item: Item) -> Item | None:
        """Put an item at the end of its client's line; return the item of another client that had to go for it.

        Raises:
            LineFullError: The client's own line is full, or the room is and the others have no longer lines.
        """
        own = len(self._lines.get(client, ()))
        if own >= self._most_per_client:
            raise LineFullError
        displaced = None
        if self._size >= self._most:
            longest = max(self._lines.values(), key=len, default=deque[Item]())
            if len(longest) <= own + 1:
                raise LineFullError
            displaced = longest.pop()
            self._size -= 1
        self._lines.setdefault(client, deque()).append(item)
        self._size += 1
        return displaced

    def take(self) -> Item | None:
        """Take the oldest item of the client whose turn it is, who then goes to the end; None when nothing waits."""
        if not self._lines:
            return None
        client = next(iter(self._lines))
        line = self._lines.pop(client)
        item = line.popleft()
        self._size -= 1
        if line:
            self._lines[client] = line
        return item

    def __len__(self) -> int:
        return self._size
