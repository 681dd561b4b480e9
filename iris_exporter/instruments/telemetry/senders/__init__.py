"""How an encoded batch leaves: OTLP over HTTP, OTLP over gRPC, or lines on stdout."""
