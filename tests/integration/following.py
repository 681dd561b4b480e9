"""What a client that follows `/api/stream` has been sent, across its connections, and whether it may be so."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import override

from iris_exporter.backend.installation import PROJECT_NAMES, Installation
from iris_exporter.backend.objects import Event, iso_time
from iris_exporter.backend.server import Backend
from tests.waiting import until

EXTENSIONS: dict[str, Any] = {
    "channels": ["metrics", "projects", "events", "anomalies"],
    "projects": sorted(name.lower().replace(" ", "-") for name in PROJECT_NAMES),
    "severities": ["info", "warning", "error", "critical"],
    "fields": {"projects": ["status", "total_runs", "last_run"], "events": ["severity"]},
    "delta": True,
    "batch": {"maxMessages": 20, "maxDelayMs": 100},
    "debounceMs": 100,
    "priority": True,
}
"""Every option that a client may ask for; the filters let everything pass, so that it can be counted."""


class Followed:
    """Feed it the lines of a client with `say`: `opened`, `closed` and each `message`. Fails at what may not be."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.closed: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.events: dict[str, str] = {}
        """Event ids by position."""
        self.kinds: list[str] = []
        self.urgent: list[str] = []
        self.problem: BaseException | None = None
        self._seq = 0
        self.runs: dict[str, float] = {}
        """Total runs by project, of those that are known on this connection."""
        self._positions: set[str] = set()

    def say(self, line: dict[str, Any]) -> None:
        """Take one line. What is wrong with it is raised by `until`, where the test waits."""
        try:
            if "opened" in line:
                self.opened.append(line)
            elif "closed" in line:
                self.closed.append(line)
            elif "message" in line:
                self._read(line["message"])
                if "lastEventId" in line:
                    assert line["lastEventId"] in ("", *self._positions, *self.events), "a cursor that no event had"
        except (AssertionError, KeyError) as problem:
            self.problem = self.problem or problem

    def _read(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        self.kinds.append(kind)
        if kind == "batch":
            assert len(message["messages"]) > 1
            for each in message["messages"]:
                self._read(each)
        elif kind == "subscribed":
            self.answers.append(message["data"])
            self._seq = 0
            self.runs.clear()
        elif kind == "event" and message.get("priority") == "high":
            assert "id" not in message
            self.urgent.append(message["data"]["id"])
        elif kind == "event":
            assert message["id"] not in self.events, "the same event twice"
            self.events[message["id"]] = message["data"]["id"]
        elif kind in ("update", "delta"):
            self._read_state(kind, message)
        else:
            assert kind in ("ping", "error"), message

    def _read_state(self, kind: str, message: dict[str, Any]) -> None:
        self._seq += 1
        assert message.get("seq", self._seq) == self._seq
        self._positions.add(message.get("id", ""))
        for project in message["data"].get("projects", []):
            # One that the client does not have is whole, and so has all that was asked for.
            assert project["id"] in self.runs or {"status", "total_runs"} <= project.keys(), (kind, project)
            self.runs[project["id"]] = project.get("total_runs", self.runs.get(project["id"]))

    async def until(
        self,
        what: str,
        *,
        opened: int = 0,
        event: str = "",
        closed: int = 0,
        kind: str = "",
        runs: Mapping[str, float | None] | None = None,
    ) -> None:
        """Wait for so many connections opened and closed, for an event, a type of message, and runs by project."""

        def done() -> bool:
            if self.problem is not None:
                raise self.problem
            return (
                len(self.opened) >= opened
                and len(self.answers) >= opened
                and len(self.closed) >= closed
                and (not event or event in self.events.values())
                and (not kind or kind in self.kinds)
                and (runs is None or self.runs == runs)
            )

        try:
            await until(done, 15)
        except TimeoutError as error:
            raise AssertionError(f"{what}: not seen; {self}") from error

    def __str__(self) -> str:
        connections = f"opened {self.opened}, closed {self.closed}, answers {self.answers}"
        return f"{connections}; {len(self.events)} events, runs {self.runs}"


class Journal:
    """Events of the test's own, numbered."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._count = 0

    def write(self, count: int) -> str:
        """Let so many events happen at once, the last but one critical; returns the id of the last."""
        now = iso_time(self._backend.service.clock.wall())
        first, self._count = self._count, self._count + count
        severities = ["info"] * (count - 2) + ["critical", "warning"]
        self._backend.service.publish(
            Event(f"own-{number}", now, "search-ranking", "evaluation", severity, "a run", {"number": number})
            for number, severity in enumerate(severities, first)
        )
        return f"own-{self._count - 1}"


class PausableInstallation(Installation):
    """An installation that can be brought to rest."""

    at_rest = False

    @override
    def advance(self, until: float) -> list[Event]:
        return [] if self.at_rest else super().advance(until)


async def follow_through_a_cut(backend: Backend, followed: Followed, options: Mapping[str, Any]) -> None:
    """Let events happen around a cut; hold the client to each of them once, and to the state in the end."""
    service = backend.service
    journal = Journal(backend)
    await followed.until("the first connection", opened=1)
    await followed.until("events before the cut", event=journal.write(30))
    backend.faults.set("drop=0")
    await followed.until("the cut", closed=1)
    missed = journal.write(25)
    backend.faults.clear()
    await followed.until("a connection after the cut", opened=2)
    await followed.until("events of the time between", event=missed)
    await followed.until("events after the cut", event=journal.write(20))
    if options.get("delta"):
        await followed.until("a change of state", kind="delta")
    installation = service.feed.installation
    assert isinstance(installation, PausableInstallation)
    installation.at_rest = True
    await followed.until("the last state", runs={project.id: project.total_runs for project in installation.projects()})
    counted = list(followed.events.items())
    sent = {service.feed.history.position(each.offset): each.event.id for each in service.feed.history.newest(10_000)}
    in_order = dict(reversed(sent.items()))
    first = list(in_order).index(counted[0][0])
    assert counted == list(in_order.items())[first : first + len(counted)], "each event once, in order, none left out"
    assert len(counted) >= 75
    assert followed.answers[0].get("resume") is None
    resumed = [answer["resume"] for answer in followed.answers[1:]]
    assert {each["outcome"] for each in resumed} == {"full"}
    assert sum(each["missed"] for each in resumed) == 0


def uses_every_extension(followed: Followed) -> None:
    """Every option was granted, and what it does was seen."""
    for answer in followed.answers:
        granted = {name: answer[name] for name in EXTENSIONS}
        fields = {name: {"id", *names} for name, names in EXTENSIONS["fields"].items()}
        assert granted == EXTENSIONS | {"fields": granted["fields"]}
        assert {name: set(names) for name, names in granted["fields"].items()} == fields
    assert {"subscribed", "update", "delta", "batch", "event"} <= set(followed.kinds)
    assert followed.urgent, "no critical event has overtaken others"
    assert set(followed.urgent) <= set(followed.events.values())
