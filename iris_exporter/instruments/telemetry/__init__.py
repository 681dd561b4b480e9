"""Traces, logs and, when asked for, metrics over OTLP.

Theory. What happens on the event loop leaves a small record in a bounded queue (`outbox`), and nothing else: no
encoding, no lock that is held for longer than an append. One thread for each signal (`worker`) takes batches out,
encodes them (`encoding`) and sends them (`senders`), one after the other. A batch that a collector cannot take now is
kept and sent again until it has been taken, has been refused for good, or is too old; meanwhile the queue fills, and
when it is full the oldest records go. Each record is counted exactly once as exported, failed or dropped.

OpenTelemetry's SDK is not used, for three reasons: its batch processors give a batch up after some seconds and block
on shutdown, its exporters say "failure" without saying whether to try again, and a log record made by it costs the
event loop about a hundred times what a record costs here. The message classes are OpenTelemetry's own.

Nothing here reads settings except `reading`, which imports neither OpenTelemetry nor gRPC; those are imported when a
signal is to be sent, and gRPC only when it is the protocol. No logger is bridged, so what is said about a failing
export goes to stderr and never into an export.
"""
