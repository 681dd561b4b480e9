"""What the web server needs of the rest of the program; the composition root supplies it."""

from collections.abc import Mapping
from typing import Protocol

from iris_exporter.core.status import LinkStatus
from iris_exporter.instruments.exposition import Exposition
from iris_exporter.model.snapshot import Snapshot
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


class ScrapeCheckpoint(Protocol):
    """The checkpoint of one scrape; see `iris_exporter.persistence.checkpoints`."""

    async def stage(self) -> None:
        """Write it beside the files in force; before the last byte of the answer."""

    def commit(self) -> None:
        """Put it in force; right before the last byte."""

    async def undo(self) -> None:
        """Put back the records that were in force before: the last byte could not be sent."""

    async def discard(self) -> None:
        """Clean up; in any case, at the end."""


class WebContext(Protocol):
    """The program around the server. Nothing here waits for a network."""

    @property
    def exposition(self) -> Exposition:
        """What a scrape prints."""

    @property
    def version(self) -> VersionInfo:
        """What the page names."""

    @property
    def telemetry_path(self) -> str:
        """Where a scrape goes; begins with a slash."""

    @property
    def route_prefix(self) -> str:
        """In front of every path, with a slash before and none behind; "" for none."""

    @property
    def external_url(self) -> str | None:
        """The address that browsers use, where it is known."""

    @property
    def max_requests(self) -> int:
        """Scrapes at the same time before more are refused; 0 for no limit."""

    def begin_checkpoint(self) -> ScrapeCheckpoint | None:
        """The checkpoint of the scrape that begins now; None where scrapes make none."""

    def read_by_unknown(self) -> None:
        """The whole page was read by a program that is no known scraper."""

    def state_trouble(self) -> str | None:
        """Why a restart would count events again or miss them, as a sentence; None when it would not."""

    def ready(self) -> bool:
        """Whether a scrape can be served; a source that is away is no reason to say no."""

    def streams(self) -> Mapping[str, StreamControl]:
        """All streams by name, in the order of the configuration."""

    def config_text(self) -> str:
        """The configuration in use as YAML, redacted."""

    async def reload(self) -> None:
        """Load the configuration again and apply it; ConfigError when it is broken and the old one stays."""
