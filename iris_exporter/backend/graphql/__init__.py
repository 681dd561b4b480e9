"""GraphQL beside the rest of the reference backend: queries over HTTP, subscriptions over WebSocket and SSE."""
