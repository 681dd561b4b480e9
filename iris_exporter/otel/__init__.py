"""Traces and logs over OTLP, on OpenTelemetry's SDK.

Theory. The SDK makes spans and log records, samples, limits, encodes and sends them. Its batch processors are replaced
by ours (`pipeline`), because they give a batch up after some seconds, block at the end, and do not say what became of a
record. What happens on the event loop ends in an append to a bounded queue (`export_queue`). One thread for each signal
(`export_thread`) takes batches out and hands them to an exporter of the SDK (`exporters`), one after the other; events
become log records there and not before (`event_logger`). A batch that a collector cannot take now is kept and sent
again until it has been taken, has been refused for good, or is too old; meanwhile the queue fills, and when it is full
the oldest records go. Each record is counted exactly once as exported, failed or dropped.

An exporter of the SDK says "failure" and not why. The status, `Retry-After`, a partial success and a permanent refusal
are learnt from the HTTP adapter of the session that it is given, and from an interceptor of the gRPC channel.

`settings` and `reading` import neither OpenTelemetry nor gRPC; the rest is imported when a signal is exported, and a
protocol's client when there is something to send. No logger is bridged, so what is said about a failing export goes to
stderr and never into an export.
"""
