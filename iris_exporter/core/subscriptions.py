"""What a subscription to an IRIS stream can ask for, and within which bounds. Source: docs/protocol.md, section 6."""

CHANNELS = ("metrics", "projects", "events", "anomalies")

JSON_SUBPROTOCOL = "iris.v1+json"
PROTOBUF_SUBPROTOCOL = "iris.v1+protobuf"
SUBPROTOCOLS = {PROTOBUF_SUBPROTOCOL: "protobuf", JSON_SUBPROTOCOL: "json"}
"""The encoding that each WebSocket subprotocol stands for, the more compact one first."""

EXTENSIONS = ("batch", "channels", "debounce", "delta", "fields", "priority")
"""Options of a subscription that change what arrives; label values."""

MAX_BATCH_SECONDS = MAX_DEBOUNCE_SECONDS = 10.0
"""Sources grant no more than this."""

AUTO_BATCH_SECONDS = 0.1
AUTO_DEBOUNCE_SECONDS = 0.2

BATCH_MESSAGES = 100
"""Messages in a batch at most: some 30 KB of events, a third of what IRIS promises not to exceed in one message."""

STREAM_PATH = "/api/stream"
"""What the path of an address ends in where a source takes subscriptions."""
