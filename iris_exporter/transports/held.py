"""What a link brings while its snapshot is still on its way, in the order of arrival."""

from collections import deque

from iris_exporter.transports.base import Received

MAX_HELD_BYTES = 8 * 1024 * 1024
"""Some minutes of what a source may send by the protocol. Beyond, the snapshot is given up: its stream matters more."""
_PIECE_BYTES = 256  # what an empty piece takes


class Held:
    """Pieces that wait, bounded by their bytes. `take` them from the oldest on.

    Who uses it says whether the snapshot is still `loading`, whether that was given up because the pieces `overflowed`,
    and whether what arrives still `waits` behind other pieces.
    """

    def __init__(self, limit_bytes: int = MAX_HELD_BYTES) -> None:
        self.loading = self.waits = True
        self.overflowed = False
        self._pieces: deque[tuple[Received, float]] = deque()
        self._bytes = 0
        self._limit = limit_bytes

    def put(self, received: Received, at: float) -> bool:
        """Keep a piece that arrived at wall time `at`; False when there is more now than should be."""
        self._pieces.append((received, at))
        self._bytes += sum(map(len, received.messages)) + _PIECE_BYTES
        return self._bytes <= self._limit

    def take(self) -> tuple[Received, float] | None:
        """The next piece, None when there is none."""
        return self._pieces.popleft() if self._pieces else None
