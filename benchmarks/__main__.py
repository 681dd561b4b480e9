"""`python -m benchmarks [--quick] [NAME ...]`: measure, and print one table."""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Sequence

from benchmarks import delay, ingest, memory, peers, startup, storm, tracing
from benchmarks.processes import BenchmarkError
from benchmarks.report import Row, table
from benchmarks.scale import FULL, QUICK, Scale


async def _scrape(_scale: Scale) -> list[Row]:
    from benchmarks import scrape  # it needs half of the program, which the others shall not find loaded

    return await scrape.run()


async def _bytes(scale: Scale) -> list[Row]:
    from benchmarks import volume  # so does this one

    return await volume.run(scale)


async def _mapping(scale: Scale) -> list[Row]:
    from benchmarks import mapping  # and this one

    return await mapping.run(scale)


async def _clients(scale: Scale) -> list[Row]:
    from benchmarks import clients  # and this one

    return await clients.run(scale)


BENCHMARKS: dict[str, Callable[[Scale], Awaitable[list[Row]]]] = {
    "ingest": ingest.run,
    "mapping": _mapping,
    "tracing": tracing.run,
    "delay": delay.run,
    "scrape": _scrape,
    "memory": memory.run,
    "start": startup.run,
    "storm": storm.run,
    "bytes": _bytes,
    "clients": _clients,
    "peers": peers.run,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all.

    The exit code is 1 when something did not happen that should have; what was measured before is printed all the same.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer messages; the figures vary more")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"unknown benchmark {name}; there are {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    code = 0
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, Python {platform.python_version()}"
    try:
        for name in arguments.names or (name for name in BENCHMARKS if name != "peers"):
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            rows += asyncio.run(_run(name, QUICK if arguments.quick else FULL))
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        code = 1
    print(f"{machine}, load {os.getloadavg()[0]:.1f} after")
    print(table(rows))
    return code


async def _run(name: str, scale: Scale) -> list[Row]:
    return await BENCHMARKS[name](scale)


if __name__ == "__main__":
    sys.exit(main())
