"""One JSON value to one Python value in base units. Pure.

Every conversion returns None for a value that is absent (null, an empty text, `N/A` and the like) and raises
`UnusableValueError` for one that it cannot read.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

import msgspec

from iris_exporter.core.positions import Outcome
from iris_exporter.core.shorten import MARK, digest

ABSENT_WORDS = frozenset({"", "-", "--", "n/a", "na", "nan", "none", "null", "undefined", "unknown"})
"""Texts that stand for a missing number or timestamp, lower-cased and stripped."""

MAX_ID_CHARS = 200
"""Longer ids are replaced by their hash, so that remembering ids takes bounded memory."""

MAX_LABEL_CHARS = 200
"""Longer names, types, severities and states are shortened: each becomes a label value."""

MAX_CODE_CHARS = 100
"""An error code of the source is a word; a longer one is cut."""

MAX_REPORT_CHARS = 1_000
"""The text of an error of the source is shown in a log line and by the API; a longer one is cut."""

SHARE_TOLERANCE = 1e-6
"""How far above 1 (or 100 %) a share may be: averages of floating-point numbers come out as 1.0000000000000002."""

_OUTCOMES = {each.value: each for each in Outcome if each is not Outcome.UNKNOWN}
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DIGITS = re.compile(r"\d{9,19}(?:\.\d+)?", re.ASCII)
_SPACE_BEFORE_OFFSET = re.compile(r" +(?=Z$|[+-]\d{2}:?\d{2}$)", re.ASCII)

# Unix time is read as seconds below the first bound, then as milli-, micro- and nanoseconds. 1e11 s is the year 5138
# and 1e11 ms the year 1973, so nothing of interest is ambiguous.
_EPOCH_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))


@dataclass(eq=False)
class UnusableValueError(ValueError):
    """A value that the field cannot have; `reason` is from `problems.REASONS`."""

    reason: str


def number(value: object) -> float | None:
    """A finite number, also from text such as `" 12.5 "`.

    Raises:
        UnusableValueError: `wrong_type` (a boolean, a list, an object), `not_a_number`, `not_finite`.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = value.strip()
        word = value.lower()
        if word in ABSENT_WORDS:
            return None
        if not _NUMBER.fullmatch(value):
            raise UnusableValueError("not_finite" if word.lstrip("+-") in ("inf", "infinity") else "not_a_number")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnusableValueError("wrong_type")
    try:
        result = float(value)
    except OverflowError:
        raise UnusableValueError("not_finite") from None
    if not isfinite(result):
        raise UnusableValueError("not_finite")
    return result


def count(value: object) -> float | None:
    """A number that cannot be negative. Raises as `number` does, and `out_of_range`."""
    result = number(value)
    if result is not None and result < 0:
        raise UnusableValueError("out_of_range")
    return result


def whole(value: object) -> int | None:
    """A whole number that cannot be negative; a fraction is cut off. Raises as `count` does."""
    result = count(value)
    return None if result is None else int(result)


def milliseconds(value: object) -> float | None:
    """A duration in milliseconds, as seconds. Raises as `count` does."""
    result = count(value)
    return None if result is None else result / 1000


def ratio(value: object) -> float | None:
    """A share from 0 to 1, from a source whose scale is not known.

    A text with a per cent sign is a percentage; so is a number above 1. Exactly 1 is ambiguous and means all of it,
    because a share of 1 % is rarer in practice than one of 100 %; where the rest of a document shows the scale,
    `percentage` is called.

    Raises:
        UnusableValueError: as `number`, and `out_of_range` below 0 or above 100 %.
    """
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return percentage(value)
    result = number(value)
    if result is not None and result > 1 + SHARE_TOLERANCE:
        return percentage(result)
    return None if result is None else _share(result)


def percentage(value: object) -> float | None:
    """A share from 0 to 1, written as 0 to 100 with or without a per cent sign. Raises as `ratio` does."""
    if isinstance(value, str):
        value = value.strip().removesuffix("%")
    result = number(value)
    # Without the digits that binary fractions add: 87.4 % is 0.874 and not 0.8740000000000001.
    return None if result is None else _share(round(result / 100, 12))


