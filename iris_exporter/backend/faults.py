"""Faults to play with: what there is, how they are written, and which are on. Pure; time is handed in.

A fault is written `name`, `name=value`, or with a scope before it, `rest:503`, `all:slow=2`. The scope says which
requests it hits: `stream` (the streams and the older socket), `rest` (everything else below `/api`), or `all`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from iris_exporter.errors import ConfigError, Problem

SCOPES = ("all", "stream", "rest")
DEFAULT_RETRY_AFTER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One fault that exists.

    `value` names what follows the equals sign ("" for nothing, in brackets when it may be left out). `scope` is the
    default; only those with `scoped` take another one, since the rest make sense inside a stream alone.
    """

    name: str
    value: str
    effect: str
    scoped: bool = False
    scope: str = "stream"

    @property
    def usage(self) -> str:
        """How it is written, as in `drop=SECONDS`."""
        if not self.value:
            return self.name
        return f"{self.name}[={self.value[1:-1]}]" if self.value.startswith("[") else f"{self.name}={self.value}"


KINDS = {
    kind.name: kind
    for kind in (
        FaultKind("drop", "SECONDS", "cut each stream connection without a goodbye after that long"),
        FaultKind("drop-clean", "SECONDS", "end each stream properly after that long (close frame, end of body)"),
        FaultKind("silent", "[SECONDS]", "stay connected but send nothing at all, not even pongs, after that long"),
        FaultKind("data-silent", "", "send heartbeats and pongs only"),
        FaultKind("refuse", "", "cut the connection of each request without an answer", scoped=True),
        FaultKind("401", "", "answer 401: no or bad key", scoped=True),
        FaultKind("403", "", "answer 403: not allowed", scoped=True),
        FaultKind("404", "", "answer 404: wrong address", scoped=True),
        FaultKind("429", "[SECONDS]", "answer 429 with Retry-After (30 s by default)", scoped=True),
        FaultKind("503", "", "answer 503: unavailable", scoped=True),
        FaultKind("accept-close", "", "accept each stream and close it at once"),
        FaultKind(
            "garbage", "", "replace every third message by, in turn, broken JSON, binary, HTML, half, wrong types"
        ),
        FaultKind("slow", "SECONDS", "wait that long before the head of each answer", scoped=True),
        FaultKind("hang", "", "accept each request and never answer", scoped=True),
        FaultKind("html", "", "answer 200 with a page of HTML", scoped=True),
        FaultKind("huge", "BYTES", "send a valid message of that size before the next one and every fiftieth after it"),
        FaultKind("error", "CODE", "send an `error` message with that code on each stream, then go on"),
        FaultKind("restart", "[SECONDS]", "lose the history and all streams as a restart does, now or every so often"),
        FaultKind("duplicate", "", "send each message that carries events twice"),
        FaultKind("flap", "UP,DOWN", "be there for UP seconds and gone for DOWN, in turn", scoped=True, scope="all"),
    )
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that is on, since `since` (monotonic seconds); numbers and text hold its value."""

    kind: FaultKind
    scope: str
    numbers: tuple[float, ...]
    text: str
    since: float

    @property
    def seconds(self) -> float:
        """The value of a fault that takes one number; 0 when it was left out."""
        return self.numbers[0] if self.numbers else 0.0


def parse_fault(spec: str, now: float) -> Fault:
    """Read a fault as it is written on the command line.

    Args:
        spec: `[scope:]name[=value]`.
        now: Monotonic seconds; what the fault counts from.
    Raises:
        ConfigError: There is no such fault, or the scope or the value does not suit it.
    """
    head, _, value = spec.strip().partition("=")
    scope, colon, name = head.rpartition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise _problem(spec, f"one of {', '.join(KINDS)}")
    if colon and (scope not in SCOPES or not (kind.scoped or scope == kind.scope)):
        raise _problem(spec, f"a scope of {', '.join(SCOPES)}" if kind.scoped else f"no scope: {name} is for streams")
    numbers, text = _read_value(spec, kind, value.strip())
    return Fault(kind, scope or kind.scope, numbers, text, now)


def _read_value(spec: str, kind: FaultKind, value: str) -> tuple[tuple[float, ...], str]:
    """Return the numbers and the text that `value` means for `kind`."""
    if not value:
        if kind.value and not kind.value.startswith("["):
            raise _problem(spec, f"a value: {kind.usage}")
        return (), ""
    if not kind.value:
        raise _problem(spec, f"no value: {kind.usage}")
    if kind.value == "CODE":
        if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", value):
            raise _problem(spec, "a code of capitals, digits and underscores")
        return (), value
    parts = value.split(",")
    if len(parts) != kind.value.count(",") + 1 or not all(re.fullmatch(r"\d{1,9}(\.\d{1,6})?", part) for part in parts):
        raise _problem(spec, f"{kind.usage} in plain numbers of at least 0")
    numbers = tuple(float(part) for part in parts)
    if kind.name == "flap" and min(numbers) <= 0:
        raise _problem(spec, "two numbers above 0")
    if kind.name == "huge" and not 1024 <= numbers[0] <= 256 * 1024 * 1024:
        raise _problem(spec, "a size of 1024 to 268435456 bytes")
    return numbers, value


def _problem(spec: str, expected: str) -> ConfigError:
    return ConfigError([Problem(where="faults", key="--fault", value=repr(spec), expected=expected)])


class Faults:
    """The faults that are on; may be changed at any time.

    The backend asks before each answer, for each message, and twenty times a second for what has a deadline.
    """

    def __init__(self, monotonic: Callable[[], float], specs: Iterable[str] = ()) -> None:
        """Begin with the faults in `specs`; see `parse_fault` for what they may look like and what is raised."""
        self._monotonic = monotonic
        self._active: dict[str, Fault] = {}
        for spec in specs:
            self.set(spec)

    def set(self, spec: str) -> None:
        """Turn a fault on, or give it another value; its time counts from now. Raises `ConfigError`."""
        fault = parse_fault(spec, self._monotonic())
        self._active[fault.kind.name] = fault

    def clear(self, name: str | None = None) -> None:
        """Turn one fault off, or all of them; one that is not on is left alone."""
        if name is None:
            self._active.clear()
        else:
            self._active.pop(name, None)

    def update(self, values: Mapping[str, object]) -> None:
        """Apply what the control endpoint receives: names, with an optional scope, and their values.

        True, None or "" turn a fault on without a value, False turns it off; no names at all clears everything.

        Raises:
            ConfigError: One of them is wrong; then nothing is changed.
        """
        if not values:
            self.clear()
            return
        now = self._monotonic()
        wanted: list[Fault] = []
        unwanted: list[str] = []
        for name, value in values.items():
            if value is False:
                unwanted.append(name.rpartition(":")[2])
                continue
            # Not `in (True, None)`: 1 equals True.
            bare = value is True or value is None or value == ""
            wanted.append(parse_fault(name if bare else f"{name}={value}", now))
        for name in unwanted:
            self.clear(name)
        for fault in wanted:
            self._active[fault.kind.name] = fault

    def get(self, name: str) -> Fault | None:
        """Return the fault of that name when it is on."""
        return self._active.get(name)

    def hits(self, name: str, area: str) -> Fault | None:
        """Return the fault of that name when it is on and hits `area` (`stream` or `rest`)."""
        fault = self._active.get(name)
        return fault if fault is not None and fault.scope in (area, "all") else None

    def flapped_away(self, area: str) -> bool:
        """Whether `flap` makes the backend unreachable for `area` now."""
        fault = self.hits("flap", area)
        if fault is None:
            return False
        up, down = fault.numbers
        return (self._monotonic() - fault.since) % (up + down) >= up

    def active(self) -> dict[str, str]:
        """Return what is on, as `{"scope:name": value}` with "" for no value; `update` reads it back."""
        return {f"{fault.scope}:{name}": fault.text for name, fault in self._active.items()}


def describe_faults() -> str:
    """List all faults, one line each, for help texts."""
    width = max(len(kind.usage) for kind in KINDS.values())
    return "\n".join(f"  {kind.usage:<{width}}  {kind.effect}" for kind in KINDS.values())
