"""Loads what a stream has over REST: its snapshot, and the events that its numbering shows to be missing."""

from iris_exporter.core import negotiation
from iris_exporter.core.failures import REQUEST_REFUSED, Failure, TransportError
from iris_exporter.core.negotiation import Probe
from iris_exporter.core.reasons import Remedy
from iris_exporter.decoding.dialect import Dialect
from iris_exporter.settings import StreamSettings
from iris_exporter.transports.connection_events import PollAnswered, PollFailed, PollStarted
from iris_exporter.transports.context import StreamContext
from iris_exporter.transports.dialer import PollInstead
from iris_exporter.transports.polling import Poller

# With pages of a thousand events, twice what a source keeps by default.
_MAX_PAGES = 20
# A source that answers like this has no such pages; any other failure may pass.
_FINAL = (Remedy.REFUSE, Remedy.STOP)


class SnapshotLoader:
    """Loads the snapshot of one stream from where it is likely to be, and later from where it was found."""

    def __init__(self, context: StreamContext, poller: Poller) -> None:
        self._context = context
        self._sink, self._clock, self._emit = context.sink, context.clock, context.emit
        self._poller = poller
        self._urls = _likely_urls(context.settings, context.sink.dialect)
        self._is_loaded = False  # whether a dial found a snapshot that polling can begin with
        self.pause_seconds: float | None = None
        """How long the source wants to be left alone before the next poll; None where it has not said so."""

    @property
    def url(self) -> str | None:
        """Where the snapshot is, or is likely to be; None for a source that has none."""
        return self._urls[0] if self._urls else None

    def forget(self) -> None:
        """Forget what was found out about the source."""
        self._poller.forget()
        self._urls = _likely_urls(self._context.settings, self._context.sink.dialect)

    def found(self, found: PollInstead) -> None:
        """A dial found something to poll; what it was answered is the first poll."""
        self._urls = (found.url,)
        if found.body is not None:
            self._emit(PollAnswered(found.wire_bytes, len(found.body)))
            if not found.has_more:  # one page without those after it would move the cursor past them
                self._is_loaded = self._sink.snapshot(found.body, self._clock.wall(), polling=True) is None

    async def poll(self) -> Failure | None:
        """Load the snapshot as a poll, with the events missing before it; return why it could not be had."""
        if self._is_loaded:  # asking again at once would bring the same
            self._is_loaded = False
            self._context.last_message_at = self._clock.wall()
            return None
        failure = await self.load(polling=True)
        if failure is None:
            await self.fill_gaps()
        return failure

    async def load(self, *, polling: bool) -> Failure | None:
        """Load the snapshot from the first address that has one; only that address is asked from then on.

        `polling` says that there is no link whose messages follow. Returns why it could not be had; None, and nothing
        is done, where the source has no such address.
        """
        failure: Failure | None = None
        for url in self._urls:
            failure = await self._load(url, polling=polling)
            if failure is None:
                self._context.last_message_at = self._clock.wall()
                self._urls = (url,)
                return None
            self._emit(PollFailed(failure))
            if failure.reason != "not_found":
                return failure
        return failure

    async def _load(self, url: str, *, polling: bool) -> Failure | None:
        """Load a document with the pages after it, which are taken together.

        Taken one by one, a page of the newest events would move the cursor past older ones that are still to come.
        """
        position = self._sink.resume_from() if polling else ""
        address: str | None = url
        pages: list[bytes] = []
        held_bytes = 0
        while address is not None:
            self._emit(PollStarted(page=bool(pages)))
            try:
                polled = await self._poller.fetch(address, position, remember=not pages, held_bytes=held_bytes)
            except TransportError as error:
                if pages:
                    self._poller.forget()  # "not modified" of the first page would hide what is still missing
                self._refused(error.failure)
                return error.failure
            self._emit(PollAnswered(polled.wire_bytes, len(polled.body or b"")))
            if not pages:
                self.pause_seconds = self._sink.dialect.poll_pause_seconds(polled.headers)
            if polled.body is None:
                break  # nothing has changed, or a link led back to the first page
            pages.append(polled.body)
            held_bytes += len(polled.body)
            address = self._sink.dialect.next_page(address, polled.headers, len(pages))
        if not pages:
            self._sink.unchanged(self._clock.wall())
            return None
        failure = self._sink.snapshot(pages[0], self._clock.wall(), polling=polling, following=pages[1:])
        if failure is not None:
            self._poller.forget()  # its entity tag would bring "not modified", which passes for a success
        return failure

    def _refused(self, failure: Failure) -> None:
        if failure.reason == "position_refused":
            self._sink.position_refused(refused=True)
        elif failure.reason in REQUEST_REFUSED:
            self._sink.position_refused(refused=False)

    async def fill_gaps(self) -> None:
        """Load the events that the numbering shows to be missing, page by page, from beside the snapshot.

        A source that always has another page is left after `_MAX_PAGES`: the next poll goes on.
        """
        url = self.url
        for _ in range(_MAX_PAGES):
            after = self._sink.missing_after()
            if after is None:
                return
            address = None if url is None else self._sink.dialect.page_address(url, after)
            page = None
            if address is not None:
                self._emit(PollStarted(page=True))
                try:
                    polled = await self._poller.fetch(address, remember=False)
                except TransportError as error:
                    self._emit(PollFailed(error.failure))
                    if error.failure.remedy not in _FINAL:
                        return  # the next document, or the next message, asks again
                else:
                    self._emit(PollAnswered(polled.wire_bytes, len(polled.body or b"")))
                    page = polled
            if not self._sink.page(after, page, self._clock.wall()):
                return


def _likely_urls(settings: StreamSettings, dialect: Dialect) -> tuple[str, ...]:
    if settings.snapshot_url is not None:
        return (negotiation.as_http(settings.snapshot_url),)
    if dialect.first_probe(settings, None) is Probe.POLL:
        return (negotiation.as_http(settings.url),)
    return dialect.snapshot_addresses(settings.url)
