"""Influx line protocol: one line for each point, whatever its texts contain.

Tags identify a point, fields are its values. A text in a tag has commas, equals signs and spaces escaped and no line
ends; a text in a field is quoted. A field that is None is left out, and a point without fields is no point.
Source: InfluxDB line protocol reference; Grafana Live, "Push metrics from Telegraf".
"""

from collections.abc import Mapping

_MAX_TEXT_CHARS = 1000

Field = str | float | int | bool | None


def line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], at: float) -> str:
    """One line without its end, or an empty text when no field has a value; `at` is Unix time."""
    values = ",".join(f"{key}={_value(value)}" for key, value in fields.items() if value is not None)
    if not values:
        return ""
    names = "".join(f",{key}={_tag(value)}" for key, value in tags.items() if value)
    return f"{measurement}{names} {values} {round(at * 1e9)}"


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return repr(value)
    escaped = _plain(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tag(value: str) -> str:
    # A backslash at the end of a tag would escape the comma behind it.
    plain = _plain(value).replace("\\", "/")
    for special in (",", "=", " "):
        plain = plain.replace(special, "\\" + special)
    return plain


def _plain(text: str) -> str:
    """Text without what ends a line or cannot be encoded."""
    cut = text[:_MAX_TEXT_CHARS]
    return "".join(letter if letter.isprintable() else " " for letter in cut).encode("utf-8", "replace").decode()
