"""What the operators of a mapping make of one plain JSON value: numbers, labels, states, ids and times. Pure,
but that a label has no secret of the process.

Every conversion returns None for a value that is absent (null, an empty text, for numbers also `N/A` and the like) and
raises `UnusableValueError` with a reason of `problems.MAPPING_REASONS` for one that it cannot read. Both ways of
decoding call these functions, so that they mean the same.
"""

from collections.abc import Sequence
from math import isfinite

from iris_exporter.core.labels import clean_label
from iris_exporter.decoding import values
from iris_exporter.decoding.values import UnusableValueError
from iris_exporter.logs import redact_data
from iris_exporter.mapping.patterns import MAX_SEARCHED
from iris_exporter.mapping.spec import LabelSpec, Order, StateSpec, TimeFormat, ValueSpec

MAX_BASE_DIGITS = 400
"""Beyond the largest double in any base; converting thousands of digits takes quadratic time."""

SEPARATOR = "\x1f"
"""Stands between the parts of an id."""

_ESCAPED = str.maketrans({"\x1e": "\x1e0", SEPARATOR: "\x1e1"})
_UNITS = {TimeFormat.UNIX: 1.0, TimeFormat.UNIX_MS: 1e3, TimeFormat.UNIX_US: 1e6, TimeFormat.UNIX_NS: 1e9}
_END_OF_TIME = 253_402_300_800.0
"""The year 10000."""


