"""What a finding is; `findings` is the table of all of them."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is. A problem or a warning gives exit code 1, a bad configuration 2, a note 0."""

    CONFIGURATION = "configuration"  # a file or option of ours cannot be used
    PROBLEM = "problem"  # the stream does not work
    WARNING = "warning"  # it works, and something will go wrong or is missing
    NOTE = "note"  # worth knowing, nothing to do


class Heading(StrEnum):
    """Where an operator looks for it: the complaint that it explains."""

    DISCONNECTS = "keeps disconnecting"
    MEMORY = "high memory"
    STALE = "stale data"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that can be found. `cause` is a sentence; `advice` says what an operator should do."""

    severity: Severity
    heading: Heading
    cause: str
    advice: str
