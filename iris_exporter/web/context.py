"""What the web server needs of the rest of the program, and how its parts refuse a request."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

from aiohttp.typedefs import LooseHeaders

from iris_exporter.instruments.exposition import Exposition
from iris_exporter.persistence.checkpoints import Checkpoints
from iris_exporter.streams.stream import Stream
from iris_exporter.version import VersionInfo


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

    def streams(self) -> Mapping[str, Stream]:
        """All streams by name, in the order of the configuration."""

    def config_text(self) -> str:
        """The configuration in use as YAML, redacted."""

    async def reload(self) -> None:
        """Load the configuration again and apply it; ConfigError when it is broken and the old one stays."""


@dataclass(eq=False)
class HttpError(Exception):
    """A request that is answered by an error: text, or JSON with `details` where the path is the API's.

    `counted` is the reason under which the refusal counts (`catalog.REFUSED_REASONS`), None for one that does not.
    """

    status: int
    sentence: str
    _: KW_ONLY
    counted: str | None = None
    headers: LooseHeaders | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
