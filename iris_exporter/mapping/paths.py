"""Paths: where in a message something is, as a strict subset of JSONPath (RFC 9535).

A path names one place, so that it can be a field of a struct: `$` (the message) or `@` (the element of `each`), then
`.name`, `['any text']`, `[0]` or `[-1]`. Three roots are ours: `@key` is the key or index of the element, `@parent`
the element of the list or object around the innermost one of a nested `each`, and `meta.event`, `meta.id`,
`meta.stream` are not in the message at all. `[*]` (elements of a list) and `.*` (values of an object) are in `each`
alone.
"""

import re
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

_MAX_CHARS = 1_000
_MAX_STEPS = 64
_MAX_INDEX = 1_000_000

META_NAMES = ("event", "id", "stream")


class PathError(ValueError):
    """A text that is no path; the text of the error completes "expected ..."."""


class Root(StrEnum):
    """Where a path begins."""

    MESSAGE = "$"
    ELEMENT = "@"
    KEY = "@key"  # no steps
    PARENT = "@parent"  # in nested `each` alone
    META = "meta"  # one step of META_NAMES


class Wildcard(Enum):
    """A segment of `each` that stands for many places."""

    ELEMENTS = "[*]"  # of a list
    VALUES = ".*"  # of an object


Step = str | int
"""A key of an object, or an index of a list (from the end if below 0)."""

Segment = str | int | Wildcard


@dataclass(frozen=True, slots=True)
class Path:
    """One place; `text` is as it was written."""

    root: Root
    steps: tuple[Step, ...]
    text: str

    def __str__(self) -> str:
        return self.text


Paths = tuple[Path, ...]
"""The first that is there and not null is meant; never empty."""


