"""The program's entry, and `python -m iris_exporter`.

Signals are handled before the rest is imported, since that takes longer than everything else at the start.
"""

import sys

from iris_exporter.process.start_signals import requested


def main() -> int:
    """Run the program and return its exit code."""
    requested.watch(sys.argv[1:])
    from iris_exporter import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
