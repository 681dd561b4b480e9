"""The exceptions that the package raises on purpose; each class says whose fault it is.

IrisExporterError
  ConfigError         ours: the configuration, all problems at once
  UsageError          ours: a call or a command that makes no sense now
  app.ListenError     ours: an address of the HTTP server cannot be used
  grafana.client.GrafanaError, fleet.kubernetes.KubernetesError    a server that we asked
  SourceError         the source's
    core.failures.TransportError    the link: a `Failure` says what happened and what to do about it
    DecodeError                     one message: a reason of `decoding.problems.REASONS` and the JSON path
    LimitExceededError              more bytes than a limit allows
"""

from dataclasses import dataclass


class IrisExporterError(Exception):
    """Base of everything this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration.

    `where` is the file, environment variable or flag; `key` the dotted option name; `value` what was given (never a
    secret); `expected` a phrase that completes "expected ...".
    """

    where: str
    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: got {self.value}, expected {self.expected}"


class ConfigError(IrisExporterError):
    """The configuration cannot be used; `problems` holds every reason, in the order found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class UsageError(IrisExporterError):
    """A call that makes no sense in the present state."""


class SourceError(IrisExporterError):
    """The source, or the way to it, did something we cannot use."""


class DecodeError(SourceError):
    """One message could not be read; the connection goes on.

    `reason` is a key of `decoding.problems.REASONS`, `path` the JSON path (`$` for the whole message).
    """

    def __init__(self, reason: str, path: str, detail: str) -> None:
        super().__init__(reason, path, detail)
        self.reason = reason
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason} at {self.path}: {self.detail}"


class LimitExceededError(SourceError):
    """More than `limit_bytes` arrived for one `what` (message, event, line, body)."""

    def __init__(self, what: str, limit_bytes: int) -> None:
        super().__init__(what, limit_bytes)
        self.what = what
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return f"{self.what} is larger than {self.limit_bytes} bytes"
