"""Bytes to plain JSON values: a fast parser first, then a slow one that names what is wrong.

What standards leave open, and what sources do all the same, is read like this:

- a leading byte order mark is ignored; other encodings than UTF-8 are `not_utf8`;
- of equal keys in one object the last one counts;
- `NaN`, `Infinity` and numbers too large for a double become non-finite floats, which fields treat as missing;
- an integer of more than `MAX_INTEGER_DIGITS` digits is such a number too;
- a lone surrogate (`"\\ud800"`) and NUL become U+FFFD, since neither can be printed in an exposition;
- raw control characters in a text, trailing commas, comments, a second document are `not_json`;
- nesting deeper than the parsers go (some hundred levels) is `too_deep`.
"""

import json
import re
from typing import Any

import msgspec

from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.errors import DecodeError

MAX_INTEGER_DIGITS = 400
"""Beyond the largest double; converting thousands of digits takes quadratic time, and Python refuses it."""

MAX_METADATA_DEPTH = DEFAULT_LIMITS.max_json_depth
"""How deep the open object of an event may nest by default."""

_BOM = b"\xef\xbb\xbf"
_REPLACEMENT = "\ufffd"
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_BRACKETS_AND_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)

_fast = msgspec.json.Decoder()
encode = msgspec.json.Encoder().encode
"""A parsed value as JSON again; non-finite numbers become null. Raises RecursionError for very deep ones."""


def parse(data: bytes) -> Any:
    """One JSON document as dicts, lists, texts, numbers, booleans and None.

    Raises:
        DecodeError: `not_utf8`, `not_json` or `too_deep`; never another exception.
    """
    # NUL can only be written escaped; the fast parser would let it through.
    if b"\\u0000" not in data:
        try:
            return _fast.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # the slow parser reads it, or names the reason
    return _slow(data)


def _slow(data: bytes) -> Any:
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise DecodeError("not_utf8", "$", f"byte {error.start}: {error.reason}") from None
    try:
        return printable(json.loads(text, parse_int=_integer))
    except json.JSONDecodeError as error:
        raise DecodeError("not_json", "$", f"{error.msg} (character {error.pos})") from None
    except RecursionError:
        raise DecodeError("too_deep", "$", "nested deeper than is read") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else float(digits[:1] + "1e999")


def printable(value: Any) -> Any:
    """The same value without characters that cannot be written as UTF-8 or shown."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub(_REPLACEMENT, value)
    if isinstance(value, list):
        return [printable(element) for element in value]
    if isinstance(value, dict):
        return {printable(key): printable(element) for key, element in value.items()}
    return value


def nested_deeper(encoded: bytes, limit: int = MAX_METADATA_DEPTH) -> bool:
    """Whether a JSON text nests more than `limit` objects and lists."""
    if len(encoded) <= 2 * limit or encoded.count(b"{") + encoded.count(b"[") <= limit:
        return False
    depth = 0
    for match in _BRACKETS_AND_TEXTS.finditer(encoded):
        if match.group(1) is not None:
            depth += 1
            if depth > limit:
                return True
        elif match.group(2) is not None:
            depth -= 1
    return False


def is_clean(text: bytes) -> bool:
    """Whether a text has no NUL and is UTF-8: the decoder does not check what it skips or leaves raw."""
    # One byte is found much faster than six, and few messages have a backslash.
    if b"\\" in text and b"\\u0000" in text:
        return False
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
