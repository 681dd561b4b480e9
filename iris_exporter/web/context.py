"""What the web server needs of the rest of the program, and how its parts refuse a request."""

from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp.typedefs import LooseHeaders

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments.exposition import Exposition
from iris_exporter.model.snapshot import Snapshot
from iris_exporter.persistence.checkpoints import Checkpoints
from iris_exporter.version import VersionInfo


class StreamControl(Protocol):
    """One stream, as the API and the page show it and as an operator may switch it."""

    @property
    def name(self) -> str:
        """The name in the configuration."""

    @property
    def url(self) -> str:
        """The configured URL as it may be shown: without credentials."""

    def status(self) -> LinkStatus:
        """The connection now."""

    def snapshot(self) -> Snapshot:
        """What is believed now."""

    def connect(self) -> None:
        """Try the live stream now, from whatever state. Returns at once."""

    def disconnect(self) -> None:
        """Close the stream and leave it closed. Returns at once."""

    def reset(self) -> None:
        """Forget what is believed, then connect. Returns at once."""


class WebContext(Protocol):
    """The program around the server. Nothing here waits for a network."""

    @property
    def exposition(self) -> Exposition:
        """What a scrape prints."""

    @property
    def version(self) -> VersionInfo:
        """What the page names."""

    @property
    def checkpoints(self) -> Checkpoints | None:
        """The checkpoints that scrapes make; None where no state is written."""

    def ready(self) -> bool:
        """Whether a scrape can be served; a source that is away is no reason to say no."""

    def streams(self) -> Mapping[str, StreamControl]:
        """All streams by name, in the order of the configuration."""

    def config_text(self) -> str:
        """The configuration in use as YAML, redacted."""

    async def reload(self) -> None:
        """Load the configuration again and apply it; ConfigError when it is broken and the old one stays."""


class HttpError(Exception):
    """A request that is answered by an error: text, or JSON with `details` where the path is the API's.

    `counted` is the reason under which the refusal counts (`catalog.REFUSED_REASONS`), None for one that does not.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        counted: str | None = None,
        headers: LooseHeaders | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, sentence)
        self.status = status
        self.sentence = sentence
        self.counted = counted
        self.headers = headers or {}
        self.details = details or {}
