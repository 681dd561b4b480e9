"""The dialect of a source that a mapping describes."""
