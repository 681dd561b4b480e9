"""One module for each command: its arguments, and the function that runs it."""
