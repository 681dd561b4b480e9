"""Write the diagrams and tables of docs/concepts.md that the code already knows; the prose around them stays.

A diagram of states is read off the table of the connection. One of a course of events is what the model, the cursor and
its file did when this program took them through it, so that it cannot show what they do not do.
"""

import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from iris_exporter.config import BY_KEY
from iris_exporter.core.backoff import Backoff
from iris_exporter.core.connection import STATES, TABLE, Connection, Input, Phase, Rules
from iris_exporter.core.cursor import Cursor
from iris_exporter.core.dedup import SeenIds
from iris_exporter.core.limits import DEFAULT_LIMITS
from iris_exporter.core.palette import STATES as COLOURS
from iris_exporter.core.palette import text_on
from iris_exporter.core.positions import Outcome
from iris_exporter.core.status import State
from iris_exporter.decoding.messages import Event, EventMessage, Overview, Ping, Resumed
from iris_exporter.model.state import StreamState
from iris_exporter.persistence.cursor_store import CursorRecord, CursorStore

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "concepts.md"

BY_HAND = {Input.CONNECT: "connect", Input.DISCONNECT: "disconnect", Input.RESET: "reset"}
WORDS = {
    Input.OPENED: "connected",
    Input.TO_POLL: "only polls offered",
    Input.FAILED: "failed",
    Input.EXHAUSTED: "attempts used up",
    Input.UNAVAILABLE: "asked to poll",
    Input.REFUSED: "refused",
    Input.STOPPED: "refused for good",
    Input.DUE: "time for the next attempt",
    Input.POLLED: "poll answered",
    Input.POLL_FAILED: "poll failed",
}
PHASES = {
    Phase.IDLE: "No connection is wanted.",
    Phase.DIALING: "An attempt is under way.",
    Phase.WAITING: "The next attempt is planned, after the backoff's delay.",
    Phase.LIVE: "Messages arrive as they happen.",
    Phase.POLLING: "Polls are made; the next attempt at the live stream is planned.",
    Phase.POLLING_DIALING: "Polls go on while the live stream is tried.",
    Phase.OFFLINE: "Polls fail, and go on.",
    Phase.OFFLINE_DIALING: "Polls fail and go on while the live stream is tried.",
    Phase.REFUSED: "The source refuses; a later attempt is planned.",
    Phase.REFUSED_DIALING: "That attempt is under way.",
    Phase.STOPPED: "The source refuses for good: nothing is planned.",
}
TIMES = (
    "stream.reconnect-initial",
    "stream.reconnect-max",
    "stream.reconnect-jitter",
    "stream.reconnect-attempts",
    "stream.stable-after",
    "stream.poll-interval",
    "stream.live-retry-interval",
    "stream.heartbeat-interval",
    "stream.heartbeat-timeout",
    "stream.stale-after",
)
EPOCH = "9f31c2"
LABELS = ("checkout", "evaluation", "info")


def mermaid(lines: Iterable[str]) -> str:
    """A diagram, as GitHub draws it."""
    return "\n".join(["```mermaid", *lines, "```"])


def states() -> str:
    """The states of the contract and what leads from one to another by itself."""
    edges: dict[tuple[State, State], list[str]] = {}
    for (phase, what), (following, _) in TABLE.items():
        pair = STATES[phase], STATES[following]
        if what not in BY_HAND and pair[0] is not pair[1] and WORDS[what] not in edges.setdefault(pair, []):
            edges[pair].append(WORDS[what])
    first = STATES[Connection(Rules(1, 1.0, 1.0), Backoff(1.0, 1.0, 0.0, lambda: 0.5)).phase]
    lines = ["stateDiagram-v2", f"    [*] --> {first}", f"    {first} --> {_by_hand(Input.CONNECT, first)}: connect"]
    lines += [f"    {start} --> {end}: {', '.join(words)}" for (start, end), words in edges.items()]
    for state, colour in COLOURS.items():
        lines += [f"    classDef {state}State fill:{colour},color:{text_on(colour)}", f"    class {state} {state}State"]
    return mermaid(lines)


