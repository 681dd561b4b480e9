"""What a mapping says of the link: where to ask, what to say, which ends are planned. The messages are `dialect`'s."""

from collections.abc import Mapping, Sequence

from typing_extensions import override

from iris_exporter.core import negotiation
from iris_exporter.core.failures import Failure
from iris_exporter.core.negotiation import Probe, as_http
from iris_exporter.decoding.dialect import Call, Dialect, Frame, Opening, Outgoing
from iris_exporter.decoding.mapped import requests
from iris_exporter.decoding.mapped.conversation import Conversation
from iris_exporter.decoding.mapped.pieces import SEPARATORS
from iris_exporter.mapping.spec import Mapping as SourceMapping
from iris_exporter.mapping.spec import Template
from iris_exporter.settings import StreamSettings

_POSITION_STATUSES = frozenset({400, 404, 410, 412, 416, 422})


class MappedLink(Dialect):
    """The half of the dialect that talks. A kind of it decodes."""

    accept = "application/json"
    event_names: frozenset[str] = frozenset()
    answer: Outgoing | None = None
    resumes_by_id = True

    def __init__(self, mapping: SourceMapping) -> None:
        self.mapping = mapping
        self.subprotocols = mapping.subprotocols
        self.separator = SEPARATORS.get(mapping.format, b"")
        self.key_header = requests.key_header(mapping.authorize)
        self.says_secrets = bool(mapping.secrets or mapping.needs_key)
        self.needs_secrets = self.says_secrets or mapping.authorize.scheme == "query"
        self.secrets: Mapping[str, str] = {}
        cursor = mapping.cursor
        self.uses_event_ids = cursor is not None and cursor.is_last_event_id
        if mapping.heartbeat is not None:
            self.heartbeat_interval_seconds = mapping.heartbeat.every_seconds
            self.heartbeat_timeout_seconds = mapping.heartbeat.timeout_seconds
        self._resume = None if cursor is None else cursor.resume
        self._stream, self._origin = "", ""
        self.is_polled = False
        """Whether the documents of the source are its stream."""
        self.leaves_pages = False
        """Whether a poll that went on from a cursor had more pages than are asked for."""
        self._goes_on = False  # whether the last request for a document did
        self._parameters: Mapping[str, str] = {}
        self._conversation = Conversation(mapping)

    @override
    def configure(self, settings: StreamSettings) -> None:
        self._stream, self._origin = settings.name, requests.origin(settings.url)
        self._parameters = dict(settings.parameters)
        self.is_polled = settings.protocol == "poll"

    @override
    def first_probe(self, settings: StreamSettings, remembered: str | None) -> Probe:
        """As the stream says, else as the mapping; nothing is taken for IRIS's GraphQL."""
        protocol = self.mapping.protocol if settings.protocol == "auto" else settings.protocol
        return negotiation.first_probe(protocol, settings.url, remembered, graphql=False)

    # Where to ask

    def _sent_cursor(self, position: str) -> str:
        cursor = self.mapping.cursor
        return requests.rewound(position, None if cursor is None else cursor.rewind) if position else ""

    def _call(self, url: str, position: str, *, by_event_id: bool) -> Call:
        """The request with the key and, where it is not sent in a message, the cursor."""
        headers, query = dict(self.mapping.headers), list[tuple[str, str]]()
        authorize, resume = self.mapping.authorize, self._resume
        if authorize.scheme == "query" and (key := self.secrets.get("")):
            query.append((authorize.name, key))
        sent = self._sent_cursor(position)
        if sent and resume is not None and resume.query:
            conversation = self._converse(sent)
            query += [(name, conversation.text(template)) for name, template in resume.query]
        elif sent and resume is not None and resume.header is not None:
            headers[resume.header] = sent
        elif sent and by_event_id and self.uses_event_ids:
            headers["Last-Event-ID"] = sent
        return Call(requests.with_query(url, query), headers)

    @override
    def stream_call(self, url: str, position: str, *, two_way: bool) -> Call:
        return self._call(url, position, by_event_id=not two_way)

    @override
    def document_call(self, url: str, position: str = "") -> Call:
        self._goes_on = bool(position)
        return self._call(url, position, by_event_id=False)

    @override
    def snapshot_addresses(self, url: str) -> tuple[str, ...]:
        snapshot = self.mapping.snapshot
        return () if snapshot is None else (as_http(self._converse("").text(snapshot.url)),)

    @override
    def refuses_position(self, status: int) -> bool:
        cursor = self.mapping.cursor
        named = frozenset() if cursor is None else cursor.invalid.statuses
        return status in (named or _POSITION_STATUSES)

    @override
    def poll_pause_seconds(self, headers: Mapping[str, str]) -> float | None:
        name = self.mapping.poll.interval_header
        return None if name is None else requests.pause_seconds(headers.get(name))

    @override
    def next_page(self, url: str, headers: Mapping[str, str], page: int) -> str | None:
        following = requests.next_page(url, headers)
        is_last = page >= self.mapping.poll.max_pages
        self.leaves_pages = is_last and self._goes_on and following is not None
        return None if is_last else following

    @override
    def ends_as_planned(self, failure: Failure, seconds: float) -> bool:
        planned = self.mapping.planned_end
        after = planned.after_seconds
        return failure.close_code in planned.close_codes or (
            after is not None and seconds >= after and failure.reason in ("closed", "going_away", "abnormal_closure")
        )

    # What to say

    def _converse(self, cursor: str) -> Conversation:
        return Conversation(
            self.mapping,
            stream=self._stream,
            parameters=self._parameters,
            secrets=self.secrets,
            origin=self._origin,
            cursor=cursor,
        )

    @override
    def on_open(self, position: str) -> Sequence[Outgoing]:
        self._conversation = self._converse(self._sent_cursor(position))
        return self._conversation.begin()

    @property
    @override
    def opening(self) -> Opening | None:
        return self._conversation if self._conversation.timeout_seconds is not None else None

    @property
    @override
    def heartbeat(self) -> Outgoing | None:
        heartbeat = self.mapping.heartbeat
        return None if heartbeat is None else self._conversation.say(heartbeat.send)

    def rendered(self, template: Template) -> Outgoing:
        """What is sent on this connection for a template."""
        return self._conversation.say(template)

    @override
    def replies_to(self, frames: Sequence[Frame]) -> Sequence[Outgoing]:
        return self._conversation.replies_to(frames)
