"""Samples that can be given away: messages of a source with their values replaced.

Structure, types, keys, times, and every text that the mapping names stay; other texts and numbers become others of the
same length, the same ones always the same, so that ids still repeat where they did.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from iris_exporter.decoding.dialect import Frame, NamedEvent
from iris_exporter.decoding.mapped.pieces import head_of_packet
from iris_exporter.errors import UsageError
from iris_exporter.mapping.inside import inside
from iris_exporter.mapping.paths import MISSING
from iris_exporter.mapping.spec import Condition, Format, LabelSpec, Mapping, StateSpec, ValueSpec
from iris_exporter.trial.coverage import message_of
from iris_exporter.trial.running import messages_in, text_of
from iris_exporter.trial.samples import Arrival

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_UNIX_TIMES = ((1e9, 4e9), (1e12, 4e12), (1e15, 4e15), (1e18, 4e18))
_MOST_DRAWS = 20


def save(directory: Path, mapping: Mapping, arrivals: Iterable[Arrival]) -> Path:
    """Write messages to a sample in a directory, which is made where it is missing; return the file.

    Raises:
        UsageError: It cannot be written.
    """
    messages = tuple(arrivals)
    named = any(isinstance(arrival.frame, NamedEvent) for arrival in messages)
    path = directory / ("sample.sse" if named else "sample.ndjson")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Disguise(mapping).sample(messages))
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return path


class Disguise:
    """Replaces values; `salt` makes the replacements of one run its own."""

    def __init__(self, mapping: Mapping, salt: bytes | None = None) -> None:
        self._mapping = mapping
        self._salt = secrets.token_bytes(16) if salt is None else salt
        self._named = frozenset(_named(mapping))

    def sample(self, arrivals: Iterable[Arrival]) -> bytes:
        """Return messages as a sample: an event stream where they have names, else a message in each line."""
        frames = (frame for arrival in arrivals for frame in messages_in(arrival.frame, self._mapping.format))
        return b"".join(map(self._message, frames))

    def _message(self, frame: Frame) -> bytes:
        text = self.text(text_of(frame))
        if isinstance(frame, NamedEvent):
            identifier = self._replaced_text(frame.id)
            lines = [f"event: {frame.name}".encode(), *([f"id: {identifier}".encode()] if identifier else [])]
            return b"\n".join([*lines, b"data: " + text, b"", b""])
        return text + b"\n"

    def text(self, text: bytes) -> bytes:
        """One message in one line, with its values replaced; a text that is no JSON becomes letters, too."""
        prefix = head_of_packet(text) if self._mapping.format is Format.ENGINE_IO else b""
        text = text.removeprefix(prefix)
        value = message_of(text, Format.JSON)
        if value is not MISSING:
            with suppress(RecursionError):  # too deep for any mapping
                return prefix + json.dumps(self._replaced(value), ensure_ascii=False, separators=(",", ":")).encode()
        plain = text.decode("utf-8", "replace").replace("\n", " ")
        return prefix + (plain if plain in self._named else self._letters(plain)).encode()

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._replaced(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._replaced(item) for item in value]
        if isinstance(value, str):
            return self._replaced_text(value)
        if isinstance(value, bool) or value is None or not isinstance(value, int | float):
            return value
        return self._replaced_number(value)

    def _replaced_text(self, text: str) -> str:
        if text in self._named or _is_time(text):
            return text
        inner = message_of(text.encode("utf-8", "replace"), Format.JSON)
        if isinstance(inner, dict | list):
            return json.dumps(self._replaced(inner), ensure_ascii=False, separators=(",", ":"))
        return self._letters(text)

    def _letters(self, text: str) -> str:
        """Other letters and digits in the place of those of a text."""
        draw = self._draws(text)
        return _different(text, lambda: "".join(_other(character, draw) for character in text))

    def _replaced_number(self, number: float) -> float:
        if number in self._named or any(least <= abs(number) < most for least, most in _UNIX_TIMES):
            return number
        text = repr(number)
        draw = self._draws(text)
        mantissa, *exponent = text.partition("e")
        # The first digit is never 0, so that the number stays one.
        other = _different(
            mantissa, lambda: "".join(str(1 + next(draw) % 9) if c in "123456789" else c for c in mantissa)
        ) + "".join(exponent)
        return int(other) if isinstance(number, int) else float(other)

    def _draws(self, text: str) -> Iterator[int]:
        block = self._salt + text.encode("utf-8", "replace")
        while True:
            block = hashlib.sha256(block).digest()
            yield from block


def _different(text: str, draw: Callable[[], str]) -> str:
    """The first draw that is not the text itself, as that of a short one may be; the text where it has nothing else."""
    return next((other for other in (draw() for _ in range(_MOST_DRAWS)) if other != text), text)


def _other(character: str, draw: Iterator[int]) -> str:
    if character.isdigit():
        return str(next(draw) % 10)
    if character.isalpha():
        letter = _LETTERS[next(draw) % len(_LETTERS)]
        return letter.upper() if character.isupper() else letter
    return character


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) >= 10


def _named(mapping: Mapping) -> Iterator[object]:
    """Yield every constant that a mapping compares a value with."""
    for condition in inside(mapping, Condition):
        yield from condition.equals or ()
        yield from condition.unequal or ()
    for value in inside(mapping, ValueSpec):
        yield from value.map or ()
    for state in inside(mapping, StateSpec):
        yield from state.map or ()
    for label in inside(mapping, LabelSpec):
        yield from label.map or ()
        yield from label.keep or ()
    for metric in mapping.metrics:
        yield from metric.states
    for entry in mapping.all_entries:
        if entry.text is not None:
            yield entry.text