def text_of(raw: object) -> str | None:
    """A text as it is, a number as its digits, a boolean as JSON has it. Raises `wrong_type`, `not_finite`."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return values.text(raw)


def number_of(raw: object) -> float | None:
    """A finite number, also from a boolean and from text. Raises as `values.number`."""
    return float(raw) if isinstance(raw, bool) else values.number(raw)


def number(spec: ValueSpec, raw: object) -> float | None:
    """What `path`, `minus` or `per` of a value is as a number, before anything is done with it.

    Raises:
        UnusableValueError: It is no number in the way that the mapping names.
    """
    if raw is None:
        return None
    if spec.length:
        if isinstance(raw, str | list | dict):
            return float(len(raw))
        raise UnusableValueError("wrong_type")
    if spec.pattern is not None and raw != "":
        match = spec.pattern.search((text_of(raw) or "")[:MAX_SEARCHED])
        if match is None:
            raise UnusableValueError("no_match")
        raw = match.group(1) if spec.pattern.groups else match.group()
    if spec.map is not None:
        return _mapped(spec, raw)
    if spec.base is not None:
        return _in_base(raw, spec.base)
    return seconds(spec.format, raw) if spec.format is not None else number_of(raw)


def _mapped(spec: ValueSpec, raw: object) -> float | None:
    text = text_of(raw)
    found = None if text is None else (spec.map or {}).get(text)
    if found is not None or not text:
        return found
    if spec.other is None:
        raise UnusableValueError("not_in_map")
    return spec.other


def _in_base(raw: object, base: int) -> float | None:
    text = (text_of(raw) or "").strip()
    if not text:
        return None
    if len(text) > MAX_BASE_DIGITS:
        raise UnusableValueError("not_finite")
    if "_" in text or not text.isascii():
        raise UnusableValueError("not_a_number")
    try:
        return float(int(text, base))
    except OverflowError:
        raise UnusableValueError("not_finite") from None
    except ValueError:
        raise UnusableValueError("not_a_number") from None


def combined(spec: ValueSpec, value: float, minus: float | None = None, per: float | None = None) -> float:
    """The value of a sample: less `minus`, divided by `per` where the mapping has them, in the base unit.

    Raises:
        UnusableValueError: `division_by_zero`, `not_finite`.
    """
    if minus is not None:
        value -= minus
    if per is not None:
        if per == 0:
            raise UnusableValueError("division_by_zero")
        value /= per
    return scaled(spec, value)


def scaled(spec: ValueSpec, value: float) -> float:
    """A value in the base unit. Raises `not_finite`."""
    value = value * spec.factor + spec.offset
    if not isfinite(value):
        raise UnusableValueError("not_finite")
    return value


def seconds(time_format: TimeFormat, raw: object) -> float | None:
    """A time in Unix seconds.

    Raises:
        UnusableValueError: `not_a_timestamp`, `wrong_type`, `out_of_range`.
    """
    if raw is None or raw == "":
        return None
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise UnusableValueError("wrong_type")
    if time_format is TimeFormat.ISO:
        return _iso(raw)
    try:
        found = values.number(raw)
    except UnusableValueError:
        raise UnusableValueError("not_a_timestamp") from None
    if found is None:
        return None
    found /= _UNITS[time_format]
    if not 0 <= found < _END_OF_TIME:
        raise UnusableValueError("out_of_range")
    return found


def _iso(raw: str | float) -> float | None:
    if not isinstance(raw, str):
        raise UnusableValueError("not_a_timestamp")
    stripped = raw.strip()
    return None if stripped.lower() in values.ABSENT_WORDS else values.iso_timestamp(stripped)


def label(spec: LabelSpec, raw: object, limit: int) -> tuple[str, bool]:
    """The text of a label, and whether it was changed to be shown; at most `limit` characters, unless it is a constant.

    Raises:
        UnusableValueError: `wrong_type`, `not_finite`.
    """
    if spec.path is None:
        return spec.constant or "", False
    text = text_of(raw)
    text = _operated(spec, text) if text else spec.default
    clean = clean_label(redact_data(text or ""), limit)
    return clean, clean != text


def _operated(spec: LabelSpec, text: str) -> str:
    if spec.pattern is not None:
        match = spec.pattern.search(text[:MAX_SEARCHED])
        found = None if match is None else match.group(1) if spec.pattern.groups else match.group()
        if found is None:
            return spec.other
        text = found
    if spec.lower:
        text = text.lower()
    if spec.map is not None:
        text = spec.map.get(text, text if spec.unmapped is None else spec.unmapped)
    return text if spec.keep is None or text in spec.keep else spec.other


def state(spec: StateSpec, states: Sequence[str], raw: object) -> str | None:
    """Which of the states holds; None where nothing is reported.

    Raises:
        UnusableValueError: `wrong_type`, `not_finite`; `not_a_state` where none of them does.
    """
    text = text_of(raw)
    if not text:
        return None
    if spec.map is not None:
        text = spec.map.get(text, text)
    if text not in states:
        raise UnusableValueError("not_a_state")
    return text


def identity(parts: Sequence[object]) -> str | None:
    """An id of its parts, so that no two lists of parts have the same one; None without the first part.

    Parts that are missing or empty are alike. Raises `wrong_type`, `not_finite`.
    """
    if len(parts) == 1:
        return values.made_id(text) if len(text := text_of(parts[0]) or "") > values.MAX_ID_CHARS else text or None
    texts = [text_of(part) or "" for part in parts]
    if not texts[0]:
        return None
    joined = SEPARATOR.join([text.translate(_ESCAPED) for text in texts])
    return values.made_id(joined) if len(joined) > values.MAX_ID_CHARS else joined


def cursor(order: Order, raw: object) -> str | None:
    """Where in the stream a message is, as text. Raises `cursor`."""
    if raw is None or raw == "":
        return None
    try:
        text = text_of(raw)
    except UnusableValueError:
        text = None
    if text is None or isinstance(raw, bool):
        raise UnusableValueError("cursor")
    if order is Order.NUMBER and not (text.isascii() and text.isdigit() and len(text) <= MAX_CURSOR_DIGITS):
        raise UnusableValueError("cursor")
    return text


MAX_CURSOR_DIGITS = 30
"""Nanoseconds since 1970 have 19; converting a number of thousands of digits takes quadratic time."""
