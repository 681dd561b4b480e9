"""In which order the pages of one poll came. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from iris_exporter.core.positions import parse_position
from iris_exporter.decoding.elements import MappedBatch
from iris_exporter.decoding.messages import EventBatch, Message
from iris_exporter.errors import DecodeError
from iris_exporter.mapping.spec import Order

Read = list[EventBatch | Message | DecodeError]


def are_newest_first(pages: Sequence[Read], order: Order) -> bool:
    """Whether the cursors of pages show that the newest came first; `opaque` ones never show it."""
    if order is Order.OPAQUE:
        return False
    highest = [found for page in pages if (found := _highest(page, order))]
    return any(
        later[key] < earlier[key] for earlier, later in pairwise(highest) for key in earlier.keys() & later.keys()
    )


def _highest(page: Read, order: Order) -> dict[str, int]:
    """The highest number of a page, for each key or epoch that it has numbers of."""
    found: dict[str, int] = {}
    for batch in page:
        if not isinstance(batch, MappedBatch):
            continue
        keys = batch.position_keys or [""] * len(batch.positions)
        for key, text in zip(keys, batch.positions, strict=True):
            epoch, number = (key, int(text)) if order is Order.NUMBER else (parse_position(text) or ("", 0))
            found[epoch] = max(found.get(epoch, 0), number)
    return found
