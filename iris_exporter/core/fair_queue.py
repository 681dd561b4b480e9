"""A fair queue: each client has a queue of its own, and they are served in turn.

Theory. One queue for all serves whoever asks most often. Here a client that asks a thousand times waits behind itself:
any other client is served after at most one item of each client. When the queue is full, the client with the most items
loses its newest one to a client with fewer, so that no client fills the queue alone.
"""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class QueueFullError(Exception):
    """There is no room, and no client has a longer queue than the one that asks."""


class FairQueue(Generic[Item]):
    """Holds at most `most` items, `most_per_client` of each client; feed it by `enter`, take from it by `take`."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        # In the order of turns, without clients that have no items.
        self._queues: dict[str, deque[Item]] = {}
        self._size = 0

    def enter(self, client: str, item: Item) -> Item | None:
        """Put an item at the end of its client's queue; return the item of another client that was displaced.

        Raises:
            QueueFullError: The client's own queue is full, or all is and the others have no longer queues.
        """
        own = len(self._queues.get(client, ()))
        if own >= self._most_per_client:
            raise QueueFullError
        displaced = None
        if self._size >= self._most:
            longest = max(self._queues.values(), key=len, default=deque[Item]())
            if len(longest) <= own + 1:
                raise QueueFullError
            displaced = longest.pop()
            self._size -= 1
        self._queues.setdefault(client, deque()).append(item)
        self._size += 1
        return displaced

    def take(self) -> Item | None:
        """Take the oldest item of the client whose turn it is; None when nothing waits. The client goes to the end."""
        if not self._queues:
            return None
        client = next(iter(self._queues))
        queue = self._queues.pop(client)
        item = queue.popleft()
        self._size -= 1
        if queue:
            self._queues[client] = queue
        return item

    def __len__(self) -> int:
        return self._size
