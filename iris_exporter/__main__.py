"""`python -m iris_exporter` is `iris-exporter`."""

import sys

from iris_exporter.cli import main

if __name__ == "__main__":
    sys.exit(main())
