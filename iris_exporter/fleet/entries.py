"""What a source of discovery says about a stream, read by what reads the configuration.

An entry is a table of stream options, as below `streams:`. What it does not say comes from `defaults:`.
"""

from pathlib import Path
from typing import Any

from iris_exporter.config import rules, yaml_tree
from iris_exporter.config.options import STREAM_OPTIONS
from iris_exporter.config.reader import Reader, split
from iris_exporter.config.rules import TlsCheck
from iris_exporter.config.yaml_tree import Node, Table
from iris_exporter.errors import ConfigError, Problem
from iris_exporter.settings import StreamSettings


def read_entry(entry: Node, defaults: StreamSettings, file: Path | None, where: str, key: str) -> StreamSettings:
    """The settings that an entry means.

    Args:
        entry: A table of option names (with dashes) to plain values, or to lists of them.
        defaults: For what the entry does not say.
        file: What the entry comes from, if it is a file.
        where: The file and line, or the object, for messages.
        key: What messages call the entry.

    Raises:
        ConfigError: With every problem of the entry.
    """
    if not isinstance(entry, Table):
        raise ConfigError([Problem(where, key, yaml_tree.describe(entry), "keys with values")])
    reader = Reader(file)
    given = reader.given(entry, key, where, {name: option.type for name, option in STREAM_OPTIONS.items()})
    said = reader.read_all(given)
    for needed in ("name", "url"):
        if needed not in entry.entries:
            reader.report(where, f"{key}.{needed}", "nothing", STREAM_OPTIONS[needed].type.syntax)
    common = {name: getattr(defaults, option.path) for name, option in STREAM_OPTIONS.items() if name != "url"}
    # A broken value must not be replaced by a default in checks of what belongs together.
    values = {name: value for name, value in {**common, **said}.items() if name in said or name not in entry.entries}
    for name, expected in rules.stream_problems(values, given, _tls_check(values)):
        value_type = STREAM_OPTIONS[name].type
        shown = value_type.show(given[name].texts[0] if name in given else value_type.write(values[name]))
        reader.report(where, f"{key}.{name}", shown, expected)
    if reader.problems:
        raise ConfigError(reader.problems)
    changes = {STREAM_OPTIONS[name].path: value for name, value in values.items()}
    return StreamSettings(**changes)


def _tls_check(values: dict[str, Any]) -> TlsCheck | None:
    if not any(values.get(f"tls-{what}-file") for what in ("ca", "cert", "key")):
        return None
    from iris_exporter.http.tls import unusable_file  # here, because few need it

    return unusable_file


def table_of(options: dict[str, object]) -> Table:
    """The table of options that come as plain values, such as labels; a text has room for a list, as a variable has."""
    return Table({name: yaml_tree.from_json(_listed(name, value)) for name, value in options.items()}, 0)


def _listed(name: str, value: object) -> object:
    option = STREAM_OPTIONS.get(name)
    return (
        list(split(option.type, value)) if option is not None and option.type.many and isinstance(value, str) else value
    )
