"""Types of values: each reads text, says what it expects, and writes the value back.

Text is the one form in which flags, variables and files meet: a YAML scalar is read as it is written, so that `name:
007` keeps its zeros and `30` is the same mistake everywhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from iris_exporter import units
from iris_exporter.core import urls

_MAX_SHOWN = 80
_DECIMAL = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"

_Number = TypeVar("_Number", int, float)


@dataclass(eq=False)
class BadValueError(ValueError):
    """A value is not what its type needs: `expected` completes "expected ...", `shown` is fit to be printed.

    `shown` None leaves it to the type how much of the text may be printed.
    """

    expected: str
    shown: str | None = None


class ReasonError(ValueError):
    """Why a text is no such value; goes in brackets behind what is expected."""


def quoted(text: str) -> str:
    """Return `text` in quotes, escaped, and cut to a length that fits a line; of an address what may be shown."""
    if "://" in text:
        text = urls.redact(text)
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}...")


def plain(key: str) -> str:
    """Return a key that somebody made up so that it cannot confuse a terminal, fill a screen or show a secret."""
    return key if key.isprintable() and len(key) <= 100 and "://" not in key else quoted(key)


@dataclass(frozen=True, slots=True)
class ValueType:
    """How a text is read and written.

    Args:
        syntax: What is expected, for documentation and errors.
        metavar: What stands for the value in `--help`.
        parse: Text and the directory that relative paths start from, to the value. Any ValueError refuses the text.
        write: The value, to text that `parse` accepts.
        show: Text as it may appear in an error message, without secrets.
        suffix: What the attribute's name has and the option's has not: its unit.
        many: Takes a list: repeated as a flag, a sequence in a file, separated by `separator` in a variable.
        mapping: Of a list: in a file it may be a mapping as well, each entry of which is the text `key: value`.
        entry: Of such a mapping: the value of an entry, key and value, as a dump may have it.
        switch: A flag that needs no value.
    """

    syntax: str
    metavar: str
    parse: Callable[[str, Path], object]
    write: Callable[[Any], str] = str
    show: Callable[[str], str] = quoted
    suffix: str = ""
    many: bool = False
    separator: str = ","
    mapping: bool = False
    entry: Callable[[Any], str] = lambda _: urls.MASK
    switch: bool = False

    def read(self, text: str, base: Path = Path()) -> Any:
        """Return the value; relative paths start from `base`.

        Raises:
            BadValueError: The text is no such value.
        """
        try:
            return self.parse(text, base)
        except BadValueError:
            raise
        except ReasonError as reason:
            raise BadValueError(f"{self.syntax} ({reason})") from None
        except ValueError:
            raise BadValueError(self.syntax) from None


# Makers of types


def duration(least: float, most: float) -> ValueType:
    """A duration between `least` and `most` seconds."""
    limits = f"between {units.format_duration(least)} and {units.format_duration(most)}"
    return ValueType(
        f"a duration with a unit (500ms, 3s, 1m30s) {limits}",
        "DURATION",
        lambda text, _: _within(units.parse_duration(text), least, most),
        units.format_duration,
        suffix="_seconds",
    )


def size(least: int, most: int) -> ValueType:
    """A number of bytes between `least` and `most`."""
    return ValueType(
        f"a size (100KiB, 1MiB, 1MB) between {units.format_size(least)} and {units.format_size(most)}",
        "SIZE",
        lambda text, _: _within(units.parse_size(text), least, most),
        units.format_size,
    )


def integer(least: int, most: int) -> ValueType:
    """A whole number between `least` and `most`; at most 12 digits are read."""
    # No int() alone: it also takes blanks, underscores and the digits of every script.
    syntax = f"a whole number between {least} and {most}"
    return ValueType(syntax, "NUMBER", lambda text, _: _within(int(matched("[0-9]{1,12}", text)), least, most))


def number(least: float, most: float, metavar: str = "NUMBER") -> ValueType:
    """A decimal number between `least` and `most`; at most 12 digits before and behind the point are read."""
    syntax = f"a number between {least:g} and {most:g}"
    return ValueType(syntax, metavar, lambda text, _: _within(float(matched(_DECIMAL, text)), least, most))


def choice(*words: str) -> ValueType:
    """One of a few words."""
    return one_of({word: word for word in words})


def one_of(meanings: Mapping[str, object], more: str = "", *, many: bool = False) -> ValueType:
    """A word that stands for something; `more` is added to what is expected."""

    def parse(text: str, _base: Path) -> object:
        if text not in meanings:
            raise ValueError(text)
        return meanings[text]

    return ValueType(f"one of {', '.join(meanings)}{more}", "|".join(meanings), parse, many=many)


def matching(syntax: str, metavar: str, pattern: str) -> ValueType:
    """A text that matches a regular expression as a whole."""
    return ValueType(syntax, metavar, lambda text, _: matched(pattern, text))


def matched(pattern: str, text: str) -> str:
    """Return the text; raises ValueError unless it matches as a whole."""
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(text)
    return text


def _within(number: _Number, least: float, most: float) -> _Number:
    if not least <= number <= most:
        raise ValueError(number)
    return number


def read_file(path: Path, syntax: str, count: int) -> bytes:
    """Return at most so many bytes of what should be `syntax`; a pipe is left as it is by none.

    Raises:
        BadValueError: The file cannot be opened or read.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise BadValueError(f"{syntax} ({error.strerror})", quoted(str(path))) from error


def _parse_file(text: str, base: Path) -> Path:
    path = resolve(text, base)
    read_file(path, FILE.syntax, 0)
    return path


def resolve(text: str, base: Path) -> Path:
    """Return the path that a text means; raises ValueError for what is none."""
    if not text or not text.isprintable():
        raise ValueError(text)
    try:
        return base / Path(text).expanduser()
    except RuntimeError:
        raise ReasonError("the directory that ~ stands for is not known") from None


SWITCH = ValueType(
    "true or false",
    "true|false",
    one_of({"true": True, "false": False}).parse,
    lambda value: "true" if value else "false",
    switch=True,
)
FILE = ValueType("a readable file", "FILE", _parse_file)
