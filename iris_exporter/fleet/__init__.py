"""More than one process: who leads, which streams there are, and the Kubernetes API that knows both."""
