"""Settings back to YAML without secrets, and which changes need a restart."""

from operator import attrgetter
from typing import Any

from iris_exporter.config.mappings import plain_tree
from iris_exporter.config.options import OPTIONS, STREAM_OPTIONS, Option
from iris_exporter.core import urls
from iris_exporter.settings import Settings


def dump(settings: Settings) -> str:
    """Return `settings` as a YAML file that `load` would accept, with secrets masked; files are only named."""
    from iris_exporter.config import yaml_text

    result: dict[str, Any] = {}
    for option in OPTIONS:
        if option.in_file and option.group != "stream":
            _put(result, option.key.split("."), option, attrgetter(option.path)(settings))
    if settings.mapping_tree is not None:
        result["mappings"] = plain_tree(settings.mapping_tree)
    result["streams"] = []
    for stream in settings.streams:
        entry: dict[str, Any] = {}
        for name, option in STREAM_OPTIONS.items():
            _put(entry, [name], option, getattr(stream, option.path))
        result["streams"].append(entry)
    return yaml_text.write(result)


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return the keys of the options whose change only a restart applies."""
    changing = [option for option in OPTIONS if option.restart]
    return tuple(option.key for option in changing if attrgetter(option.path)(old) != attrgetter(option.path)(new))


def _put(target: dict[str, Any], path: list[str], option: Option, value: Any) -> None:
    """Add a value at its place in nested tables; nothing for one that is not set."""
    if value in (None, ()) or (written := _written(option, value)) == "":
        return
    for part in path[:-1]:
        target = target.setdefault(part, {})
    target[path[-1]] = written


def _written(option: Option, value: Any) -> Any:
    """Return what YAML should show; numbers and switches unquoted, all else as text."""
    if option.type.mapping:
        return {pair[0]: option.type.entry(pair) for pair in value}
    if option.type.many:
        return list(value)
    if isinstance(value, bool | float) and not option.type.suffix:
        return value
    text = option.type.write(value)
    if option.name.endswith("url"):
        return urls.redact(text)
    is_number = isinstance(value, int | float) and text.isdecimal()
    return int(text) if is_number else text
