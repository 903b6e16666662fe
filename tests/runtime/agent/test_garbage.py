"""Garbage collection around the first model. In processes of their own, as it is the whole interpreter's."""

import subprocess
import sys

USUAL_AGAIN = """
import gc
from runtime.agent import garbage
usual = gc.get_threshold()
garbage.put_off()
assert gc.get_threshold()[0] == garbage.MANY
garbage.collect_as_usual()
assert gc.get_threshold() == usual
frozen = gc.get_freeze_count()
assert frozen
later = [[] for _ in range(1000)]
garbage.collect_as_usual()
assert gc.get_freeze_count() <= frozen
"""


def test_collection_is_put_off_for_the_first_model_only_and_nothing_of_a_run_is_kept_out_of_it() -> None:
    subprocess.run([sys.executable, "-c", USUAL_AGAIN], check=True, timeout=20)
