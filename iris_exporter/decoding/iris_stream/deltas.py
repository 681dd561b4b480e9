"""Changes of metrics, projects and anomalies to whole ones: JSON Merge Patch against the last object of the same id.

Theory. A patch is applied to the object as it was on the wire, and what comes out is what a source without deltas would
have sent; the model knows of neither. All that is read of these objects is texts, numbers and booleans, so a patch is
one level deep here: nested values are dropped, from whole objects as from patches. Each `update` and `delta` has a
number, from 1 with the first one after `subscribed`. Where one is missing, the objects are no longer those of the
source, and nothing is applied until a new subscription has brought whole ones.

Source: docs/protocol.md, section 6; RFC 7396.
"""

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

MAX_BYTES = 32 * 1024 * 1024
"""What all objects of one stream may take: ten thousand projects take some 3 MB."""
MAX_OBJECTS = 200_000
"""As many projects and anomalies as the limits of the model may allow together."""
_FIELD_BYTES = 64
_SINGLE = "metrics"
_LISTS = ("projects", "anomalies")


class OutOfSyncError(Exception):
    """A patch cannot be applied: its number does not follow, or the objects take more room than they may have."""


class Deltas:
    """The objects of one connection, as they were last. Call `begin` with each answer to a subscription."""

    def __init__(self, max_bytes: int = MAX_BYTES, max_objects: int = MAX_OBJECTS) -> None:
        self._max_bytes, self._max_objects = max_bytes, max_objects
        self.begin()

    def begin(self) -> None:
        """A subscription begins: the next message has the number 1, and brings whole objects."""
        self._next = 1
        self._objects: dict[tuple[str, str], Object] = {}
        self._bytes = 0

    def follow(self, number: object) -> None:
        """Check the number of an `update` or a `delta`.

        Raises:
            OutOfSyncError: It is not the one after the last.
        """
        if type(number) is not int or number != self._next:
            raise OutOfSyncError
        self._next += 1

    def replace(self, data: Object) -> None:
        """Remember the whole objects of an `update`. Raises OutOfSyncError for more than may be remembered."""
        for kind, found in _objects_in(data):
            self._remember((kind, _id_of(found)), _flat(found))
        self._forget(data)

    def apply(self, data: Object) -> Object:
        """The data of a `delta` with whole objects in the place of patches; an object of an unknown id is whole.

        Raises:
            OutOfSyncError: The objects take more room than they may have.
        """
        whole = dict(data)
        if isinstance(data.get(_SINGLE), dict):
            whole[_SINGLE] = self._patched(_SINGLE, data[_SINGLE])
        for kind in _LISTS:
            if isinstance(data.get(kind), list):
                whole[kind] = [self._patched(kind, each) if isinstance(each, dict) else each for each in data[kind]]
        self._forget(data)
        return whole

    def _forget(self, data: Object) -> None:
        """Forget what is gone: one that comes back is whole."""
        removed = data.get("removed")
        if not isinstance(removed, dict):
            return
        for kind in _LISTS:
            for found in removed[kind] if isinstance(removed.get(kind), list) else ():
                self._bytes -= _size(self._objects.pop((kind, _id_of({"id": found})), {}))

    def _patched(self, kind: str, patch: Object) -> Object:
        key = (kind, _id_of(patch))
        found = {**self._objects.get(key, {}), **_flat(patch)}
        whole = {name: value for name, value in found.items() if value is not None}
        self._remember(key, whole)
        return whole

    def _remember(self, key: tuple[str, str], value: Object) -> None:
        self._bytes += _size(value) - _size(self._objects.get(key, {}))
        self._objects[key] = value
        if self._bytes > self._max_bytes or len(self._objects) > self._max_objects:
            raise OutOfSyncError


def _objects_in(data: Object) -> Iterable[tuple[str, Object]]:
    if isinstance(data.get(_SINGLE), dict):
        yield _SINGLE, data[_SINGLE]
    for kind in _LISTS:
        if isinstance(data.get(kind), list):
            yield from ((kind, each) for each in data[kind] if isinstance(each, dict))


def _id_of(value: Object) -> str:
    """The id, which may be a number; empty for metrics, of which there are one."""
    found = value.get("id")
    return "" if found is None or isinstance(found, dict | list) else str(found)


def _flat(value: Object) -> Object:
    return {name: each for name, each in value.items() if not isinstance(each, dict | list)}


def _size(value: Object) -> int:
    return sum(_FIELD_BYTES + len(name) + (len(each) if isinstance(each, str) else 0) for name, each in value.items())
