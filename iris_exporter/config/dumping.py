"""Settings back to YAML without secrets, and what a reload changed."""

from dataclasses import dataclass
from typing import Any

import yaml

from iris_exporter.config.option import Option
from iris_exporter.config.options import OPTIONS, STREAM_OPTIONS
from iris_exporter.core import urls
from iris_exporter.settings import Settings, StreamSettings


@dataclass(frozen=True, slots=True)
class Differences:
    """What has to be done to get from old settings to new ones.

    Streams are matched by name. `added` and `changed` hold new settings, `removed` old ones. `needs_restart` names
    the options whose change only a restart applies.
    """

    added: tuple[StreamSettings, ...]
    removed: tuple[StreamSettings, ...]
    changed: tuple[StreamSettings, ...]
    needs_restart: tuple[str, ...]


def dump(settings: Settings) -> str:
    """Return `settings` as a YAML file that `load` would accept, with secrets masked; files are only named."""
    result: dict[str, Any] = {}
    for option in OPTIONS:
        value = _value(settings, option)
        if option.in_file and option.group != "stream" and value is not None:
            _put(result, option.key.split("."), _written(option, value))
    result["streams"] = [
        {
            name: _written(option, getattr(stream, option.field))
            for name, option in STREAM_OPTIONS.items()
            if getattr(stream, option.field) not in (None, ())
        }
        for stream in settings.streams
    ]
    return str(yaml.dump(result, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000))


def differences(old: Settings, new: Settings) -> Differences:
    """Compare two settings; the level and format of logs, which a reload can apply, are not mentioned."""
    before = {stream.name: stream for stream in old.streams}
    after = {stream.name: stream for stream in new.streams}
    return Differences(
        added=tuple(stream for stream in new.streams if stream.name not in before),
        removed=tuple(stream for stream in old.streams if stream.name not in after),
        changed=tuple(stream for stream in new.streams if before.get(stream.name, stream) != stream),
        needs_restart=tuple(
            option.key for option in OPTIONS if option.restart and _value(old, option) != _value(new, option)
        ),
    )


class _Dumper(yaml.SafeDumper):
    """Writes no anchors: a file for people repeats itself."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _value(settings: Settings, option: Option) -> Any:
    """Return the value of an option outside of streams."""
    match option.key:
        case "web.listen-address":
            return settings.web.listen_addresses
        case "config.file":
            return settings.config_file
    field = option.name.replace("-", "_").replace(".", "_") + option.kind.field_suffix
    match option.group:
        case "web":
            return getattr(settings.web, field)
        case "fleet":
            return getattr(settings.fleet, field)
        case "live":
            return getattr(settings.live, field) or None
        case "discovery":
            return getattr(settings.discovery, field) or None
    return getattr(settings, option.key.replace(".", "_"), None)


def _written(option: Option, value: Any) -> Any:
    """Return what YAML should show; numbers and switches unquoted, all else as text."""
    if option.kind.mapping:
        return {name: urls.MASK for name, _ in value}
    if option.kind.many:
        return list(value)
    if isinstance(value, bool | float) and not option.kind.field_suffix:
        return value
    text = option.kind.write(value)
    if option.name.endswith("url"):
        return urls.redact(text)
    is_number = isinstance(value, int | float) and text.isdecimal()
    return int(text) if is_number else text


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        target = target.setdefault(part, {})
    target[path[-1]] = value
