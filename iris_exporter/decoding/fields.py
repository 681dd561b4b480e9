"""What messages and documents are made of, for a diagnosis: which of their fields are read, and which are not.

The names of fields are the source's words. Values are not here, but for shares, whose scale follows from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """A share as it was sent, a number, and whether it was read as 0 to 100 (or else as 0 to 1)."""

    name: str
    value: float
    is_percentage: bool


@dataclass(frozen=True, slots=True)
class ObjectFields:
    """One object. `known` has every name that would be read here, with the first spelling of its field.

    `read` are the fields that are there, each by its first spelling; `unread` are names that mean nothing to us.
    """

    place: str
    known: Mapping[str, str]
    read: frozenset[str]
    unread: frozenset[str]
    names: frozenset[str]
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageFields:
    """One message or document; `shape` says in a word or two how it is built."""

    shape: str
    objects: tuple[ObjectFields, ...]
