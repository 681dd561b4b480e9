"""The process and its machine: standard streams, signals, sockets to listen on, threads for what blocks, and tasks."""