def _by_hand(what: Input, state: State) -> State:
    (following,) = {STATES[TABLE[phase, what][0]] for phase in Phase if STATES[phase] is state}
    return following


def by_hand() -> str:
    """What the three switches do in each state."""
    rows = [f"| Switch | in {' | in '.join(f'`{state}`' for state in State)} |", "| --- " * (len(State) + 1) + "|"]
    for what, name in BY_HAND.items():
        ends = [dict.fromkeys(STATES[TABLE[phase, what][0]] for phase in Phase if STATES[phase] is at) for at in State]
        cells = [
            " or ".join("stays" if end is at else f"`{end}`" for end in each)
            for at, each in zip(State, ends, strict=True)
        ]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def phases() -> str:
    """Every row of the table of the connection, but for what is done by hand."""
    rows = ["| State | Phase | What it means | What leads on |", "| --- | --- | --- | --- |"]
    for phase in Phase:
        found: dict[Phase, list[str]] = {}
        for (start, what), (end, _) in TABLE.items():
            if start is phase and what not in BY_HAND and end is not phase:
                found.setdefault(end, []).append(WORDS[what])
        leads = "; ".join(f"{', '.join(words)}: `{end}`" for end, words in found.items())
        rows.append(f"| `{STATES[phase]}` | `{phase}` | {PHASES[phase]} | {leads or 'nothing but a switch'} |")
    return "\n".join(rows)


def times() -> str:
    """The options that the states depend on."""
    rows = ["| Option | Default | What it is |", "| --- | --- | --- |"]
    rows += [f"| `--{key}` | {BY_KEY[key].default} | {BY_KEY[key].help} |" for key in TIMES]
    return "\n".join(rows)


class _Course:
    """A model that is taken through a course of events, and the lines of a sequence diagram that show it."""

    def __init__(self, record: CursorRecord | None = None) -> None:
        self.lines: list[str] = []
        self.lost = self.duplicates = 0
        self.state = StreamState(
            "overview",
            300.0,
            SeenIds(DEFAULT_LIMITS.max_event_ids, *((record.ids, record.pinned_ids) if record else ())),
            Cursor(record.cursor if record else None),
        )

    @property
    def counted(self) -> int:
        """Events counted by this process."""
        return self.state.counted

    def show(self, who: str = "E") -> None:
        """A note with where everything stands."""
        cursor = self.state.cursor.state.text or "none"
        self.lines.append(
            f"    Note over {who}: cursor {cursor}, counted {self.counted}, "
            f"duplicates {self.duplicates}, lost {self.lost}"
        )

    def event(self, offset: int, *, replay: bool = False) -> None:
        """An event arrives."""
        position = f"{EPOCH}-{offset}"
        event = Event(f"evt-{offset}", 1.0, *LABELS)
        changes = self.state.apply(EventMessage(event, timestamp=1.0, replay=replay, position=position), 1.0)
        self.duplicates += changes.duplicates
        self.lines.append(f"    S->>E: {'replayed ' if replay else ''}event {position}")

    def asks(self) -> None:
        """A connection begins, and goes on from the cursor."""
        self.lines.append(f"    E->>S: connect, go on after {self.state.cursor.resume_from}")
        self.state.cursor.begin(asked=True)

    def answer(self, outcome: Outcome, replayed: int, missed: int, last: int) -> None:
        """The source says what it can replay."""
        self.lines.append(f"    S->>E: resumed {outcome}, {replayed} replayed, {missed} missed")
        answer = Resumed(outcome, replayed, missed, EPOCH, f"{EPOCH}-{last}")
        self.lost += self.state.apply(answer, 1.0).gap


def cursor() -> str:
    """A lost link, an event that comes twice, and a jump in the numbering."""
    course = _Course()
    course.lines += ["sequenceDiagram", "    participant S as IRIS", "    participant E as exporter"]
    course.event(1041)
    course.event(1042)
    course.show()
    course.lines.append("    S--xE: the link is lost, and IRIS goes on")
    course.asks()
    course.answer(Outcome.FULL, 2, 0, 1044)
    course.event(1043, replay=True)
    course.event(1044, replay=True)
    course.show()
    course.event(1044)
    course.show()
    course.lines.append("    S--xE: the link is lost for longer than IRIS remembers")
    course.asks()
    course.answer(Outcome.PARTIAL, 1, 3, 1048)
    course.event(1048, replay=True)
    course.show()
    return mermaid(course.lines)


