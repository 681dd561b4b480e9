"""Version 1: `iris.proto`, and what `make generate` compiles from it."""
