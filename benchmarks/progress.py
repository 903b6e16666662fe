"""What a benchmark says while it works: on standard error, because standard output is for the table."""

import sys


def progress(text: str) -> None:
    """Say what is being done."""
    print(f"  {text}", file=sys.stderr, flush=True)
