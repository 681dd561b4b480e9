"""What is somewhere inside a description, so that nobody has to list the fields that may have it."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TypeVar

Found = TypeVar("Found")


def inside(description: object, kind: type[Found]) -> Iterator[Found]:
    """Yield every object of a kind in a description, or in a tuple of some, in the order of the fields.

    What is inside one of them is not looked at.
    """
    if isinstance(description, kind):
        yield description
    elif isinstance(description, tuple):
        for item in description:
            yield from inside(item, kind)
    elif is_dataclass(description):
        for each in fields(description):
            yield from inside(getattr(description, each.name), kind)
