"""Rows of the table: what was looked at, what was expected, what was seen.

A look returns what it saw, or raises why it can't hold (`Refuted`) or can't be judged (`Unjudged`). Errors of AWS
become rows as well: nothing that one look meets may keep the others from being made.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from runbook.errors import RunbookError
from runbook.tables import shortened
from runtime.journal.errors import JournalError

MAX_TEXT = 500
# What a service says that doesn't exist where it was asked, or not this operation of it.
_NOT_THERE = {"UnknownOperationException", "UnknownOperation", "InvalidAction", "UnsupportedOperation"}
_DENIED = re.compile(r"AccessDenied|UnauthorizedOperation|NotAuthorized")


class Verdict(StrEnum):
    """What became of a row."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Refuted(Exception):
    """What was expected doesn't hold.

    :param do: what to do about it
    """

    def __init__(self, seen: str, do: str) -> None:
        super().__init__(seen)
        self.do = do


class Unjudged(Exception):
    """It can't be told whether it holds; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    :ivar seconds: how long what the row is about took, None where that says nothing
    :ivar do: what to do about a failure
    """

    what: str
    expected: str
    seen: str
    verdict: Verdict
    seconds: float | None = None
    do: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look saw, where that is more than a text."""

    text: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at.

    :ivar otherwise: what to do when AWS refuses
    :ivar optional: whether a refusal for want of rights leaves the row open rather than failed
    """

    what: str
    expected: str
    see: Callable[[], Seen | str]
    otherwise: str = ""
    optional: bool = False

    def row(self) -> Row:
        """Look, and return what came of it."""
        began = time.monotonic()
        try:
            seen = self.see()
        except Unjudged as why:
            return self._row(Verdict.SKIPPED, str(why))
        except Refuted as refuted:
            return self._row(Verdict.FAILED, str(refuted), do=refuted.do, seconds=time.monotonic() - began)
        except ClientError as error:
            return self._refused(error)
        except EndpointConnectionError as error:
            return self._row(Verdict.SKIPPED, f"not available here: {error}")
        except (BotoCoreError, RunbookError, JournalError, ValueError, LookupError) as error:
            return self._row(Verdict.FAILED, f"{type(error).__name__}: {error}", do=self.otherwise)
        found = Seen(seen) if isinstance(seen, str) else seen
        return self._row(Verdict.OK, found.text, seconds=found.seconds)

    def _refused(self, error: ClientError) -> Row:
        told = error.response.get("Error", {})
        code, message = told.get("Code", ""), told.get("Message", "")
        # A bare status without a word is what a server answers that doesn't know the service.
        if code in _NOT_THERE or (code.isdigit() and not message):
            return self._row(Verdict.SKIPPED, f"not available here: {error.operation_name} is answered with {code}")
        if self.optional and _DENIED.search(code):
            return self._row(Verdict.SKIPPED, f"not looked at, for want of a right: {message}")
        return self._row(Verdict.FAILED, str(error), do=self.otherwise)

    def _row(self, verdict: Verdict, seen: str, *, do: str = "", seconds: float | None = None) -> Row:
        rounded = None if seconds is None else round(seconds, 3)
        return Row(self.what, self.expected, shortened(seen, MAX_TEXT), verdict, rounded, do)


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, in the order in which things happen.

    :ivar seconds: how long it took altogether
    """

    stack: str
    rows: Sequence[Row] = field(default_factory=tuple[Row, ...])
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing failed. What was skipped says so in its row."""
        return not self.failed

    @property
    def failed(self) -> list[Row]:
        """The rows that failed."""
        return [row for row in self.rows if row.verdict == Verdict.FAILED]

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        rows = [asdict(row) for row in self.rows]
        return {"stack": self.stack, "passed": self.passed, "seconds": round(self.seconds, 3), "rows": rows}
