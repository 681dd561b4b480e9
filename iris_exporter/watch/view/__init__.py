"""What is known of the streams that are watched, and how it is put into words. No clock, socket, asyncio or textual."""
