"""Durations and sizes as people write them, and back: `1m30s` is 90 seconds, `1MiB` is 1,048,576 bytes."""

import re

_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# From large to small, each unit at most once: the order of Prometheus, in which 1s1m is a mistake and not 61 seconds.
_DURATION = re.compile(
    r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+)ms)?", re.ASCII
)
_BYTES = {
    "": 1,
    "B": 1,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_SIZE = re.compile(r"(?P<number>\d+)(?P<unit>[A-Za-z]*)", re.ASCII)
# Longer than any number with a meaning here; int() and float() of endless digits cost time.
_MAX_CHARS = 32


def parse_duration(text: str) -> float:
    """Return the seconds of `500ms`, `3s`, `1.5s`, `1m30s`, `2h` or `1d`.

    Raises:
        ValueError: Not a duration. A bare number is none either, except `0`, which is the same in every unit.
    """
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text) if 0 < len(text) <= _MAX_CHARS else None
    if match is None:
        raise ValueError(text)
    # Summed in milliseconds, because 0.001 has no exact binary form and 1.5s and 1s500ms should be the same number.
    return sum(float(number) * (_SECONDS[unit] * 1000) for unit, number in match.groupdict("0").items()) / 1000


def format_duration(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads back, to the millisecond; `seconds` is 0 or more."""
    rest = round(seconds * 1000)
    if rest == 0:
        return "0"
    parts = []
    for unit, length in _SECONDS.items():
        count, rest = divmod(rest, round(length * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def parse_size(text: str) -> int:
    """Return the bytes of `100KiB`, `1MiB`, `1MB` (powers of ten) or `1048576`.

    Raises:
        ValueError: Not a size.
    """
    match = _SIZE.fullmatch(text) if len(text) <= _MAX_CHARS else None
    if match is None or match["unit"] not in _BYTES:
        raise ValueError(text)
    return int(match["number"]) * _BYTES[match["unit"]]


def format_size(size_bytes: int) -> str:
    """Return the shortest exact text that `parse_size` reads back; binary units where they fit."""
    for unit in ("GiB", "MiB", "KiB", "GB", "MB", "KB"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return f"{size_bytes}B"
