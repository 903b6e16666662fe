"""What is different where the runbook runs in a notebook: expected errors are one sentence there, not a traceback."""

import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook.errors import DemoRefused, sentence
from runtime.contract.errors import InvalidRequest
from runtime.journal.errors import JournalError

EXPECTED = (JournalError, InvalidRequest, ClientError, BotoCoreError)
"""Besides `RunbookError`, which renders itself."""


def show_errors_as_sentences() -> None:
    """Let the notebook that this runs in, if it does, show expected errors as one line."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    if shell := get_ipython():
        shell.set_custom_exc(EXPECTED, _show)


def check_demo(demo: bool, stack: str, on_any_stack: bool) -> None:
    """Check that a notebook may start runs just to have something to look at.

    :raises DemoRefused: if the stack isn't the embedded cloud, and nobody has said that it may be another
    """
    if demo and stack != "local" and not on_any_stack:
        raise DemoRefused(stack)


def _show(shell: Any, kind: type[BaseException], error: BaseException, *_traceback: Any, **_options: Any) -> list[str]:
    lines = [f"{kind.__name__}: {sentence(error)}"]
    shell._showtraceback(kind, error, lines)
    return lines
