"""The process around a command: Ctrl-C before it begins, streams that are closed, full or of another encoding.

Imports next to nothing, because it comes before what takes its time to import.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

REFUSED = 3
INTERRUPTED = 130
PIPE_CLOSED = 141
"""128 + SIGPIPE, as a shell shows other programs that wrote into a pipe whose reader has gone."""


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End at once, for a Ctrl-C before there is anything to tidy up."""
    os._exit(INTERRUPTED)


def leave_on_interrupt() -> None:
    """Let a Ctrl-C end the process without a traceback, until :func:`begin`."""
    # Not where the shell has it ignored, as it does for what runs in the background.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)


def begin() -> None:
    """From here on a Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(app: Callable[[], object]) -> int:
    """Run an app that ends with SystemExit, and return the exit code that its output leaves it with."""
    if sys.stdin is None:  # it is, where the caller closed it
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        return _say("standard output is closed: nothing was done")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return _ended(app)


def described(error: OSError) -> str:
    """Return an error of the operating system as a sentence."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else f"the output can't be written: {reason}"


def _ended(app: Callable[[], object]) -> int:
    try:
        app()
    except SystemExit as ended:
        # Typer and rich make their own codes of a closed pipe.
        if isinstance(ended.__context__, BrokenPipeError):
            return PIPE_CLOSED
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except OSError as error:
        return _failed(error)
    return 0


def _failed(error: OSError) -> int:
    return PIPE_CLOSED if isinstance(error, BrokenPipeError) else _say(described(error))


def _say(message: str) -> int:
    with suppress(OSError):
        sys.stderr.write(f"error: {message}\n")
    return REFUSED
