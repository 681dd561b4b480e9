"""Runs the marathon and prints what came of it: `python -m tests.faults.run_marathon [--events N] [--seed N]`."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.mapped_source import TRANSPORTS, MappedSource
from tests.faults.marathon import Marathon, Plan


def main() -> int:
    """0 when every event was counted once or is reported missing, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=4000.0, help="how many a second (default: %(default)s)")
    parser.add_argument("--history", type=int, default=120_000, help="how far a resume reaches (default: %(default)s)")
    parser.add_argument("--kill-every", type=float, default=2.5, help="mean seconds of a life (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**31), help="repeats an earlier run's choices")
    mapped = f"{', '.join(TRANSPORTS)}: a source with a mapping instead of an IRIS"
    parser.add_argument("--mapped", choices=TRANSPORTS, help=mapped)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    lives = (0.4 * options.kill_every, 1.6 * options.kill_every)
    plan = Plan(options.seed, options.events, options.rate, options.history, lives)
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory, "state")
        source = MappedSource(options.mapped, Path(directory)) if options.mapped else None
        outcome = asyncio.run(Marathon(plan, state, source).run())
    print(outcome)
    for number, life in enumerate(outcome.lives, 1):
        print(
            f"  life {number} ({life.protocol} {life.path}): {life.events:g} events, {life.gaps:g} missing, "
            f"{life.scrapes} scrapes {' '.join(life.asked)}"
        )
    for problem in outcome.problems[:20]:
        print(f"  problem: {problem}")
    difference = 0 if outcome.sent in outcome.accounted else outcome.sent - outcome.counted - outcome.gaps
    print("every event is accounted for, once" if difference == 0 else f"{difference:+d} events are unaccounted for")
    return 0 if difference == 0 and not outcome.problems else 1


if __name__ == "__main__":
    sys.exit(main())
