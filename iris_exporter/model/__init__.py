"""What we believe about the source, right now."""
