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


@dataclass(eq=False)
class ConfigError(IrisExporterError):
    """The configuration cannot be used; `problems` holds every reason, in the order found."""

    problems: list[Problem]

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class UsageError(IrisExporterError):
    """A call that makes no sense in the present state."""


class SourceError(IrisExporterError):
    """The source, or the way to it, did something we cannot use."""


@dataclass(eq=False)
class DecodeError(SourceError):
    """One message could not be read; the connection goes on.

    `reason` is a key of `decoding.problems.REASONS`, `path` the JSON path (`$` for the whole message).
    """

    reason: str
    path: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} at {self.path}: {self.detail}"


@dataclass(eq=False)
class LimitExceededError(SourceError):
    """More than `limit_bytes` arrived for one `what` (message, event, line, body)."""

    what: str
    limit_bytes: int

    def __str__(self) -> str:
        return f"{self.what} is larger than {self.limit_bytes} bytes"
