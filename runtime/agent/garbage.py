"""Puts garbage collection off while the first model is imported and built, on V1 while a run waits for it.

Collecting among what stays takes a sixth of that time, as it does of the process's start in `main.py`.
"""

import gc

# More than the first model takes, and a limit where no model is ever built.
MANY = 200_000
_USUAL = gc.get_threshold()


def put_off() -> None:
    """Collect only once there are many new objects, until :func:`collect_as_usual`."""
    gc.set_threshold(MANY)


def collect_as_usual() -> None:
    """Collect as Python does, but nothing of what is there by now; if that was put off, and so only once."""
    if gc.get_threshold()[0] == MANY:
        gc.freeze()
        gc.set_threshold(*_USUAL)
