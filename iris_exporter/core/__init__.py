"""Pure decisions: bytes, values and `now` in, values out. No asyncio, sockets, files or clocks."""
