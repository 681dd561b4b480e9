"""The SDK's exporters over HTTP and gRPC and to standard output, made so that they say what became of a batch."""
