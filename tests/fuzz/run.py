"""Fuzzes the targets with atheris, one after the other: `python -m tests.fuzz.run [--seconds N] [TARGET ...]`.

It begins from `tests/fuzz/corpus/<target>`. An input that breaks a promise is left in `.fuzz/<target>/`, together with
what the fuzzer found worth keeping; the exit code is 1 then. Put such an input into the corpus with the fix.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
WORK = Path(__file__).resolve().parent.parent.parent / ".fuzz"
MAX_INPUT_BYTES = 4096
"""Longer inputs find the same and take longer; limits are fuzzed with small ones."""


def main() -> int:
    """Run each target in a process of its own, since the fuzzer ends the process that it runs in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=20, help="how long for each target (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    failed = []
    for target in options.targets or TARGETS:
        found = WORK / target
        found.mkdir(parents=True, exist_ok=True)
        print(f"== {target}: {options.seconds} s", flush=True)
        limits = (
            f"-max_total_time={options.seconds}",
            f"-max_len={MAX_INPUT_BYTES}",
            "-timeout=5",
            "-rss_limit_mb=2048",
        )
        places = (f"-artifact_prefix={found}/", str(found), str(CORPUS / target))
        command = (
            sys.executable,
            "-m",
            "tests.fuzz.one",
            target,
            "-verbosity=0",
            "-print_final_stats=1",
        )
        if subprocess.run([*command, *limits, *places], check=False).returncode != 0:
            failed.append(target)
    print(f"== broken: {', '.join(failed)}; the inputs are in {WORK}" if failed else "== no promise was broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
