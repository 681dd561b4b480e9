"""One WebSocket that speaks `graphql-transport-ws`: its operations, and what its client has yet to receive."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from iris_exporter.backend.access import TokenBucket
from iris_exporter.backend.connection import Connection, Ending
from iris_exporter.backend.graphql import protocol
from iris_exporter.backend.graphql.operations import Operation, RequestError, prepare, read_parameters, refusal
from iris_exporter.backend.graphql.subscription import Subscription, next_frame
from iris_exporter.backend.send_queue import MAX_ANSWERS, MAX_TAKEN
from iris_exporter.backend.subscriber import ANSWERS_AHEAD, SUBSCRIBE_BURST, SUBSCRIBES_PER_SECOND
from iris_exporter.backend.wire import HEARTBEATS, Frame, encode

Opened = Callable[[Operation, str], Subscription]
"""Makes the subscriber of an operation with that id, without beginning it."""


@dataclass(eq=False, kw_only=True)
class GraphQLSocket(Connection):
    """A WebSocket of `/api/graphql`. Messages of the service are for its subscriptions; pings are its own."""

    open_subscription: Opened
    answer_query: Callable[[Operation], Any]
    refused: Callable[[str], None]
    """Takes the code of each operation that is not executed."""
    now: Callable[[], float]
    machine: protocol.Machine = field(default_factory=protocol.Machine, init=False)
    subscriptions: dict[str, Subscription] = field(default_factory=dict, init=False)
    limiter: TokenBucket = field(
        default_factory=lambda: TokenBucket(SUBSCRIBE_BURST, SUBSCRIBES_PER_SECOND), init=False
    )
    _answers: deque[tuple[Frame, float]] = field(default_factory=deque, init=False)

    @property
    @override
    def listeners(self) -> Iterable[Connection]:
        return list(self.subscriptions.values())

    # What comes in.

    def receive(self, data: str | bytes) -> None:
        """Do what a message of the client asks for."""
        match self.machine.feed(data):
            case protocol.Send(message):
                if message["type"] == "error":
                    self.refused(message["payload"][0]["extensions"]["code"])
                self._answer(message)
            case protocol.Start(operation_id, request):
                try:
                    self._start(operation_id, request)
                except RequestError as problem:
                    self.machine.ended(operation_id)
                    self.refused(problem.code)
                    self._answer(protocol.error_message(operation_id, problem.errors))
            case protocol.Stop(operation_id):
                self.subscriptions.pop(operation_id, None)
            case protocol.Close(code, reason):
                self._close(code, reason)

    def _start(self, operation_id: str, request: Any) -> None:
        wait = self.limiter.use(self.now())
        if wait is not None:
            raise refusal(f"too many operations; the next one may begin in {wait:.1f} s", "RATE_LIMIT_EXCEEDED")
        try:
            parameters = read_parameters(request)
        except RequestError:
            self.machine.ended(operation_id)
            self._close(protocol.INVALID.code, protocol.INVALID.reason)
            return
        operation = prepare(parameters)
        if operation.is_subscription:
            wanted = operation.options()
            self.subscriptions[operation_id] = subscription = self.open_subscription(operation, operation_id)
            # One event wakes the one writer of this socket, whichever of them has something.
            subscription.wake = self.wake
            subscription.subscribe(wanted)
        else:
            self._put(next_frame(operation_id, self.answer_query(operation)))
            self._answer(protocol.complete_message(operation_id))
            self.machine.ended(operation_id)

    def _close(self, code: int, reason: str) -> None:
        """A violation of the protocol: nothing more is sent but the end."""
        self.subscriptions.clear()
        self.refused("INVALID_REQUEST")
        self.end(Ending(code, reason))

    @override
    def say(self, message: Mapping[str, Any], *, urgent: bool = False) -> bool:
        """Send a ping; there is nothing else that is said on the socket itself."""
        return self._answer({"type": "ping"}) if message["type"] in HEARTBEATS else True

    def _answer(self, message: Mapping[str, Any]) -> bool:
        kind = message["type"]
        return self._put(Frame(kind, encode(message), heartbeat=kind in HEARTBEATS))

    def _put(self, frame: Frame) -> bool:
        if self.ending is None:
            self._answers.append((frame, self.now()))
            self.wake.set()
            if len(self._answers) >= ANSWERS_AHEAD:
                self.room.clear()
        return len(self._answers) < MAX_ANSWERS

    @override
    def tick(self, now: float) -> None:
        if not self.machine.is_acknowledged and now - self.started_at >= protocol.INIT_SECONDS:
            self._close(protocol.INIT_TIMEOUT.code, protocol.INIT_TIMEOUT.reason)
        for each in self.listeners:
            each.tick(now)

    @override
    def send_away(self, wait_seconds: float) -> None:
        for each in self.listeners:
            each.send_away(wait_seconds)

    @override
    def end(self, ending: Ending) -> None:
        for each in self.listeners:
            each.end(ending)
        super().end(ending)

    @override
    def is_stalled(self, seconds: float) -> bool:
        return bool(self._answers) and self.now() - self._answers[0][1] >= seconds

    # What goes out.

    @override
    def take(self) -> list[Frame]:
        # Other faults are about what an operation sends, and each subscription has its own.
        frames = [] if self.faults.silent else [frame for frame, _ in self._answers]
        self._answers.clear()
        self.room.set()
        for operation_id, each in list(self.subscriptions.items()):
            if len(frames) >= MAX_TAKEN:
                break  # the others are in front next time
            frames += each.take()
            self.subscriptions[operation_id] = self.subscriptions.pop(operation_id)
        now = self.now()
        waits = [each.send_queue.due_at() for each in self.subscriptions.values()]
        if self.ending is not None or any(due is not None and due <= now for due in waits):
            self.wake.set()
        else:
            self.wake.clear()
        return frames

    @property
    @override
    def empty(self) -> bool:
        return not self._answers and all(each.empty for each in self.subscriptions.values())
