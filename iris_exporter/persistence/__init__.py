"""What outlives the process: cursors, what a scrape confirms of them, and the locks of streams."""
