"""The form of a log line: values without secrets and cut to length, in logfmt or JSON.

Redaction happens on each value before it is escaped and cut: afterwards a secret with a quote in it would not
match any more, nor would half a secret.
"""

import json
from collections.abc import Callable, Mapping

MAX_VALUE_CHARS = 1_000
"""Long enough for an error with a URL in it, short enough that a hostile server cannot fill the disk line by line."""
MAX_TRACEBACK_CHARS = 16_000
"""A traceback is the whole point of the debug level and needs more room."""

Scalar = str | int | float | bool

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def scalar(value: object, redact: Callable[[str], str], max_chars: int = MAX_VALUE_CHARS) -> Scalar:
    """Return `value` without secrets and cut to length: numbers stay numbers, all else becomes text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        # Six decimals are microseconds; beyond them only binary noise such as 1.6000000000000001 is left.
        number = round(value, 6) if isinstance(value, float) else value
        text = repr(number)
        redacted = redact(text)
        finite = number - number == 0  # JSON has no spelling for NaN and infinities
        return number if redacted == text and finite else redacted
    text = redact(_text(value))
    return text if len(text) <= max_chars else f"{text[:max_chars]}...({len(text) - max_chars} more characters)"


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, BaseException):
        message = str(value)
        return f"{type(value).__name__}: {message}" if message else type(value).__name__
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def as_json(line: Mapping[str, Scalar]) -> str:
    """One object without blanks."""
    return json.dumps(line, separators=(",", ":"))


def as_logfmt(line: Mapping[str, Scalar]) -> str:
    """`key=value` for each field."""
    return " ".join(f"{key}={_logfmt(value)}" for key, value in line.items())


def _logfmt(value: Scalar) -> str:
    """Quote where a reader of logfmt would otherwise stop: at blanks, quotes, `=`, and what does not print."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text and text.isprintable() and not any(character in ' "=\\' for character in text):
        return text
    return '"' + "".join(_ESCAPES.get(character) or _escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    """Spell what does not print (controls, bidirectional overrides, lone surrogates) as a code point."""
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