def _share(result: float) -> float:
    if not 0 <= result <= 1 + SHARE_TOLERANCE:
        raise UnusableValueError("out_of_range")
    return min(result, 1.0)


def is_percentage(value: object) -> bool:
    """Whether this share proves that its field counts from 0 to 100: a plain number in (1, 100]."""
    try:
        result = number(value)
    except UnusableValueError:
        return False
    return result is not None and 1 + SHARE_TOLERANCE < result <= 100 + SHARE_TOLERANCE


def timestamp(value: object) -> float | None:
    """A point in time, in Unix seconds.

    Read are ISO 8601 (a space for the `T`, any number of fraction digits, offset `Z`, `+00:00`, `+0000` or none, which
    is UTC; a date alone is its midnight) and Unix time in seconds, milli-, micro- or nanoseconds, as a number or as at
    least nine digits. The year 1, which is how some languages write "never", is None.

    Raises:
        UnusableValueError: `not_a_timestamp`, `out_of_range` (before 1970), and as `number` for other types.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        result = number(value)
        return None if result is None else _epoch(result)
    stripped = value.strip()
    if _DIGITS.fullmatch(stripped):
        return _epoch(float(stripped))
    if stripped.lower() in ABSENT_WORDS:
        return None
    return iso_timestamp(stripped)


def iso_timestamp(text: str) -> float | None:
    """A point in time in ISO 8601, in Unix seconds, as `timestamp` reads it. Raises as it does."""
    text = text.upper()
    if text.endswith("UTC"):
        text = text[:-3] + "Z"
    text = _SPACE_BEFORE_OFFSET.sub("", text)
    try:
        # As the decoder of well-formed events reads it, so that both round alike.
        found = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            raise UnusableValueError("not_a_timestamp") from None
    if found.year == 1:
        return None
    seconds = found.timestamp() if found.tzinfo is not None else found.replace(tzinfo=UTC).timestamp()
    if seconds < 0:
        raise UnusableValueError("out_of_range")
    return seconds


def _epoch(value: float) -> float:
    if value >= 0:
        for bound, unit in _EPOCH_UNITS:
            if value < bound:
                return value / unit
    raise UnusableValueError("out_of_range")


def timestamp_if_any(value: object) -> float | None:
    """A timestamp, or None for free text such as "2 minutes ago". Raises as `timestamp` for what is no text."""
    try:
        return timestamp(value)
    except UnusableValueError:
        if isinstance(value, str):
            return None
        raise


def text(value: object) -> str | None:
    """Text as it is; a number as its digits. Raises `wrong_type` for booleans, lists and objects."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnusableValueError("wrong_type")
    if isinstance(value, float):
        if not isfinite(value):
            raise UnusableValueError("not_finite")
        # The same id is written 1 by one JSON library and 1.0 by another.
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return str(value)


def identifier(value: object) -> str | None:
    """An id as text: 1 and 1.0 become "1", an empty text is none, a very long one its hash. Raises as `text`."""
    result = text(value)
    return made_id(result) if result is not None and len(result) > MAX_ID_CHARS else result or None


def position(value: object) -> str | None:
    """A place in the numbering of a source; an empty text is none. Raises as `text`, and `too_long`."""
    result = text(value)
    if result is not None and len(result) > MAX_ID_CHARS:
        raise UnusableValueError("too_long")
    return result or None


def outcome(value: object) -> Outcome:
    """What a source answers to a resume; an unknown word promises nothing. Raises as `text`."""
    return _OUTCOMES.get(text(value) or "", Outcome.NONE)


def made_id(*parts: str) -> str:
    """A stable id for what has none: `~` and 16 hexadecimal digits over the parts, in their order."""
    return MARK + digest("\x1f".join(parts))


def flag(value: object) -> bool | None:
    """A truth value, also from 0, 1 and the usual words. Raises `wrong_type`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value != 0
    word = value.strip().lower() if isinstance(value, str) else None
    if word in ("true", "yes", "1", "resolved"):
        return True
    if word in ("false", "no", "0") or word in ABSENT_WORDS:
        return False
    raise UnusableValueError("wrong_type")
