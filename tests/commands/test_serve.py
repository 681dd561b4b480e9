"""What `serve` sets up around the exporter."""

import subprocess
import sys


def test_what_was_loaded_before_the_start_is_left_out_of_collections_and_what_comes_later_is_not() -> None:
    """In a process of its own, since this one has frozen what it collected."""
    code = """
import gc, weakref
from iris_exporter.commands.serve import _spare_collector
class Cycle: pass
_spare_collector()
assert gc.get_freeze_count() > 10_000
later = Cycle(); later.itself = later; watch = weakref.ref(later); del later
assert gc.collect() and watch() is None and gc.isenabled()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
