"""What is sent to a source: text or JSON in which `${name}` stands for what is only known when it is sent.

Names are `secret` (the key file), `secret.NAME`, `param.NAME`, `cursor`, `next` (1, 2, ... on one connection), `origin`
(scheme and host of the stream's address). `${param.NAME[]}` as a whole string of JSON is a list: the text, divided at
commas. `$${` is `${`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

NAMES = ("secret", "secret.NAME", "param.NAME", "cursor", "next", "origin")
"""All that mean something in some text; which of them do in one, its type says."""

LIST = "[]"
"""Behind a name: the value is divided at commas."""

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)\}")
_WHOLE = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object of a template, in its order."""

    items: tuple[tuple[str, "Part"], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A JSON array of a template."""

    items: tuple["Part", ...]


Part = str | int | float | bool | None | Fields | Items
Resolve = Callable[[str], object]
"""The value for a name: text, number, or any JSON value."""


@dataclass(frozen=True, slots=True)
class Template:
    """What is sent; `content` is a text, which is sent as it is, or `Fields` or `Items`, which become JSON.

    `repr` leaves the content out: somebody may have written a secret into it.
    """

    content: Part

    def __repr__(self) -> str:
        return "Template(...)"

    @property
    def names(self) -> frozenset[str]:
        """The names that it uses."""
        return frozenset(_names(self.content))

    def render(self, resolve: Resolve) -> str:
        """Return what is sent.

        A string of JSON that is one name and nothing else becomes the value as it is (`"${next}"` a number); within a
        text it becomes its text. A key is a text always.
        """
        if isinstance(self.content, Fields | Items):
            return json.dumps(_filled(self.content, resolve), ensure_ascii=False, separators=(",", ":"))
        return _text(str(self.content), resolve)


def means(name: str, names: tuple[str, ...]) -> bool:
    """Whether a name is one of `names`, or begins as one of those that end in .NAME."""
    prefix, dot, _ = name.partition(".")
    return name in names or (dot == "." and f"{prefix}.NAME" in names)


def names_in(text: str) -> Iterator[str]:
    """Yield the names that a text uses."""
    found = (match.group(1) for match in _PLACEHOLDER.finditer(text))
    return (name.removesuffix(LIST) for name in found if name is not None)


def is_open(text: str) -> bool:
    """Whether a name begins in a text and does not end."""
    return "${" in _PLACEHOLDER.sub("", text)


def _names(part: Part) -> Iterator[str]:
    if isinstance(part, str):
        yield from names_in(part)
    elif isinstance(part, Items):
        for item in part.items:
            yield from _names(item)
    elif isinstance(part, Fields):
        for key, value in part.items:
            yield from names_in(key)
            yield from _names(value)


def _filled(part: Part, resolve: Resolve) -> object:
    if isinstance(part, Fields):
        return {_text(key, resolve): _filled(value, resolve) for key, value in part.items}
    if isinstance(part, Items):
        return [_filled(item, resolve) for item in part.items]
    if not isinstance(part, str):
        return part
    whole = _WHOLE.fullmatch(part)
    if whole is None:
        return _text(part, resolve)
    name = whole.group(1)
    if not name.endswith(LIST):
        return resolve(name)
    return [item for each in str(resolve(name.removesuffix(LIST))).split(",") if (item := each.strip())]


def _text(text: str, resolve: Resolve) -> str:
    def value(match: re.Match[str]) -> str:
        if match.group(1) is None:
            return "${"
        found = resolve(match.group(1).removesuffix(LIST))
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    return _PLACEHOLDER.sub(value, text)
