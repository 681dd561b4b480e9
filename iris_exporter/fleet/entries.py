"""What a source of discovery says about a stream, read as strictly as the configuration.

An entry is a mapping of stream options to values, as below `streams:`. What it does not say comes from `defaults:`.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from iris_exporter.config import did_you_mean, kinds
from iris_exporter.config.kinds import BadValueError
from iris_exporter.config.options import STREAM_OPTIONS
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.settings import StreamSettings


def read_entry(entry: object, defaults: StreamSettings, where: str, base: Path) -> StreamSettings:
    """The settings that an entry means.

    Args:
        entry: A mapping of option names (with dashes) to plain values.
        defaults: For what the entry does not say.
        where: The file or object, for messages.
        base: Where relative paths start.

    Raises:
        ConfigError: With every problem of the entry.
    """
    if not isinstance(entry, Mapping):
        raise ConfigError([Problem(where, "(entry)", type(entry).__name__, "keys with values")])
    problems: list[Problem] = []
    changes: dict[str, object] = {}
    for key, value in entry.items():
        option = STREAM_OPTIONS.get(str(key))
        if option is None:
            hint = did_you_mean(str(key), STREAM_OPTIONS)
            problems.append(Problem(where, kinds.plain(str(key)), "an unknown key", "a key of a stream" + hint))
            continue
        texts = [_text(each) for each in (value if isinstance(value, list) else [value])]
        try:
            values = tuple(option.kind.read(text, base) for text in texts)
        except BadValueError as error:
            shown = error.shown or option.kind.shown(texts[0] if texts else "")
            problems.append(Problem(where, option.name, shown, error.expected))
            continue
        if not option.kind.many and len(values) != 1:
            problems.append(Problem(where, option.name, f"{len(values)} values", "one value"))
            continue
        changes[option.field] = values if option.kind.many else values[0]
    missing = [needed for needed in ("name", "url") if needed not in entry]
    problems += [Problem(where, needed, "nothing", STREAM_OPTIONS[needed].kind.syntax) for needed in missing]
    if problems:
        raise ConfigError(problems)
    return replace(defaults, **changes)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
