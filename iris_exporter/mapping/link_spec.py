"""What a mapping says of the link: handshake, heartbeat, cursor, polling: a part of `spec`, which has all names."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from iris_exporter.mapping.metric_spec import Conditions
from iris_exporter.mapping.paths import Path, Paths, Root
from iris_exporter.mapping.templates import Template


@dataclass(frozen=True, slots=True)
class Fail:
    """A message that ends the handshake, and the reason that it is."""

    when: Conditions
    reason: str


@dataclass(frozen=True, slots=True)
class OpenStep:
    """One step of the handshake: either sends, or waits for a message; what else arrives is read as usual."""

    send: Template | None = None
    await_: Conditions | None = None
    fail: tuple[Fail, ...] = ()
    timeout_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class HeartbeatSpec:
    """What is sent while nothing arrives. `timeout_seconds` without anything from the source is a dead link."""

    send: Template
    every_seconds: float | None  # None: as stream.heartbeat-interval has it
    timeout_seconds: float | None


@dataclass(frozen=True, slots=True)
class PlannedEnd:
    """An end that is no failure: after one of these texts, with one of these close codes, or so long after opening."""

    texts: tuple[str, ...] = ()
    close_codes: frozenset[int] = frozenset()
    after_seconds: float | None = None


class Order(StrEnum):
    """How one cursor is later than another."""

    NUMBER = "number"  # the highest
    OPAQUE = "opaque"  # the last
    POSITION = "position"  # <epoch>-<offset>, as docs/protocol.md has it


@dataclass(frozen=True, slots=True)
class Rewind:
    """Numbers of the cursor that are lowered before it is sent: all that `pattern` finds (group 1), or the whole."""

    pattern: re.Pattern[str] | None
    by: int


@dataclass(frozen=True, slots=True)
class Resume:
    """How the source learns where to begin: exactly one of these."""

    header: str | None = None
    query: tuple[tuple[str, Template], ...] = ()
    message: Template | None = None  # sent after `open`


@dataclass(frozen=True, slots=True)
class Invalid:
    """How the source says that a cursor is too old: by the status of its answer, or by a message."""

    statuses: frozenset[int] = frozenset()
    when: Conditions = ()


@dataclass(frozen=True, slots=True)
class CursorSpec:
    """Where in the stream we are, after a message for which `when` holds."""

    path: Path
    order: Order
    when: Conditions = ()
    by: Paths | None = None  # a cursor for each of these values: gaps are found, nothing is resumed
    count_gaps: bool = False  # numbers grow by one
    rewind: Rewind | None = None
    resume: Resume | None = None
    invalid: Invalid = field(default_factory=Invalid)

    @property
    def is_last_event_id(self) -> bool:
        """Whether it is the id of the last event, which a link has for itself, so that no message is asked."""
        return self.path.root is Root.META and not (self.when or self.by or self.count_gaps)


@dataclass(frozen=True, slots=True)
class PollSpec:
    """Politeness of polling: how often, and how many pages."""

    interval_header: str | None  # of the answer: seconds until the next one at the earliest
    max_pages: int  # 1: links are not followed


@dataclass(frozen=True, slots=True)
class Authorize:
    """How the key is sent: `scheme` header (Authorization: Bearer), query or header by `name`, message, or none."""

    scheme: str
    name: str = ""
