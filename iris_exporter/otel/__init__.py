"""Traces and logs over OTLP, on OpenTelemetry's SDK.

Theory. The SDK makes spans and log records, samples, limits, encodes and sends them. Our own processors (`pipeline`)
replace its batch processors, which give a batch up after some seconds, block at the end, and do not report what became
of a record. Work on the event loop ends in an append to a bounded queue (`export_queue`). One thread for each signal
takes batches out, makes log records of queued events (`event_logger`), and sends one batch after the other through an
exporter of the SDK (`exporters`). A batch that a collector cannot take now is sent again until it has been taken, has
been refused for good, or is too old; meanwhile the queue fills, and when it is full the oldest records are dropped.
Each record is counted exactly once as exported, failed or dropped.

An exporter of the SDK returns "failure" without a reason. The HTTP adapter of its session and an interceptor of its
gRPC channel see the status, `Retry-After`, a partial success and a permanent refusal.

`settings` and `environment` import neither OpenTelemetry nor gRPC; the rest is imported when a signal is exported, and
a protocol's client with the first batch. No logger is bridged: what the log says about a failing export is never
exported itself.
"""
