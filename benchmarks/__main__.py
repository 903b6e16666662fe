"""`python -m benchmarks [group or part …]`: measure, print one table, keep the figures of a whole run in results.json.

Exit code 0 when every row could be measured, whatever its verdict, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.group_process import run_group
from benchmarks.groups import GROUPS, PARTS, parts_of
from benchmarks.progress import progress
from benchmarks.report import table

RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Measure the groups that the command line names, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, against baselines of the same run."
    )
    known = f"the groups {', '.join(GROUPS)}; their parts {', '.join(PARTS)}"
    parser.add_argument("group", nargs="*", help=f"{known}; all without any")
    groups: list[str] = parser.parse_args().group
    if unknown := [name for name in groups if name not in {*GROUPS, *PARTS}]:
        parser.error(f"there is no group or part {unknown[0]!r}; there are {known}")
    load, began = os.getloadavg()[0], time.monotonic()
    results = {part: run_group(part, seconds) for part, seconds in parts_of(groups).items()}
    rows = [row for found in results.values() for row in found]
    seconds = time.monotonic() - began
    progress(f"{len(rows)} rows in {seconds:.0f} s; the machine's load was {load:.1f} before")
    print(table(rows))
    if not groups:
        about = {"python": platform.python_version(), "processors": os.cpu_count(), "loadBefore": round(load, 2)}
        whole = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": round(seconds), "machine": about}
        RESULTS.write_text(json.dumps(whole | {"parts": results}, indent=1) + "\n", encoding="utf-8")
    return int(any(row["figure"] is None for row in rows))


if __name__ == "__main__":
    sys.exit(main())