def checkpoint() -> str:
    """A scrape, events that no scrape has shown, a kill, and the next process."""
    lines = ["sequenceDiagram", "    participant S as IRIS", "    participant E as exporter"]
    lines += ["    participant D as state.dir", "    participant P as Prometheus"]
    with tempfile.TemporaryDirectory() as name:
        store = CursorStore(Path(name))
        first, url = _Course(), "https://iris.example.com/api/stream"
        first.event(1041)
        first.event(1042)
        _scrape(first, store, url)
        first.event(1043)
        first.event(1044)
        first.show()
        record = store.load("overview", url)
        assert record is not None
        second = _Course(record)
        second.lines.append("    Note over E: kill -9, and a new process")
        second.lines.append(f"    D->>E: {record.cursor.text}")
        second.show()
        second.asks()
        second.answer(Outcome.FULL, 2, 0, 1044)
        second.event(1043, replay=True)
        second.event(1044, replay=True)
        _scrape(second, store, url)
    total = 2 + second.counted
    last = f"    Note over P: 2 of the first process + {second.counted} of the second = {total} events"
    return mermaid([*lines, *first.lines, *second.lines, last])


def _scrape(course: _Course, store: CursorStore, url: str) -> None:
    state = course.state
    course.lines.append("    P->>E: GET /metrics")
    staged = store.stage([CursorRecord("overview", url, state.cursor.state_to_record, state.seen.ids())])
    course.lines.append(f"    E->>D: write {state.cursor.state_to_record.text} beside the file in force")
    course.lines.append(f"    E->>P: iris_events_total {course.counted}, all but the last byte")
    staged.commit()
    staged.discard()
    found = store.load("overview", url)
    assert found is not None
    course.lines.append(f"    E->>D: rename, {found.cursor.text} is in force")
    course.lines.append("    E->>P: the last byte")


def quiet() -> str:
    """What `iris_stream_data_flow` is, by what has arrived within `--stream.stale-after`: asked of the model."""
    lines = ["flowchart TD", "    M{a message of the source<br/>within stale-after?}", "    D{one with data?}"]
    found = {}
    for heartbeat, data in ((False, False), (True, False), (True, True)):
        state = StreamState("overview", 300.0)
        state.apply_snapshot(Overview(projects=()), 100.0 if data else 0.0)
        if heartbeat:
            state.apply(Ping(), 100.0)
        view = state.view(350.0)
        found[heartbeat, data] = f'["{view.flow}: figures are {"gone" if view.stale else "shown"}"]'
    lines += [f"    M -- no --> S{found[False, False]}", "    M -- yes --> D"]
    lines += [f"    D -- no, heartbeats alone --> I{found[True, False]}", f"    D -- yes --> F{found[True, True]}"]
    return mermaid(lines)


PARTS: dict[str, Callable[[], str]] = {
    "states": states,
    "switches": by_hand,
    "times": times,
    "phases": phases,
    "cursor": cursor,
    "checkpoint": checkpoint,
    "quiet": quiet,
}


def render(page: str) -> str:
    """The page with each part as it is now.

    Raises:
        ValueError: The page has a part twice, or not at all.
    """
    for name, part in PARTS.items():
        found = re.findall(rf"<!-- begin {name}: .+? -->\n.*?<!-- end {name} -->", page, re.DOTALL)
        if len(found) != 1:
            raise ValueError(f"{TARGET.name} must have the part {name} once")
        begin, end = found[0].splitlines()[0], found[0].splitlines()[-1]
        page = page.replace(found[0], f"{begin}\n\n{part()}\n\n{end}")
    return page


if __name__ == "__main__":
    TARGET.write_text(render(TARGET.read_text("utf-8")), "utf-8")
