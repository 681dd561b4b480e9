"""What an option is: one name in three spellings, a kind, a default with the reason for it, and help."""

from dataclasses import dataclass

from iris_exporter.config.values import Kind

PREFIX = "IRIS_EXPORTER_"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting.

    `default` None means that the option is not set. `reason` says why the default is what it is. `in_file` is false
    for what only makes sense outside a file. `restart` is true where a reload cannot apply a change.
    """

    key: str
    kind: Kind
    default: str | None
    help: str
    reason: str
    in_file: bool = True
    restart: bool = False

    @property
    def flag(self) -> str:
        """The command line's spelling."""
        return f"--{self.key}"

    @property
    def variable(self) -> str:
        """The environment's spelling."""
        return PREFIX + self.key.replace(".", "_").replace("-", "_").upper()

    @property
    def group(self) -> str:
        """The first part of the key; a key of `GROUPS`. An option of one word belongs to the fleet."""
        return self.key.partition(".")[0] if "." in self.key else "fleet"

    @property
    def name(self) -> str:
        """The key without its group: how it is written within its section of a file."""
        return self.key.partition(".")[2] or self.key

    @property
    def field(self) -> str:
        """The attribute of `StreamSettings` that holds the value of a `stream.` option."""
        return self.name.replace("-", "_") + self.kind.field_suffix