@dataclass(frozen=True, slots=True)
class Each:
    """Many places of the message, each of them an element; at least one segment is a wildcard, which may be the last.

    A nested one (`$.updates[*].values[*]`) has several wildcards. Elements come in the order of the message.
    """

    base: Root  # MESSAGE
    segments: tuple[Segment, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def depth(self) -> int:
        """How many wildcards there are; `@parent` needs two."""
        return sum(isinstance(segment, Wildcard) for segment in self.segments)


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What is not there, which null is not."""


def find(value: Any, steps: tuple[Step, ...]) -> Any:
    """Return what is at the end of `steps` below a JSON value, or `MISSING`: an index fits a list, a key an object."""
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return MISSING
        elif not isinstance(value, list) or not -len(value) <= step < len(value):
            return MISSING
        value = value[step]
    return value


def read_path(text: str) -> Path:
    """Return the path that a text is.

    Raises:
        PathError: It is none.
    """
    if text.startswith("meta."):
        name = text.removeprefix("meta.")
        if name not in META_NAMES:
            raise PathError("one of " + ", ".join(f"meta.{each}" for each in META_NAMES))
        return Path(Root.META, (name,), text)
    root, rest = _root(text)
    segments = _segments(rest)
    steps = tuple(segment for segment in segments if not isinstance(segment, Wildcard))
    if len(steps) < len(segments):
        raise PathError("a path to one place: [*] and .* may stand in each alone")
    if root is Root.KEY and steps:
        raise PathError("@key alone: it is a text or a number, with nothing below it")
    return Path(root, steps, text)


def read_each(text: str) -> Each:
    """Return what `each` goes through.

    Raises:
        PathError: It is no path from `$`, or names one place alone.
    """
    root, rest = _root(text)
    if root is not Root.MESSAGE:
        raise PathError("a path from $, the message")
    segments = _segments(rest)
    if not any(isinstance(segment, Wildcard) for segment in segments):
        raise PathError("a path with [*] for the elements of a list, or .* for the values of an object")
    return Each(root, segments, text)


def written(root: Root, steps: tuple[Segment, ...]) -> str:
    """Return a path as people write it: `.name` where it has ASCII letters alone, else `['name']`."""
    return root.value + "".join(map(_written, steps))


# Reading

# RFC 9535, 2.5.1.1: member-name-shorthand.
_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*")
_INDEX = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_QUOTED = re.compile(r"""'((?:[^'\\\x00-\x1f]|\\.)*)'|"((?:[^"\\\x00-\x1f]|\\.)*)\"""")
_ESCAPE = re.compile(r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\"}
_ROOTS = (Root.PARENT, Root.KEY, Root.ELEMENT, Root.MESSAGE)  # the longer one of two that begin alike first


def _root(text: str) -> tuple[Root, str]:
    if len(text) > _MAX_CHARS:
        raise PathError(f"a path of at most {_MAX_CHARS} characters")
    for root in _ROOTS:
        rest = text.removeprefix(root.value)
        if rest != text and not _NAME.match(rest):
            return root, rest
    raise PathError("a path that begins with $, @, @key, @parent or meta.")


def _segments(text: str) -> tuple[Segment, ...]:
    """The segments of what follows the root."""
    segments: list[Segment] = []
    at = 0
    while at < len(text):
        segment, at = _segment(text, at)
        segments.append(segment)
    if len(segments) > _MAX_STEPS:
        raise PathError(f"a path of at most {_MAX_STEPS} steps")
    return tuple(segments)


def _segment(text: str, at: int) -> tuple[Segment, int]:
    """The segment that begins at `at`, and where the next one does."""
    for wildcard in Wildcard:
        if text.startswith(wildcard.value, at):
            return wildcard, at + len(wildcard.value)
    if text[at] == "[":
        return _bracket(text, at + 1)
    if text[at] != ".":
        raise PathError(f".name, ['any text'] or [0] behind {_shown(text[:at]) or 'the root'}")
    name = _NAME.match(text, at + 1)
    if name is None:
        raise PathError(f"a name behind the dot in {_shown(text[at:])}; any other text is written ['like this']")
    if name.end() < len(text) and text[name.end()] not in ".[":
        wrong = re.split(r"[.\[]", text[at + 1 :], maxsplit=1)[0]
        raise PathError(f"['{_shown(wrong)}'] instead of .{_shown(wrong)}, which has signs that no name has")
    return name.group(), name.end()


def _bracket(text: str, at: int) -> tuple[Step, int]:
    """What is between brackets, from behind the first one."""
    if quoted := _QUOTED.match(text, at):
        quote = text[at]
        step: Step = _unescaped(quoted.group(1) if quote == "'" else quoted.group(2), quote)
        end = quoted.end()
    elif index := _INDEX.match(text, at):
        end = index.end()
        step = int(index.group()) if len(index.group()) <= 8 else _MAX_INDEX + 1
        if abs(step) > _MAX_INDEX:
            raise PathError(f"an index of at most {_MAX_INDEX}")
    else:
        raise PathError(f"['any text'], [0] or [-1], not [{_shown(text[at:])}: a path names one place")
    if text[end : end + 1] != "]":
        raise PathError(f"a ] behind [{_shown(text[at:end])}")
    return step, end + 1


def _unescaped(text: str, quote: str) -> str:
    def replace(match: re.Match[str]) -> str:
        escape = match.group(1)
        if escape[0] == "u" and len(escape) > 1:
            units = b"".join(int(part, 16).to_bytes(2, "big") for part in re.findall(r"u([0-9a-fA-F]{4})", escape))
            try:
                return units.decode("utf-16-be")
            except UnicodeDecodeError:
                raise PathError(f"a character, not half of one (\\{escape})") from None
        if escape == quote:
            return quote
        if escape not in _ESCAPED:
            raise PathError(f"one of the escapes of JSON, not \\{_shown(escape)}")
        return _ESCAPED[escape]

    return _ESCAPE.sub(replace, text)


def _written(segment: Segment) -> str:
    if isinstance(segment, Wildcard):
        return segment.value
    if isinstance(segment, int):
        return f"[{segment}]"
    if segment.isascii() and _NAME.fullmatch(segment):
        return f".{segment}"
    return "['" + "".join(_escaped(character) for character in segment) + "']"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return f"\\u{ord(character):04x}" if character < " " or "\ud800" <= character <= "\udfff" else character


def _shown(text: str) -> str:
    """A piece of a path as a message may have it."""
    return "".join(c if c.isprintable() else "?" for c in text[:40]) + ("..." if len(text) > 40 else "")
