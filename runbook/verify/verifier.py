"""Puts it together: what can happen at the same time does, and what was started is ended, whatever happens."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from runbook.runbook import Runbook
from runbook.verify import alarms, leftovers, preflight, rights, scenarios
from runbook.verify.findings import Look, Report, Row
from runbook.verify.scenarios import Scenario, Tried
from runbook.verify.trials import LOOK_SECONDS, Trials

LIMIT_SECONDS = 280.0
"""All waits together; some calls may follow."""
Progress = Callable[[str], None]


def verify(
    runbook: Runbook,
    *,
    quick: bool = False,
    progress: Progress = lambda _: None,
    limit_seconds: float = LIMIT_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> Report:
    """Try a stack, and return what held.

    :param quick: a few looks and one run, for a pipeline
    :param progress: is told what is being tried
    :param limit_seconds: how long all waits may take together; what takes longer is a failure
    :raises KeyboardInterrupt: after the runs that it started are cancelled
    """
    began = time.monotonic()
    trials, tried = Trials(runbook, limit_seconds, look_seconds=look_seconds), Tried()
    try:
        rows = _rows(trials, tried, progress, quick=quick)
    finally:
        trials.stopping.set()
        trials.clean_up()
    return Report(runbook.outputs.name_prefix, rows, time.monotonic() - began)


def _rows(trials: Trials, tried: Tried, progress: Progress, *, quick: bool) -> Sequence[Row]:
    runbook = trials.runbook
    first = preflight.quick_looks(runbook) if quick else [*preflight.looks(runbook), *rights.looks(runbook)]
    progress("Looking at what is deployed, and starting runs …")
    rows = _at_once(trials, [*(_one(look) for look in first), *_of(trials, tried, quick=quick)])
    progress("Looking for what the runs left …")
    after = [leftovers.nobody_left(trials)] if quick else [*leftovers.looks(trials, tried), alarms.look(runbook)]
    return [*rows, *_at_once(trials, [_one(look) for look in after])]


def _of(trials: Trials, tried: Tried, *, quick: bool) -> list[Callable[[], Sequence[Row]]]:
    def play(scenario: Scenario) -> Callable[[], Sequence[Row]]:
        return lambda: scenario(trials, tried)

    return [play(scenario) for scenario in (scenarios.QUICK if quick else scenarios.ALL)]


def _one(look: Look) -> Callable[[], Sequence[Row]]:
    return lambda: [look.row()]


def _at_once(trials: Trials, works: Iterable[Callable[[], Sequence[Row]]]) -> list[Row]:
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="verify") as threads:
        futures: list[Future[Sequence[Row]]] = [threads.submit(work) for work in works]
        try:
            return [row for future in futures for row in future.result()]
        except BaseException:
            # Ctrl-C, mostly: no wait goes on, and what has not begun doesn't.
            trials.stopping.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
