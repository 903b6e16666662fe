"""The command `runbook`, also as `python -m runbook`."""

import sys

from runbook.cli import process


def main() -> None:
    """Run the command line."""
    process.leave_on_interrupt()
    from runbook.cli.app import run

    sys.exit(process.run(run))


if __name__ == "__main__":
    main()
