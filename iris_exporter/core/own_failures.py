"""What of the exporter itself can fail for a while, and why: the parts, and the reasons that are not those of streams.

A part that reaches something over the network has the reasons of `core.reasons`; the others are here. Both are label
values: adding one is fine, renaming one is a breaking change. `meaning` is a sentence for the operator.
"""

import errno

from iris_exporter.core.reasons import REASONS

PARTS: dict[str, str] = {
    "config": "the configuration was changed and cannot be used: the one before is in force",
    "web_config": "the file of `--web.config.file` cannot be used: the one before is in force",
    "state": "cursors cannot be written to `--state.dir`: a restart would count events again",
    "otlp_traces": "spans cannot be exported: they queue up, and are dropped when the queue is full",
    "otlp_logs": "log records cannot be exported: they queue up, and are dropped when the queue is full",
    "discovery_files": "a file of `--discovery.files`, or an entry in one, cannot be used",
    "discovery_http": "the endpoint of `--discovery.http-url`, or an entry of it, cannot be used",
    "discovery_kubernetes": "the Kubernetes API, or an annotated object, cannot be used",
    "streams": "two streams have one name or address: the second one is left out",
    "election": "the lease of leader election cannot be read or written",
    "live": "Grafana does not take lines for Grafana Live",
}
"""The value of the label `part`, and what it means that it fails."""

OWN_REASONS: dict[str, str] = {
    "invalid": "the content breaks a rule; the log names file, key and what is expected",
    "rejected": "the collector has taken a part of a request, and refused the rest for good",
    "duplicate": "the log names the stream that is left out",
    "no_reader": "nobody reads standard output any more",
    "hangs": "a file or disk does not answer",
    "disk_full": "there is no room left, or a quota is used up",
    "no_permission": "owner or mode of a file or directory forbid it",
    "read_only": "the file system is mounted read-only",
    "no_such_file": "there is no such file or directory",
    "disk": "a file could not be read or written for another reason; the log has the system's own words",
}

ALL_REASONS: dict[str, str] = {**OWN_REASONS, **{name: reason.meaning for name, reason in REASONS.items()}}
"""Every value of the label `reason`, and its meaning."""

_BY_ERRNO: dict[int, str] = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EACCES: "no_permission",
    errno.EPERM: "no_permission",
    errno.EROFS: "read_only",
    errno.ENOENT: "no_such_file",
    errno.ENOTDIR: "no_such_file",
    errno.ETIMEDOUT: "hangs",
    errno.EMFILE: "internal",
    errno.ENFILE: "internal",
    errno.ENOMEM: "internal",
}


def disk_reason(error: OSError) -> str:
    """Why a file or a directory could not be used."""
    return _BY_ERRNO.get(error.errno or 0, "disk")
