"""What is on the wire of `/api/stream`, for both ends: the schema of the binary encoding, and JSON to it and back."""
